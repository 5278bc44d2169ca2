package client

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/wire"
)

// checks plans when a client looks for what its calls wait for. A check is one
// round trip: it looks for one answer, and for the ends of all runs.
//
// However many calls wait, a client makes at most checksBurst checks at once and
// checksPerSecond for long. But when a check finds something of which no message
// has told, the next one looks for everything: messages are lost in bulk, as
// when an orchestrator crashes.
type checks struct {
	running bool
	planned time.Time     // of the next check
	sooner  chan struct{} // capacity 1: plan anew
	last    time.Time     // when the last check was made
	left    float64       // checks that may be made now
	counted time.Time     // when left was
	all     bool          // the next check looks for everything
	missed  int           // outcomes that checks have found, and no message since
}

const (
	checksPerSecond = 4
	checksBurst     = 8
	// mostChecked is how many things one check looks for.
	mostChecked = 500
	// checksApart is the time between two checks that look for everything.
	checksApart = 5 * time.Millisecond
)

func (c *checks) nudge() {
	select {
	case c.sooner <- struct{}{}:
	default:
	}
}

// allowed reports whether a check may be made now, and if not, in how long.
func (c *checks) allowed(now time.Time) (ok bool, in time.Duration) {
	if c.counted.IsZero() {
		c.left = checksBurst
	}
	c.left = min(checksBurst, c.left+now.Sub(c.counted).Seconds()*checksPerSecond)
	c.counted = now
	if c.left >= 1 {
		return true, 0
	}
	return false, time.Duration((1 - c.left) / checksPerSecond * float64(time.Second))
}

// check looks for what calls wait for, when it is due, until none waits.
func (w *waits) check(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		calls, in, more := w.plan(time.Now())
		if !more {
			return
		}
		if len(calls) > 0 {
			w.look(ctx, calls)
			continue
		}
		timer.Reset(in)
		select {
		case <-timer.C:
		case <-w.checks.sooner:
		case <-w.closed:
		}
	}
}

// plan returns the calls for which the next check looks, if it is due, or in how
// long it is. It reports false when no call waits: then the goroutine ends.
func (w *waits) plan(now time.Time) (calls []*waiter, in time.Duration, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &w.checks
	if len(w.calls) == 0 {
		c.running, c.all = false, false
		return nil, 0, false
	}
	var waiting []*waiter // one for each subject
	for _, some := range w.calls {
		waiting = append(waiting, slices.MinFunc(some, byDue))
	}
	first := slices.MinFunc(waiting, byDue)
	in = first.due.Sub(now)
	if ok, later := c.allowed(now); !ok {
		in = max(in, later)
	}
	if c.all {
		in = c.last.Add(checksApart).Sub(now)
	}
	if c.planned = now.Add(in); in > 0 {
		return nil, in, true
	}
	c.left, c.last = c.left-1, now
	calls = chosen(waiting, first, now, c.all)
	c.all = c.all && len(calls) < len(waiting)
	for _, one := range calls {
		for _, call := range w.calls[one.subject] {
			call.pace.next = min(2*call.pace.next, call.pace.most)
			call.due = now.Add(call.pace.next)
		}
	}
	return calls, 0, true
}

func byDue(a, b *waiter) int { return a.due.Compare(b.due) }

// chosen returns the calls for which a check looks: the answer that is due, and
// if a run is, all runs; or everything.
func chosen(waiting []*waiter, first *waiter, now time.Time, all bool) []*waiter {
	slices.SortFunc(waiting, byDue)
	runDue := slices.ContainsFunc(waiting, func(c *waiter) bool { return c.kind == runEnd && !c.due.After(now) })
	var calls []*waiter
	answer := false
	for _, c := range waiting {
		if len(calls) == mostChecked {
			break
		}
		switch {
		case all || c == first || c.kind == runEnd && runDue:
		case c.kind != runEnd && !answer && !c.due.After(now):
		default:
			continue
		}
		answer = answer || c.kind != runEnd
		calls = append(calls, c)
	}
	return calls
}

// look makes a check and serves the calls whose outcome it finds.
func (w *waits) look(ctx context.Context, calls []*waiter) {
	var p redisstore.Pending
	for _, c := range calls {
		switch c.kind {
		case submissionAnswer:
			p.Submissions = append(p.Submissions, c.id)
		case controlAnswer:
			p.Controls = append(p.Controls, c.id)
		case runEnd:
			p.Runs = append(p.Runs, c.id)
			p.Look = cmp.Or(p.Look, c.id) // the one that was due first
		}
	}
	found, err := w.store.Outcomes(ctx, p)
	w.mu.Lock()
	w.trouble = err
	if err != nil && !redisstore.IsRetryable(err) {
		for _, c := range calls {
			w.deliver(c.subject, outcome{err: err})
		}
	}
	served := 0
	answers := func(k kind, all map[string]wire.Answer) {
		for entry, a := range all {
			if w.deliver(subject{k, entry}, outcome{answer: a}) {
				served++
			}
		}
	}
	answers(submissionAnswer, found.Submissions)
	answers(controlAnswer, found.Controls)
	if found.Missing != "" {
		w.deliver(subject{runEnd, found.Missing}, outcome{err: wire.ErrNotFound})
	}
	w.note(served + len(found.Ended))
	w.mu.Unlock()
	w.finish(ctx, found.Ended)
	if err != nil {
		w.rest(shortestRetry)
	}
}

// note notes how many outcomes a check has found of which no message had told.
// The caller holds the lock.
func (w *waits) note(found int) {
	if found == 0 {
		return
	}
	w.checks.all = true
	if w.checks.missed += found; w.checks.missed >= 2 {
		// The ids of the inbox may have begun anew, below where it was read: the
		// clock of Redis was set back.
		w.cursor, w.checks.missed = "0", 0
	}
}
