package worker

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/wire"
)

const (
	maxLog      = 1 << 20 // bytes of log that are kept of one attempt
	lineCosts   = 32      // bytes that count for a line besides its text
	flushEvery  = 300 * time.Millisecond
	flushSlowly = time.Second // of an attempt that has written more than is kept
)

// logTail holds the newest part of what an attempt writes: what is to be sent,
// and what of that which was sent is still kept.
type logTail struct {
	sending sync.Mutex // one at a time, so that the lines come in order

	mu      sync.Mutex
	number  int
	pending []wire.Line
	waits   int // bytes of pending
	flush   *time.Timer

	sent []sentLine // oldest first; under sending
	kept int        // bytes of sent
}

type sentLine struct {
	id   string
	size int
}

func sizeOf(l wire.Line) int { return len(l.Text) + lineCosts }

// add takes a line and returns whether a flush has to be set up, and when.
func (t *logTail) add(l wire.Line, flush func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.number++
	l.Number = t.number
	t.pending = append(t.pending, l)
	drop := 0
	for t.waits += sizeOf(l); t.waits > maxLog && drop < len(t.pending)-1; drop++ {
		t.waits -= sizeOf(t.pending[drop])
	}
	t.pending = t.pending[drop:]
	if t.flush == nil {
		after := flushEvery
		if drop > 0 || t.number > maxLog/lineCosts {
			after = flushSlowly
		}
		t.flush = time.AfterFunc(after, flush)
	}
}

// take returns the lines to send.
func (t *logTail) take() []wire.Line {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := t.pending
	t.pending, t.flush, t.waits = nil, nil, 0
	return lines
}

// room returns the entries that must go for the lines to be kept.
func (t *logTail) room(lines []wire.Line) (drop []string) {
	size := 0
	for _, l := range lines {
		size += sizeOf(l)
	}
	n := 0
	for ; n < len(t.sent) && t.kept+size > maxLog; n++ {
		t.kept -= t.sent[n].size
		drop = append(drop, t.sent[n].id)
	}
	t.sent = t.sent[n:]
	return drop
}

func (t *logTail) wrote() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.number > 0
}

func (t *logTail) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.flush != nil {
		t.flush.Stop()
	}
}

// Log keeps a line for the next flush.
func (a *attempt) Log(source, text string) {
	a.tail.add(wire.Line{
		Task: a.ticket.Task, Attempt: a.ticket.Attempt, Source: source, Text: a.mask.Text(text), At: time.Now().UnixMilli(),
	}, a.flushLines)
}

func (a *attempt) flushLines() {
	t := &a.tail
	t.sending.Lock()
	defer t.sending.Unlock()
	lines := t.take()
	if len(lines) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), 5*time.Second)
	defer cancel()
	ids, err := a.w.store.AppendLines(ctx, a.ticket.Run, a.ticket.Task, lines, t.room(lines))
	if err != nil {
		a.w.log.Warn("log lines are lost", append(a.fields(), zap.Int("lines", len(lines)), zap.Error(err))...)
		return
	}
	for i, id := range ids {
		t.sent = append(t.sent, sentLine{id, sizeOf(lines[i])})
		t.kept += sizeOf(lines[i])
	}
}
