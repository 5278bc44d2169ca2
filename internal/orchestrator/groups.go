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

// asked finds the answers to the questions of a run's tasks, and gives slots
// back. It may come again for the same, after a crash or from the sweeper.
func (o *Orchestrator) asked(ctx context.Context, id string, asks []engine.Ask, frees []engine.Free) error {
	now := o.now().UnixMilli()
	for i := range frees {
		if err := o.free(ctx, id, &frees[i], now); err != nil {
			return err
		}
	}
	for i := range asks {
		a := &asks[i]
		ev := wire.Event{Type: wire.Answered, Run: id, Task: a.Task, Fence: a.Ask, At: now}
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
			return fmt.Errorf("answer task %s of run %s: the question %q is not known", a.Task, id, a.Kind)
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
func (o *Orchestrator) askGroup(ctx context.Context, id string, a *engine.Ask, ev *wire.Event) (bool, error) {
	me := wire.Member{Run: id, Task: a.Task, Ask: a.Ask}
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

// free gives back a slot, or holds tokens back.
func (o *Orchestrator) free(ctx context.Context, id string, f *engine.Free, now int64) error {
	if f.Kind == run.WaitRate {
		return o.store.HoldRate(ctx, f.Group, f.Limit, time.Duration(f.Per)*time.Millisecond, now, f.Until)
	}
	me := wire.Member{Run: id, Task: f.Task, Ask: f.Ask}
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
			if err := o.free(ctx, m.Run, &engine.Free{Kind: run.WaitGroup, Task: m.Task, Group: name, Ask: m.Ask}, now.UnixMilli()); err != nil {
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
		return rec.Slot != nil && rec.Slot.Ask == m.Ask || rec.Wait != nil && rec.Wait.Ask == m.Ask, nil
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
	if task.Wait != nil && task.Wait.Ask == m.Ask {
		return true, nil
	}
	for _, s := range task.Slots {
		if s.Ask == m.Ask {
			return true, nil
		}
	}
	return false, nil
}
