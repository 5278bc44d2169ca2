package worker

import (
	"context"
	"time"

	"github.com/orchis-run/orchis/internal/wire"
)

// claim takes tickets of a partition while there are free slots. While it waits
// for a ticket it holds no slot, since the other partitions need them: so a
// ticket may come for which there is none.
func (w *Worker) claim(ctx, alive context.Context, p int) {
	b := w.newBackoff("take tickets")
	for ctx.Err() == nil {
		queues := w.open()
		if len(queues) == 0 {
			pause(ctx, w.cfg.Poll)
			continue
		}
		free := w.reserve(ctx)
		if free == 0 {
			return
		}
		// The reads themselves are not cut off: a reply that is lost would leave
		// tickets with a worker that does not know of them.
		tickets, err := w.store.ReadTickets(alive, p, queues, w.cfg.Name, free, 0)
		for i, t := range tickets {
			w.take(alive, t, i < free)
		}
		for range max(0, free-len(tickets)) {
			<-w.slots
		}
		if err == nil && len(tickets) == 0 {
			tickets, err = w.store.AwaitTickets(alive, p, queues, w.cfg.Name, w.cfg.Poll)
			for _, t := range tickets {
				w.take(alive, t, false)
			}
		}
		w.note(err)
		if err != nil {
			b.wait(ctx, err)
			continue
		}
		b.reset()
	}
}

// reserve waits for a slot and takes what else is free; 0 when ctx ends.
func (w *Worker) reserve(ctx context.Context) int {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	for free := 1; ; free++ {
		if free == 100 {
			return free
		}
		select {
		case w.slots <- struct{}{}:
		default:
			return free
		}
	}
}

func (w *Worker) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble = err
}

// slotWait is how long a ticket waits for a slot before it is handed back for
// another worker to have.
const slotWait = time.Second

// taken is an attempt that is to be made; its slot is given along, or has to be
// waited for.
type taken struct {
	a       *attempt
	hasSlot bool
}

// take puts a ticket into the hand and starts on it, in a goroutine that has
// nothing to do any more if there is one: its stack has grown already.
func (w *Worker) take(ctx context.Context, t wire.Ticket, hasSlot bool) {
	a := newAttempt(ctx, w, t)
	w.mu.Lock()
	w.hand[a], a.heard = true, time.Now()
	w.mu.Unlock()
	select {
	case w.next <- taken{a, hasSlot}:
	default:
		go w.work(ctx, taken{a, hasSlot})
	}
}

// work makes attempts, one after the other, until ctx ends.
func (w *Worker) work(ctx context.Context, k taken) {
	for {
		w.attempt(k) //nolint:contextcheck // it lives by its own context
		select {
		case k = <-w.next:
		case <-ctx.Done():
			return
		}
	}
}

func (w *Worker) attempt(k taken) {
	a, hasSlot := k.a, k.hasSlot
	var ev *wire.Event
	if w.isPaused(a.ticket.Queue) { // it was read for while the queue was paused
		ev = a.handBack("paused", "queue "+a.ticket.Queue+" is paused")
	} else if !hasSlot {
		hasSlot, ev = w.slotFor(a)
	}
	if ev == nil && hasSlot {
		ev = a.perform()
	}
	if ev == nil { // the ticket is somebody else's now
		w.finish(a, hasSlot)
		return
	}
	w.out[a.ticket.Partition].put(outcome{a, *ev, hasSlot})
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
