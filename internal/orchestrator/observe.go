package orchestrator

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/fact"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// Observer is told what an orchestrator does, for metrics and traces. The loops
// call it, so its methods must not wait.
type Observer interface {
	// Read is told of events that were read; taken over says that another
	// orchestrator had read them before and not dealt with them.
	Read(events []wire.Event, takenOver bool)
	// Answered is told that a submission was accepted or rejected.
	Answered(accepted bool)
	// Committed is told of one call to Redis that changed runs.
	Committed(c *Committed)
	// Stale is told of events that had no effect, where there was nothing to
	// commit.
	Stale(events int)
	// Trace is the W3C traceparent for the handler of an attempt, or of the run
	// itself when task is ""; "" is none. first is when the task's first attempt
	// was published.
	Trace(r *run.Run, task string, attempt int, first int64) string
}

// Committed is one call to Redis that changed runs.
type Committed struct {
	// Took is how long the call took, Conflicts the changes that were refused
	// since somebody else had been faster.
	Took      time.Duration
	Conflicts int
	// Effects are those that are true now. Created says that they began a run.
	Effects []*engine.Effects
	Created bool
}

// unobserved is the Observer of an orchestrator that has none.
type unobserved struct{}

func (unobserved) Read([]wire.Event, bool) {}
func (unobserved) Answered(bool)           {}
func (unobserved) Committed(*Committed)    {}
func (unobserved) Stale(int)               {}

// Trace hands on what came with the submission.
func (unobserved) Trace(r *run.Run, _ string, _ int, _ int64) string { return r.Trace }

// traced puts the trace into the tickets of a change.
func (o *Orchestrator) traced(c *wire.Commit, fx *engine.Effects) {
	for i := range fx.Tickets {
		t := &fx.Tickets[i]
		c.Tickets[i].Trace = o.cfg.Observer.Trace(&fx.Run, t.Task, t.Attempt, t.First)
	}
}

// about is what log lines tell of a run.
func (o *Orchestrator) about(r *run.Run) []zap.Field {
	return []zap.Field{fact.Run(r.ID), fact.Recipe(r.Recipe), fact.Trace(o.cfg.Observer.Trace(r, "", 0, 0))}
}

// about is the same of a run that may not be at hand.
func (pt *partition) about(id string) []zap.Field {
	if l := pt.runs[id]; l != nil {
		return pt.o.about(&l.before)
	}
	return []zap.Field{fact.Run(id)}
}

// born is the same of a run that was submitted; it may have been there before.
func (o *Orchestrator) born(b *birth) []zap.Field {
	if b.fx != nil {
		return o.about(&b.fx.Run)
	}
	return []zap.Field{fact.Run(b.id), fact.Recipe(b.sub.Recipe), fact.Trace(b.sub.Trace)}
}

// save commits changes that effects stand for, and tells of it.
func (o *Orchestrator) save(ctx context.Context, p int, changes []wire.Commit, effects []*engine.Effects, created bool) ([]wire.CommitResult, error) {
	began := o.clock()
	results, err := o.store.Commit(ctx, p, changes)
	if err != nil {
		return nil, err
	}
	told := Committed{Took: o.clock().Sub(began), Created: created, Effects: effects}
	for _, res := range results {
		if res.Err != nil {
			told.Conflicts++
		}
	}
	if told.Conflicts > 0 {
		told.Effects = nil
		for i, res := range results {
			if res.Err == nil {
				told.Effects = append(told.Effects, effects[i])
			}
		}
	}
	o.cfg.Observer.Committed(&told)
	return results, nil
}

// Owned are the partitions that this orchestrator looks after.
func (o *Orchestrator) Owned() []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []int
	for p := range o.store.Partitions() {
		if o.owned[p] {
			all = append(all, p)
		}
	}
	return all
}
