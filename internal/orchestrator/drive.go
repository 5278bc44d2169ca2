package orchestrator

import (
	"context"
	"errors"
	"fmt"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/wire"
)

// together is how many runs are committed at once, while others are stepped.
const together = 64

// drive steps runs and commits until nobody has changed them in between.
func (pt *partition) drive(ctx context.Context, order []*todo) error {
	for try := 0; len(order) > 0; try++ {
		if try == 20 {
			return fmt.Errorf("drive runs of partition %d: %d runs keep being changed by somebody else", pt.p, len(order))
		}
		again, err := pt.pass(ctx, order)
		if err != nil {
			// mutant: failed-commit-evicts (skip)
			clear(pt.runs) // nobody knows what was committed
			pt.size = 0
			return err
		}
		order = again
	}
	return nil
}

// pass steps and commits each run once and returns those in conflict. Some are
// stepped while those before them are being committed, one commit of each side
// of the partition at a time.
func (pt *partition) pass(ctx context.Context, order []*todo) ([]*todo, error) {
	var sides [wire.Sides][]*todo
	for _, t := range order {
		side := wire.Side(t.id)
		sides[side] = append(sides[side], t)
	}
	var again []*todo
	var under [wire.Sides]*change
	land := func(side int) (err error) {
		if c := under[side]; c != nil {
			under[side] = nil
			var refused []*todo
			refused, err = pt.land(ctx, c)
			again = append(again, refused...)
		}
		return err
	}
	var err error
	for left := len(order); left > 0 && err == nil; {
		for side := range sides {
			n := min(together, len(sides[side]))
			if n == 0 || err != nil {
				continue
			}
			var c *change
			c, err = pt.change(ctx, sides[side][:n])
			sides[side], left = sides[side][n:], left-n
			if err = errors.Join(err, land(side)); err == nil {
				under[side] = c
				c.begin(ctx, pt, left == 0)
			}
		}
	}
	for side := range under {
		err = errors.Join(err, land(side))
	}
	return again, err
}

// change is what some runs are to become.
type change struct {
	who     []*todo
	commits []wire.Commit
	effects []*engine.Effects
	// When done is closed, results or err say what became of it.
	done    chan struct{}
	results []wire.CommitResult
	err     error
}

// change steps runs.
func (pt *partition) change(ctx context.Context, order []*todo) (*change, error) {
	n := len(order)
	ch := &change{done: make(chan struct{}), who: make([]*todo, 0, n), commits: make([]wire.Commit, n), effects: make([]*engine.Effects, 0, n)}
	effects := make([]engine.Effects, n)
	for _, t := range order {
		k := len(ch.who)
		made, err := pt.step(ctx, t, &ch.commits[k], &effects[k])
		if err != nil {
			return nil, err
		}
		if made {
			ch.who, ch.effects = append(ch.who, t), append(ch.effects, &effects[k])
		}
	}
	ch.commits = ch.commits[:len(ch.who)]
	ch.nameAcks()
	return ch, nil
}

// begin commits a change, in the background unless it is the last.
func (ch *change) begin(ctx context.Context, pt *partition, last bool) {
	if last || !pt.o.concurrent {
		ch.save(ctx, pt)
	} else {
		go ch.save(ctx, pt)
	}
}

// save commits a change. It touches nothing of the partition's.
func (ch *change) save(ctx context.Context, pt *partition) {
	defer close(ch.done)
	if len(ch.commits) > 0 {
		ch.results, ch.err = pt.o.save(ctx, pt.p, ch.commits, ch.effects, false)
	}
}

// land waits for a change, notes that it is made and returns what was in
// conflict.
func (pt *partition) land(ctx context.Context, ch *change) ([]*todo, error) {
	<-ch.done
	if ch.err != nil {
		return nil, ch.err
	}
	var again []*todo
	acked := ch.acked()
	for i, res := range ch.results {
		id := ch.who[i].id
		if res.Err != nil {
			pt.forget(id)
			again = append(again, ch.who[i])
			continue
		}
		for k := range ch.who[i].events {
			ev := &ch.who[i].events[k]
			pt.ledger.cover(ev, acked[ev.Entry.ID])
		}
		if err := pt.replied(ctx, id, ch.effects[i]); err != nil {
			return nil, err
		}
		if l := pt.runs[id]; l != nil {
			pt.note(l, ch, i)
		}
	}
	return again, nil
}

// note brings the memory of a run to what has been committed.
func (pt *partition) note(l *live, ch *change, i int) {
	c, fx := &ch.commits[i], ch.effects[i]
	l.version++
	l.before = fx.Run
	if c.Active != 0 {
		l.active = c.Active
	}
	for _, tm := range c.SetTimers {
		pt.expectTimer(tm) // mutant: expect-new-timer (skip)
	}
	for k := range c.Tickets {
		l.tickets[c.Tickets[k].Fence] = wire.TicketRef{Stream: c.Tickets[k].Stream(), ID: ch.results[i].TicketIDs[k]}
	}
	for _, ev := range ch.who[i].events {
		delete(l.tickets, ev.Fence)
	}
	pt.size += l.run.Size() - l.size
	l.size = l.run.Size()
	if l.run.Final() {
		pt.ended(fx)
		pt.forget(c.Run)
	}
}
