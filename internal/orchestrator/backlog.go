package orchestrator

import (
	"context"
	"slices"

	"github.com/orchis-run/orchis/internal/wire"
)

// turns say whose events are dealt with when.
//
// A large run has thousands of tickets under way, whose reports may all stand
// in the event stream before the one report that a small run waits for. So more
// is read than can be dealt with at once, and what belongs to runs with much to
// do waits in memory, where others can overtake it.
type turns struct {
	// many is the number from which a run's events are dealt with after those
	// of others, alone how many of them at once, and portion how many when
	// others are there, too.
	many, alone, portion int
}

// usualTurns lets others wait some 3 ms; a large run gains nothing by more, and
// loses a fifth by half of it.
func usualTurns() turns { return turns{many: 50, alone: 100, portion: 25} }

// mostAhead and readBytes bound what is kept in memory of what was read.
const (
	mostAhead = 4000
	readBytes = 16 << 20
)

// backlog holds events of runs with much to do, by run; whose turn it is comes
// first. It is the partition's own. What is in it is still pending in Redis, and
// found there by another orchestrator if this one dies.
type backlog struct {
	order  []*todo
	events int
	bytes  int
}

// of returns what waits of a run; nil when nothing does.
func (b *backlog) of(id string) *todo {
	for _, t := range b.order {
		if t.id == id {
			return t
		}
	}
	return nil
}

// add puts events behind those of their run.
func (b *backlog) add(t *todo) {
	if had := b.of(t.id); had != nil {
		had.events = append(had.events, t.events...)
	} else {
		b.order = append(b.order, t)
	}
	b.count(t.events, 1)
}

func (b *backlog) count(events []wire.Event, sign int) {
	b.events += sign * len(events)
	for i := range events {
		b.bytes += sign * sizeOf(&events[i])
	}
}

// sizeOf is about what an event takes of memory.
func sizeOf(ev *wire.Event) int {
	n := 512 + len(ev.Result) + len(ev.Data) + len(ev.Note) + len(ev.Reason)
	if ev.Error != nil {
		n += len(ev.Error.Message)
	}
	return n
}

// take returns up to n events of the run whose turn it is; nil when there are
// none.
func (b *backlog) take(n int) *todo {
	if len(b.order) == 0 {
		return nil
	}
	t := b.order[0]
	b.order = slices.Delete(b.order, 0, 1)
	if len(t.events) > n {
		b.order = append(b.order, &todo{id: t.id, events: t.events[n:]})
		t = &todo{id: t.id, events: t.events[:n:n]}
	}
	b.count(t.events, -1)
	return t
}

// deal deals with events: those of runs with little to do first, then a portion
// of one with much.
func (pt *partition) deal(ctx context.Context, events []wire.Event) error {
	var now []*todo
	few, many := pt.o.apart(byRun(events, nil))
	for _, t := range few {
		if pt.behind.events > 0 && pt.behind.of(t.id) != nil {
			pt.behind.add(t) // after those before them
		} else {
			now = append(now, t)
		}
	}
	for _, t := range many {
		pt.behind.add(t)
	}
	n := pt.o.turns.alone
	if len(now) > 0 {
		n = pt.o.turns.portion
		if err := pt.drive(ctx, now); err != nil {
			return err
		}
	}
	if t := pt.behind.take(n); t != nil {
		if err := pt.drive(ctx, []*todo{t}); err != nil {
			return err
		}
	}
	pt.shrink()
	return nil
}
