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

// reap looks for tickets whose worker is silent. It remembers a ticket when it
// first sees it silent. When the ticket is still silent half a lease later, the
// worker counts as lost. So a pause of Redis, or a jump of its clock, takes no
// work away from live workers.
func (pt *partition) reap(ctx context.Context) error {
	o := pt.o
	if !o.owns(pt.p) {
		clear(pt.suspects)
		return nil
	}
	streams, err := o.store.Streams(ctx, pt.p)
	if err != nil {
		return err
	}
	silent, err := o.store.PendingTickets(ctx, pt.p, streams, o.cfg.Lease, 500)
	if err != nil {
		return err
	}
	seen := map[wire.TicketRef]time.Time{}
	var lost []wire.Event
	for _, s := range silent {
		first, known := pt.suspects[s.TicketRef]
		if !known { // mutant: lost-after-two-looks (false)
			seen[s.TicketRef] = o.clock()
			continue
		}
		seen[s.TicketRef] = first
		t, err := pt.stillOpen(ctx, s.TicketRef)
		if err != nil {
			return err
		}
		if t == nil {
			continue
		}
		o.log.Warn("worker lost: its task goes to another", append(fact.Ticket(t), fact.Worker(s.Consumer), zap.Duration("silent", s.Idle))...)
		lost = append(lost, wire.Event{Type: wire.Lost, Run: t.Run, Task: t.Task, Fence: t.Fence, Worker: s.Consumer, At: o.now().UnixMilli()})
	}
	pt.suspects = seen
	if len(lost) == 0 { // mutant: lost-workers-reported (true)
		return nil
	}
	return o.store.SendEvents(ctx, pt.p, lost)
}

// stillOpen returns the ticket of a silent worker if its task waits for it;
// otherwise it deletes the ticket and returns nil.
func (pt *partition) stillOpen(ctx context.Context, ref wire.TicketRef) (*wire.Ticket, error) {
	t, err := pt.o.store.Ticket(ctx, pt.p, ref)
	if errors.Is(err, wire.ErrNotFound) || errors.Is(err, wire.ErrMalformed) {
		return nil, pt.o.store.DropTickets(ctx, pt.p, []wire.TicketRef{ref})
	}
	if err != nil {
		return nil, err
	}
	if dropped, err := pt.dropOrphan(ctx, t); err != nil || dropped {
		return nil, err
	}
	return &t, nil
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
	return true, pt.o.store.DropTickets(ctx, pt.p, []wire.TicketRef{{Stream: t.Stream(), ID: t.ID}})
}
