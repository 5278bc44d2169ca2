package orchestrator

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// reap looks for tickets whose worker gives no sign of life. The first time
// one is seen it is only remembered; when it is still silent half a lease later
// its worker counts as lost. So a pause of Redis, or a jump of its clock, takes
// no work away from workers that are alive.
func (pt *partition) reap(ctx context.Context) error {
	o := pt.o
	if !o.owns(pt.p) {
		clear(pt.suspects)
		return nil
	}
	queues, err := o.store.Queues(ctx, pt.p)
	if err != nil {
		return err
	}
	seen := map[string]time.Time{}
	var lost []wire.Event
	for _, q := range queues {
		for _, l := range wire.Lanes() {
			silent, err := o.store.PendingTickets(ctx, pt.p, q, l, o.cfg.Lease, 500)
			if err != nil {
				return err
			}
			for _, s := range silent {
				key := q + " " + string(l) + " " + s.ID
				first, known := pt.suspects[key]
				if !known {
					seen[key] = o.clock()
					continue
				}
				seen[key] = first
				t, err := o.store.Ticket(ctx, pt.p, q, l, s.ID)
				if errors.Is(err, wire.ErrNotFound) || errors.Is(err, wire.ErrMalformed) {
					err = o.store.DropTickets(ctx, pt.p, []wire.TicketRef{{Queue: q, Priority: l, ID: s.ID}})
				}
				if err != nil {
					return err
				}
				if t.ID == "" {
					continue
				}
				o.log.Warn("worker lost: its task goes to another", zap.String("worker", s.Consumer),
					zap.String("run_id", t.Run), zap.String("task", t.Task), zap.Duration("silent", s.Idle))
				lost = append(lost, wire.Event{Type: wire.Lost, Run: t.Run, Task: t.Task, Pub: t.Pub, Worker: s.Consumer, At: o.now().UnixMilli()})
				if err := pt.dropOrphan(ctx, t); err != nil {
					return err
				}
			}
		}
	}
	pt.suspects = seen
	if len(lost) == 0 {
		return nil
	}
	return o.store.SendEvents(ctx, pt.p, lost)
}

// dropOrphan deletes a ticket whose run is gone or has ended.
func (pt *partition) dropOrphan(ctx context.Context, t wire.Ticket) error {
	rec, err := pt.o.store.Run(ctx, t.Run)
	if err == nil && !rec.State.Final() {
		return nil
	}
	if err != nil && !errors.Is(err, wire.ErrNotFound) {
		return err
	}
	return pt.o.store.DropTickets(ctx, pt.p, []wire.TicketRef{{Queue: t.Queue, Priority: t.Priority, ID: t.ID}})
}

// sweep looks after runs without progress for two leases: a ticket that is
// missing twice is published anew, and a run that was left with things to do
// is stepped.
func (pt *partition) sweep(ctx context.Context) error {
	o := pt.o
	ids, err := o.store.ActiveRuns(ctx, pt.p, o.now().Add(-2*o.cfg.Lease), 50)
	if err != nil || len(ids) == 0 {
		return err
	}
	there, err := pt.published(ctx)
	if err != nil {
		return err
	}
	missing := map[string]bool{}
	var events []wire.Event
	for _, id := range ids {
		l, err := pt.load(ctx, id)
		if err != nil {
			if !errors.Is(err, wire.ErrNotFound) {
				o.log.Error("a run cannot be loaded", zap.String("run_id", id), zap.Error(err))
			}
			continue
		}
		for _, f := range l.run.InFlight() {
			if there[f.Pub] {
				continue
			}
			if !pt.missing[f.Pub] {
				missing[f.Pub] = true
				continue
			}
			o.log.Warn("a ticket has vanished and is published again", zap.String("run_id", id), zap.String("task", f.Task))
			events = append(events, wire.Event{Type: wire.Missing, Run: id, Task: f.Task, Pub: f.Pub, At: o.now().UnixMilli()})
		}
		if asks := l.run.OpenAsks(); len(asks) > 0 {
			if err := pt.o.asked(ctx, id, asks, nil); err != nil {
				return err
			}
		}
		if l.before.State == run.Running && l.run.Stalled(o.now().Add(-o.cfg.Lease).UnixMilli()) {
			pt.forget(id) // what is left to be done is found when it is loaded
			events = append(events, wire.Event{Type: wire.Continue, Run: id, At: o.now().UnixMilli()})
		}
	}
	pt.missing = missing
	if len(events) == 0 {
		return nil
	}
	return o.store.SendEvents(ctx, pt.p, events)
}

// published returns the publications that stand in the partition's queues.
func (pt *partition) published(ctx context.Context) (map[string]bool, error) {
	queues, err := pt.o.store.Queues(ctx, pt.p)
	if err != nil {
		return nil, err
	}
	pubs := map[string]bool{}
	for _, q := range queues {
		for _, l := range wire.Lanes() {
			after := ""
			for {
				some, err := pt.o.store.ScanTickets(ctx, pt.p, q, l, after, 1000)
				if err != nil {
					return nil, err
				}
				for _, t := range some {
					pubs[t.Pub], after = true, t.ID
				}
				if len(some) < 1000 {
					break
				}
			}
		}
	}
	return pubs, nil
}
