package orchestrator

import (
	"context"
	"slices"
	"time"

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

// without leaves out what is in the backlog already, or was just read: it was
// delivered long ago and looks as if somebody had left it behind.
func (b *backlog) without(events, read []wire.Event) []wire.Event {
	if len(events) == 0 {
		return nil
	}
	known := map[string]bool{}
	for i := range read {
		known[read[i].ID] = true
	}
	for _, t := range b.order {
		for i := range t.events {
			known[t.events[i].ID] = true
		}
	}
	return slices.DeleteFunc(events, func(ev wire.Event) bool { return known[ev.ID] })
}

// read returns events that are new, as many as there are and may be kept.
func (pt *partition) read(ctx context.Context, block time.Duration) ([]wire.Event, error) {
	var all []wire.Event
	bytes := pt.behind.bytes
	for pt.behind.events+len(all) < mostAhead && bytes < readBytes {
		some, err := pt.readSome(ctx, block)
		if err != nil && len(all) == 0 {
			return nil, err
		}
		pt.o.cfg.Observer.Read(some, false)
		if len(all) == 0 {
			all = some
		} else {
			all = append(all, some...)
		}
		if len(some) < readBatch {
			break // an error shows again when it lasts
		}
		for i := range some {
			bytes += sizeOf(&some[i])
		}
		block = 0
	}
	return all, nil
}

// busyFrom is the number of events from which more are sure to come.
const busyFrom = 16

// reading is a read that goes on while events are dealt with.
type reading struct {
	done   chan struct{} // closed when it is over
	events []wire.Event
	err    error
}

// readAhead takes events while others are dealt with. The next read has them.
func (pt *partition) readAhead(ctx context.Context) {
	r := &reading{done: make(chan struct{})}
	pt.ahead = r
	go func() {
		defer close(r.done)
		r.events, r.err = pt.o.store.ReadEvents(ctx, pt.p, pt.o.cfg.Name, readBatch, 0)
	}()
}

// endReading leaves what was read ahead to whoever claims it.
func (pt *partition) endReading() {
	if pt.ahead != nil {
		<-pt.ahead.done
		pt.ahead = nil
	}
}

// readSome returns what was read ahead, or what is there now; with nothing
// there it waits, at most for block.
func (pt *partition) readSome(ctx context.Context, block time.Duration) ([]wire.Event, error) {
	if r := pt.ahead; r != nil {
		pt.ahead = nil
		<-r.done
		if r.err != nil || len(r.events) > 0 { // mutant: prefetch-is-used (without 2)
			return r.events, r.err
		}
	}
	return pt.o.store.ReadEvents(ctx, pt.p, pt.o.cfg.Name, readBatch, block)
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
