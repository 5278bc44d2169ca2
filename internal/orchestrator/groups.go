package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/fact"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// answerQueries answers the queries of a run's tasks. The same query may come
// again, after a crash or from the sweeper.
func (o *Orchestrator) answerQueries(ctx context.Context, id string, queries []engine.Query) error {
	now := o.now().UnixMilli()
	for i := range queries {
		a := &queries[i]
		ev := wire.Event{Type: wire.Answered, Run: id, Task: a.Task, Fence: a.Query, At: now}
		answered := true
		var err error
		switch a.Kind {
		case run.WaitGroup:
			answered, err = o.askGroup(ctx, id, a, &ev)
		case run.WaitRate:
			ev.Due, err = o.store.TakeRate(ctx, a.Key, a.Limit, time.Duration(a.Per)*time.Millisecond, now)
			ev.Granted = ev.Due == 0
		case run.WaitCache:
			o.lookUp(ctx, a, &ev)
		default:
			return fmt.Errorf("answer task %s of run %s: the query %q is not known", a.Task, id, a.Kind)
		}
		if err != nil {
			return err
		}
		if answered {
			if err := o.store.SendEvents(ctx, o.store.PartitionOf(id), []wire.Event{ev}); err != nil {
				return err
			}
		}
	}
	return nil
}

// askGroup asks for a slot; false says that the answer is to come.
func (o *Orchestrator) askGroup(ctx context.Context, id string, a *engine.Query, ev *wire.Event) (bool, error) {
	me := wire.Member{Run: id, Task: a.Task, Ask: a.Query}
	reply, err := o.store.AskGroup(ctx, wire.GroupAsk{
		Group: a.Key, Member: me, Limit: a.Limit, Priority: a.Priority, Mode: a.Mode, Now: o.now().UnixMilli(),
	})
	if err != nil {
		return false, err
	}
	if err := o.passOn(ctx, reply, me); err != nil {
		return false, err
	}
	switch {
	case reply.State == "held":
		ev.Granted = true
		return true, nil
	case reply.State == "refused":
		return true, o.whoHolds(ctx, a.Key, ev)
	case reply.Until > 0:
		ev.Due = reply.Until
		return true, nil
	}
	return false, nil
}

// whoHolds says in an answer who has the slots.
func (o *Orchestrator) whoHolds(ctx context.Context, group string, ev *wire.Event) error {
	g, err := o.store.Group(ctx, group)
	if err == nil && len(g.Holders) > 0 {
		ev.Reason = "held by run " + g.Holders[0].Run
	}
	return err
}

// passOn tells those who got a slot, or lost theirs, by somebody else's doing.
func (o *Orchestrator) passOn(ctx context.Context, reply wire.GroupReply, me wire.Member) error {
	now := o.now().UnixMilli()
	for _, m := range reply.Granted {
		if m == me {
			continue
		}
		ev := wire.Event{Type: wire.Answered, Run: m.Run, Task: m.Task, Fence: m.Ask, Granted: true, At: now}
		if err := o.store.SendEvents(ctx, o.store.PartitionOf(m.Run), []wire.Event{ev}); err != nil {
			return err
		}
	}
	for _, m := range reply.Evicted {
		ev := wire.Event{Type: wire.Evicted, Run: m.Run, Task: m.Task, Fence: m.Ask, Reason: "run " + me.Run, At: now}
		if err := o.store.SendEvents(ctx, o.store.PartitionOf(m.Run), []wire.Event{ev}); err != nil {
			return err
		}
	}
	return nil
}

// release releases the slots of a run and holds its rates back.
func (o *Orchestrator) release(ctx context.Context, id string, fx *engine.Effects) error {
	now := o.now().UnixMilli()
	for i := range fx.SlotReleases {
		if err := o.releaseSlot(ctx, id, &fx.SlotReleases[i], now); err != nil {
			return err
		}
	}
	for _, h := range fx.RateHolds {
		if err := o.store.HoldRate(ctx, h.Key, h.Limit, time.Duration(h.Per)*time.Millisecond, now, h.Until); err != nil {
			return err
		}
	}
	return nil
}

// releaseSlot releases a slot, or withdraws the query for one, and tells whoever
// gets it.
func (o *Orchestrator) releaseSlot(ctx context.Context, id string, f *engine.SlotRelease, now int64) error {
	me := wire.Member{Run: id, Task: f.Task, Ask: f.Query}
	reply, err := o.store.FreeGroup(ctx, f.Group, me, now, f.Until)
	if err != nil {
		return err
	}
	if err := o.passOn(ctx, reply, me); err != nil || f.Until == 0 {
		return err
	}
	return o.holdBack(ctx, f.Group, f.Until)
}

// holdBack tells those who wait in a group that is paused when to ask again.
func (o *Orchestrator) holdBack(ctx context.Context, group string, until int64) error {
	g, err := o.store.Group(ctx, group)
	if err != nil {
		return err
	}
	for _, m := range g.Waiters {
		ev := wire.Event{Type: wire.Answered, Run: m.Run, Task: m.Task, Fence: m.Ask, Due: until, At: o.now().UnixMilli()}
		if err := o.store.SendEvents(ctx, o.store.PartitionOf(m.Run), []wire.Event{ev}); err != nil {
			return err
		}
	}
	return nil
}

// unleak gives back slots whose holder no longer knows of them: a crash came
// between a commit and what followed from it.
func (o *Orchestrator) unleak(ctx context.Context) error {
	if !o.owns(0) {
		return nil
	}
	names, err := o.store.Groups(ctx)
	if err != nil {
		return err
	}
	now := o.now()
	for _, name := range names {
		g, err := o.store.Group(ctx, name)
		if err != nil {
			return err
		}
		if len(g.Holders)+len(g.Waiters) == 0 {
			if err := o.store.ForgetGroup(ctx, name); err != nil {
				return err
			}
			continue
		}
		for _, m := range append(g.Holders, g.Waiters...) {
			known, err := o.knows(ctx, m)
			if err != nil {
				return err
			}
			if known { // mutant: leaked-slots-released (true)
				continue
			}
			o.log.Warn("a slot was left behind and is given back", zap.String("group", name), fact.Run(m.Run), fact.Task(m.Task))
			if err := o.releaseSlot(ctx, m.Run, &engine.SlotRelease{Task: m.Task, Group: name, Query: m.Ask}, now.UnixMilli()); err != nil {
				return err
			}
		}
	}
	return nil
}

// knows reports whether a member's record says that it holds a slot, or waits
// for one. A question is asked after it was recorded, so nobody is too new.
func (o *Orchestrator) knows(ctx context.Context, m wire.Member) (bool, error) {
	rec, err := o.store.Run(ctx, m.Run)
	if errors.Is(err, wire.ErrNotFound) || err == nil && rec.State.Final() {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if m.Task == "" {
		return rec.Slot != nil && rec.Slot.Query == m.Ask || rec.Wait != nil && rec.Wait.Query == m.Ask, nil
	}
	text, err := o.store.Task(ctx, m.Run, m.Task)
	if errors.Is(err, wire.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	task, err := run.ParseTask(m.Task, text)
	if err != nil {
		return false, err
	}
	if task.Wait != nil && task.Wait.Query == m.Ask {
		return true, nil
	}
	for _, s := range task.Slots {
		if s.Query == m.Ask {
			return true, nil
		}
	}
	return false, nil
}
