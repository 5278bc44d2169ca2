package engine

import (
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// A hook is a job beside those of its scope: it starts a flow whose jobs see
// the scope's inputs, vars and jobs. Those of a scope run when no job of it is
// open, those of a job when it has failed for good and before anything follows
// from that.

// runHooks begins the next hook of a scope; true says that all have ended.
func (r *Run) runHooks(s *scope) bool {
	base := r.outcome(s, false)
	for i := range s.hooks {
		n := &s.hooks[i]
		switch {
		case n.state().Final():
		case n.unit.sub != nil:
			return false
		case !follows(n.step.on, base):
		case s.phase != aborting:
			if r.openHook(n); !n.state().Final() {
				return false
			}
		}
	}
	return true
}

func follows(on flow.HookOn, end run.State) bool {
	switch on {
	case flow.OnFailureHook:
		return end == run.Failed
	case flow.OnSuccessHook:
		return end == run.Succeeded
	case flow.OnCancelHook:
		return end == run.Cancelled
	}
	return true
}

func (r *Run) openHook(n *node) {
	r.rec.Counts.Add(run.TaskPending, 1)
	r.openFlow(&n.unit)
}

// makeHook makes the node of a job's hook.
func (n *node) makeHook() *node {
	n.hook = &node{scope: n.scope, step: n.step.hook, owner: n, isHook: true}
	n.hook.unit.node, n.hook.unit.index = n.hook, -1
	return n.hook
}

func (r *Run) openJobHook(n *node) {
	by := r.mover
	r.mover = byEngine
	r.openHook(n.makeHook())
	r.mover = by
}

// hookEnded goes on with what the hook was in the way of.
func (r *Run) hookEnded(n *node) {
	if n.owner == nil {
		r.enqueueScope(n.scope)
		return
	}
	if n.step.recovers && n.state() == run.TaskSucceeded {
		n.owner.unit.rec.Tolerated = true
		r.markDirty(&n.owner.unit)
	}
	r.nodeSettled(n.owner)
}

// outcome says how a scope ends. Without hooks it is what its jobs make it;
// with them, a failure may be made good, and a success spoilt.
func (r *Run) outcome(s *scope, hooks bool) run.State {
	if s.stopped() {
		return r.stoppedAs(s)
	}
	switch {
	case s.failed > 0 && (!hooks || !s.recovered()):
		return run.Failed
	case hooks && s.failedHook() != nil:
		return run.Failed
	}
	return run.Succeeded
}

// stoppedAs returns how a scope ends that is being stopped. A nested flow fails
// when it is stopped for a reason of its own, and is cancelled with the scope
// above it.
func (r *Run) stoppedAs(s *scope) run.State {
	switch {
	case s.parent == nil:
		return r.rec.Stop.State()
	case s.parent.rec.Stopping() && !s.above().stopped():
		return run.Failed
	}
	return run.Cancelled
}

// recovered reports whether a hook made good what failed.
func (s *scope) recovered() bool {
	for i := range s.hooks {
		if s.hooks[i].step.recovers && s.hooks[i].state() == run.TaskSucceeded {
			return true
		}
	}
	return false
}

func (s *scope) failedHook() *node {
	for i := range s.hooks {
		if s.hooks[i].state() == run.TaskFailed {
			return &s.hooks[i]
		}
	}
	return nil
}

// failedJobs names what failed: the tasks in which it began.
func (s *scope) failedJobs() []any {
	list := []any{}
	for i := range s.nodes {
		n := &s.nodes[i]
		if n.state() != run.TaskFailed || n.unit.rec.Tolerated {
			continue
		}
		if err := n.unit.rec.Error; err != nil && err.Task != "" {
			list = append(list, err.Task)
			continue
		}
		list = append(list, n.unit.path())
	}
	return list
}

// selfOf is what a hook belongs to, or the signal that is looked at.
func (v *view) selfOf() (any, bool) {
	if v.self != nil {
		return v.self, true
	}
	s := v.scope
	if s.outer == nil {
		return nil, false
	}
	self := map[string]any{"name": s.outer.plan.def.Name, "status": string(v.run.outcome(s.outer, true)), "error": nil}
	rec := (*run.Task)(nil)
	if owner := s.hook.owner; owner != nil {
		rec = &owner.unit.rec
		self["name"], self["status"], self["attempts"] = owner.step.def.Name, string(rec.State), rec.Attempt
		self["errors"] = owner.errors
		self["inputs"] = v.run.inputsOf(owner)
	} else if s.outer.firstFailed != nil {
		self["error"] = errorValue(s.outer.failure())
	} else if v.run.rec.Stopping() {
		self["error"] = errorValue(v.run.rec.Stop.Cause)
	}
	if rec != nil && rec.Error != nil {
		self["error"] = errorValue(rec.Error)
	}
	return self, true
}

func errorValue(err *run.Error) map[string]any {
	return map[string]any{"code": err.Code, "message": err.Message, "task": err.Task}
}

// inputsOf evaluates the inputs of a job once more; secrets stay unnamed. Those
// of an iterated job differ from item to item and are not among them.
func (r *Run) inputsOf(n *node) any {
	if n.iterated() || n.step.def.Inputs == nil {
		return map[string]any{}
	}
	var value any
	var err error
	if n.step.sub != nil {
		value, err = n.step.def.Inputs.Eval(r.view(&n.unit))
	} else {
		value, _, err = n.step.def.Inputs.EvalSecret(r.view(&n.unit))
	}
	if err != nil {
		return map[string]any{}
	}
	return value
}
