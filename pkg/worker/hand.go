package worker

import (
	"context"
	"time"

	"github.com/orchis-run/orchis/internal/wire"
)

// slotWait is how long a ticket waits for a slot before it is handed back for
// another worker.
const slotWait = time.Second

// unreportedPerSlot bounds the attempts whose handler has ended and whose outcome
// Redis has not taken. While there are as many, a slot stays taken until its
// outcome is reported: a worker whose reports Redis does not take stops claiming.
const unreportedPerSlot = 4

// start begins an attempt at a ticket. Its slot was taken already, or the attempt
// waits for one.
func (w *Worker) start(ctx context.Context, t wire.Ticket, hasSlot bool) {
	a := newAttempt(ctx, w, t)
	w.mu.Lock()
	w.hand[a], a.heard = true, time.Now()
	w.running++
	w.mu.Unlock()
	next := started{a, hasSlot}
	select {
	case w.idle <- next:
	default: // no goroutine is idle
		go w.attempts(ctx, next)
	}
}

// started is an attempt that begins.
type started struct {
	a       *attempt
	hasSlot bool
}

// attempts makes one attempt after the other, until the worker has stopped. A
// goroutine that is used again has a stack that is large enough for handlers; a
// new one for each attempt would have to grow its own every time.
func (w *Worker) attempts(ctx context.Context, s started) {
	for {
		w.attempt(s.a, s.hasSlot) //nolint:contextcheck // an attempt has a context of its own
		select {
		case s = <-w.idle:
		case <-ctx.Done():
			return
		}
	}
}

// attempt makes an attempt and hands its outcome to the outbox.
func (w *Worker) attempt(a *attempt, hasSlot bool) {
	var ev *wire.Event
	if w.isPaused(a.ticket.Queue) { // it was claimed while the queue was paused
		ev = a.handBack("paused", "queue "+a.ticket.Queue+" is paused")
	} else if !hasSlot {
		hasSlot, ev = w.slotFor(a)
	}
	if ev == nil && hasSlot {
		ev = a.perform()
	}
	w.mu.Lock()
	w.running--
	w.mu.Unlock()
	if ev == nil { // the ticket belongs to another worker now
		w.finish(a, hasSlot)
		return
	}
	w.report(a, *ev, hasSlot)
}

// report hands an outcome to the outbox. The slot is free then, unless too many
// outcomes are unreported.
func (w *Worker) report(a *attempt, ev wire.Event, hasSlot bool) {
	out := w.out[a.ticket.Partition]
	if hasSlot {
		select {
		case w.unreported <- struct{}{}:
			a.unreported = true
			out.put(outcome{a: a, ev: ev})
			<-w.slots
			return
		default:
		}
	}
	out.put(outcome{a, ev, hasSlot})
}

// trySlot takes a slot if one is free.
func (w *Worker) trySlot() bool {
	select {
	case w.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// slotFor waits for a slot; without one the ticket is handed back.
func (w *Worker) slotFor(a *attempt) (bool, *wire.Event) {
	late := time.NewTimer(slotWait)
	defer late.Stop()
	select {
	case w.slots <- struct{}{}:
		return true, nil
	case <-late.C:
		return false, a.handBack("busy", "all slots of worker "+w.cfg.Name+" are taken")
	case <-a.ctx.Done():
		return false, a.interrupted()
	}
}

// finish is the end of an attempt that has nothing more to report.
func (w *Worker) finish(a *attempt, slot bool) {
	if slot {
		<-w.slots
	}
	if a.unreported {
		<-w.unreported
	}
	w.putDown(a)
}

func (w *Worker) putDown(a *attempt) {
	a.cancel(nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.hand, a)
	if len(w.hand) == 0 && w.empty != nil {
		close(w.empty)
		w.empty = nil
	}
}

func (w *Worker) inHand() []*attempt {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*attempt, 0, len(w.hand))
	for a := range w.hand {
		all = append(all, a)
	}
	return all
}

func (w *Worker) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble = err
}
