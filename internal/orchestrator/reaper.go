package orchestrator

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/fact"
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
				if !known { // mutant: lost-after-two-looks (false)
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
				if dropped, err := pt.dropOrphan(ctx, t); err != nil {
					return err
				} else if dropped {
					continue
				}
				o.log.Warn("worker lost: its task goes to another", append(fact.Ticket(&t), fact.Worker(s.Consumer), zap.Duration("silent", s.Idle))...)
				lost = append(lost, wire.Event{Type: wire.Lost, Run: t.Run, Task: t.Task, Fence: t.Fence, Worker: s.Consumer, At: o.now().UnixMilli()})
			}
		}
	}
	pt.suspects = seen
	if len(lost) == 0 { // mutant: lost-workers-reported (true)
		return nil
	}
	return o.store.SendEvents(ctx, pt.p, lost)
}

// dropOrphan deletes a ticket that nobody waits for: its run is gone or has
// ended, or its task has another publication now.
func (pt *partition) dropOrphan(ctx context.Context, t wire.Ticket) (bool, error) {
	rec, err := pt.o.store.Run(ctx, t.Run)
	if err != nil && !errors.Is(err, wire.ErrNotFound) {
		return false, err
	}
	if err == nil && !rec.State.Final() {
		text, err := pt.o.store.Task(ctx, t.Run, t.Task)
		if err != nil && !errors.Is(err, wire.ErrNotFound) {
			return false, err
		}
		if err == nil {
			// mutant: orphaned-ticket-dropped (true)
			if task, err := run.ParseTask(t.Task, text); err != nil || task.Fence == t.Fence {
				return false, nil //nolint:nilerr // a record that cannot be read is the step's affair
			}
		}
	}
	return true, pt.o.store.DropTickets(ctx, pt.p, []wire.TicketRef{{Queue: t.Queue, Priority: t.Priority, ID: t.ID}})
}
