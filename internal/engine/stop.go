package engine

import (
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// cancel stops the run as somebody wishes. Jobs whose condition asks for it
// (always, cancelled) still run; a second cancel stops these too.
func (r *Run) cancel(ev *Event) bool {
	r.goesOn()
	if r.rec.Error != nil {
		if r.root == nil || r.root.hard {
			return false
		}
		r.fx.Log = append(r.fx.Log, run.Change{At: r.now, Run: run.Running, By: ev.By, Reason: "cancelled again: stop at once"})
		r.changed = true
		r.stopScope(r.root, true)
		return true
	}
	message := "cancelled"
	if ev.By != "" {
		message += " by " + ev.By
	}
	if ev.Reason != "" {
		message += ": " + ev.Reason
	}
	r.stop(&run.Error{Code: run.CodeCancelled, Message: message}, false, ev.By)
	return true
}

// stop ends the run before its time; err says how it will end.
func (r *Run) stop(err *run.Error, hard bool, by string) {
	r.goesOn()
	r.rec.Error = err
	r.changed = true
	if r.root == nil {
		state := run.Failed
		if err.Code == run.CodeCancelled {
			state = run.Cancelled
		}
		r.finish(state, by)
		return
	}
	r.fx.Log = append(r.fx.Log, run.Change{At: r.now, Run: run.Running, Error: err, By: by})
	r.stopScope(r.root, hard)
}

// stopReason says in words why tasks are cancelled.
func (r *Run) stopReason() string {
	if r.rec.Error != nil {
		return r.rec.Error.Message
	}
	return "the flow above took too long"
}

// stopScope lets no more jobs of a scope start and cancels those under way.
func (r *Run) stopScope(s *scope, hard bool) {
	if s.stopping && (s.hard || !hard) {
		return
	}
	s.stopping, s.hard = true, s.hard || hard
	for i := range s.nodes {
		if !s.nodes[i].state().Final() {
			r.laterNode(&s.nodes[i])
		}
	}
	for i := range s.hooks {
		// What follows a success means nothing any more; the rest cleans up.
		if hard || s.hooks[i].step.on == flow.OnSuccessHook {
			r.stopHook(&s.hooks[i])
		}
	}
	if hard {
		for i := range s.nodes {
			r.stopHook(s.nodes[i].hook)
		}
	}
	r.laterScope(s)
}

// stopHook stops a hook that is running, at once.
func (r *Run) stopHook(n *node) {
	if n != nil && n.unit.sub != nil {
		r.stopScope(n.unit.sub, true)
	}
}

// cancelNode cancels a job with all its items.
func (r *Run) cancelNode(n *node) {
	it := n.iter
	if it == nil {
		r.cancelUnit(&n.unit)
		return
	}
	it.stopped = true
	for _, u := range it.units {
		if u != nil {
			r.cancelUnit(u)
		}
	}
	r.laterItems(n)
}

// cancelUnit cancels a unit. A nested flow ends when all its jobs have.
func (r *Run) cancelUnit(u *unit) {
	if u.rec.State.Final() {
		return
	}
	if u.sub != nil {
		r.stopScope(u.sub, u.node.scope.hard)
		return
	}
	if u.rec.Fence != "" {
		r.revoke(u)
		r.over(u, &Event{}, OutcomeCancelled, nil)
		r.landed(u)
	}
	u.rec.Reason = r.stopReason()
	r.end(u, run.TaskCancelled)
}

// blockedByStop reports whether the unit may not be tried again because its
// scope is being stopped.
func (r *Run) blockedByStop(u *unit) bool {
	s := u.node.scope
	return s.hard || s.stopping && !u.node.step.stopped
}
