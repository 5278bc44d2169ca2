package orchestrator

import (
	"context"
	"errors"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/fact"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// sweepPage is how many runs are looked at in one sweep.
const sweepPage = 100

// scanPage is the number of tickets read at once; each may have 256 KiB of
// inputs.
const scanPage = 200

// sweeper goes round the runs of a partition that make no progress, a page at a
// time, so that those that wait for long do not stand before the others.
type sweeper struct {
	at int // how many runs this round has looked at
	// missing are the publications that were not found in the round before,
	// seen those of this one.
	missing, seen map[string]bool
}

// finding is what is to be done about runs that make no progress.
type finding struct {
	events []wire.Event
	timers []wire.Timer
	lost   []wire.Event // of flights, if their tickets are not there
}

// sweep looks after runs without progress for two leases, by what their records
// say: a ticket that is missing twice is published anew, a timer that should
// have fired does, and a run that was left with things to do is stepped.
// Orphaned tickets are deleted.
func (pt *partition) sweep(ctx context.Context) error {
	o := pt.o
	if err := pt.dropOrphans(ctx); err != nil { // mutant: orphaned-tickets-searched (skip)
		return err
	}
	ids, err := o.store.ActiveRuns(ctx, pt.p, o.now().Add(-2*o.cfg.Lease), pt.swept.at, sweepPage)
	if err != nil {
		return err
	}
	var f finding
	for _, id := range ids {
		if err := pt.lookAt(ctx, id, &f); err != nil {
			return err
		}
	}
	if err := pt.miss(ctx, &f); err != nil {
		return err
	}
	if pt.swept.at += len(ids); len(ids) < sweepPage { // mutant: sweep-pages (replace += by = 0 *)
		pt.swept = sweeper{missing: pt.swept.seen}
	}
	if len(f.timers) > 0 {
		if err := pt.process(context.WithoutCancel(ctx), nil, f.timers); err != nil {
			return err
		}
	}
	if len(f.events) == 0 {
		return nil
	}
	return o.store.SendEvents(ctx, pt.p, f.events)
}

// lookAt finds out what one run lacks.
func (pt *partition) lookAt(ctx context.Context, id string, f *finding) error {
	o := pt.o
	now := o.now().UnixMilli()
	o.takeOver(ctx, pt.p, id) // here counts what Redis says
	if l := pt.runs[id]; l != nil {
		if _, err := pt.fresh(ctx, id, l); err != nil {
			return err
		}
	}
	l, err := pt.load(ctx, id)
	switch {
	case errors.Is(err, wire.ErrNotFound):
		o.log.Error("a run that was under way is gone", fact.Run(id))
		return o.store.DeleteRuns(ctx, pt.p, []string{id})
	case err != nil && o.store.Retryable(err):
		return err
	case err != nil:
		if !pt.unreadable[id] {
			f.events = append(f.events, wire.Event{Type: wire.Continue, Run: id, At: now})
		}
		return nil // whoever takes the event finds out, and fails the run
	}
	for _, x := range l.run.InFlight() {
		// mutant: vanished-ticket-found (skip)
		f.lost = append(f.lost, wire.Event{Type: wire.Missing, Run: id, Task: x.Task, Fence: x.Fence, At: now})
	}
	if queries := l.run.OpenQueries(); len(queries) > 0 { // mutant: queries-republished (false)
		if err := o.answerQueries(ctx, id, queries); err != nil {
			return err
		}
	}
	before := now - o.cfg.Lease.Milliseconds()
	for _, tm := range l.run.Overdue(before) {
		f.timers = append(f.timers, toTimer(id, tm)) // mutant: vanished-timer-found (skip)
	}
	switch {
	case l.before.State == run.Running && l.run.Stalled(before):
		pt.forget(id) // what is left to be done is found when it is loaded
		fallthrough
	case l.run.HasWork(): // mutant: forgotten-work-found (false)
		f.events = append(f.events, wire.Event{Type: wire.Continue, Run: id, At: now})
	}
	return nil
}

func toTimer(id string, t engine.Timer) wire.Timer {
	return wire.Timer{Run: id, Kind: t.Kind, Task: t.Task, Fence: t.Fence, Due: t.Due}
}

// miss looks for the tickets of what is in flight. One that is not there in two
// rounds has vanished.
func (pt *partition) miss(ctx context.Context, f *finding) error {
	if len(f.lost) == 0 {
		return nil
	}
	there, err := pt.published(ctx)
	if err != nil {
		return err
	}
	if pt.swept.seen == nil {
		pt.swept.seen = map[string]bool{}
	}
	for _, ev := range f.lost {
		switch {
		case there[ev.Fence]:
		case pt.swept.missing[ev.Fence]:
			pt.o.log.Warn("a ticket has vanished and is published again", append(pt.about(ev.Run), fact.Task(ev.Task))...)
			f.events = append(f.events, ev)
		default:
			pt.swept.seen[ev.Fence] = true
		}
	}
	return nil
}

// published returns the fences of all tickets of the partition.
func (pt *partition) published(ctx context.Context) (map[string]bool, error) {
	streams, err := pt.o.store.Streams(ctx, pt.p)
	if err != nil {
		return nil, err
	}
	fences := map[string]bool{}
	for _, stream := range streams {
		after := ""
		for {
			some, err := pt.o.store.ScanTickets(ctx, pt.p, stream, after, scanPage)
			if err != nil {
				return nil, err
			}
			for _, t := range some {
				fences[t.Fence], after = true, t.ID
			}
			if len(some) < scanPage {
				break
			}
		}
	}
	return fences, nil
}
