package client

import (
	"context"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/wire"
)

// inboxBlock is how long one read of the inbox waits. So long a goroutine may
// outlive the last call that waits, since nothing ends a blocking read.
const inboxBlock = 2 * time.Second

// receive reads the inbox and serves the calls that wait, until none does.
func (w *waits) receive(ctx context.Context) {
	pause := shortestRetry
	for {
		after, more := w.listening()
		if !more {
			return
		}
		messages, last, err := w.store.ReadInbox(ctx, w.inbox, after, inboxBlock)
		w.mu.Lock()
		w.trouble = err
		w.deaf = w.deaf || err != nil && !redisstore.IsRetryable(err)
		if w.cursor == after { // else a check has reset it
			w.cursor = last
		}
		w.mu.Unlock()
		if err == nil {
			pause = shortestRetry
			w.serve(ctx, messages)
			continue
		}
		w.rest(pause)
		pause = min(2*pause, longestRetry)
	}
}

// How long a failed command is not tried again.
const (
	shortestRetry = 50 * time.Millisecond
	longestRetry  = time.Second
)

// rest waits, unless the client is closed.
func (w *waits) rest(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.closed:
	}
}

// listening returns where to read on. It reports false when no call waits, or
// none can be served: then the goroutine ends.
func (w *waits) listening() (after string, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reading = len(w.calls) > 0 && !w.deaf
	return w.cursor, w.reading
}

// serve gives messages to the calls that wait for them.
func (w *waits) serve(ctx context.Context, messages []wire.Message) {
	var ended []string
	w.mu.Lock()
	for i := range messages {
		m := &messages[i]
		s, o := subjectOf(m), outcome{answer: wire.Answer{State: m.State, Run: m.Run, Error: m.Error}}
		switch {
		case m.State == wire.Rejected && m.Error == "": // the text was too long
			w.checks.all = true
			w.checks.nudge()
		case s.kind == runEnd && len(w.calls[s]) > 0:
			ended = append(ended, s.id)
		case !w.deliver(s, o):
			w.early.put(s, o)
		default:
			w.checks.missed = 0
		}
	}
	if len(ended) > 0 {
		w.checks.missed = 0
	}
	w.mu.Unlock()
	w.finish(ctx, ended)
}

// subjectOf is what a message is about.
func subjectOf(m *wire.Message) subject {
	switch {
	case m.Submission != "":
		return subject{submissionAnswer, m.Submission}
	case m.Control != "":
		return subject{controlAnswer, m.Control}
	}
	return subject{runEnd, m.Run}
}

// finish reads the records of runs that have ended, in one round trip, and gives
// them to the calls that wait. A call whose record could not be read reads it
// itself.
func (w *waits) finish(ctx context.Context, ended []string) {
	if len(ended) == 0 {
		return
	}
	records, err := w.store.Runs(ctx, ended)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ended {
		var o outcome
		if rec, there := records[id]; err == nil && there {
			o.run = new(rec)
		}
		w.deliver(subject{runEnd, id}, o)
	}
}
