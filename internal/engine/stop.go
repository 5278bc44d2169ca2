package engine

import (
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// A stop begins with stop (the run) or stopFlow (a nested flow). Both record a
// run.Stop, which is what survives a crash, and hand over to stopScope: it moves
// the scope to stopping or aborting, and the work list cancels what may not run
// any more. The scope closes when all its tasks are final.

// cancel stops the run at a person's request. Jobs whose condition asks for it
// (always, cancelled) still run; a second cancel stops these too.
func (r *Run) cancel(ev *Event) bool {
	r.unpause()
	if r.rec.Stopping() {
		if r.rec.Stop.Hard {
			return false
		}
		hard := *r.rec.Stop
		hard.Hard = true
		r.rec.Stop, r.changed = &hard, true
		r.fx.Log = append(r.fx.Log, run.Change{At: r.now, Run: run.Running, By: ev.By, Reason: "cancelled again: stop at once"})
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
	r.stop(run.Stop{Cause: &run.Error{Code: run.CodeCancelled, Message: message}, By: ev.By})
	return true
}

// stop ends the run before its time. A run that has not begun ends at once; a
// run that is being stopped already keeps its first stop.
func (r *Run) stop(stop run.Stop) {
	r.unpause()
	if r.rec.Stopping() { // mutant: first-stop-counts (false)
		return
	}
	r.rec.Stop, r.changed = &stop, true
	if r.root == nil {
		r.rec.Error = stop.Cause
		r.finish(stop.State())
		return
	}
	r.fx.Log = append(r.fx.Log, run.Change{At: r.now, Run: run.Running, Error: stop.Cause, By: stop.By})
	r.stopScope(r.root, stop.Hard)
}

// stopFlow stops the nested flow of a unit for a reason of its own.
func (r *Run) stopFlow(u *unit, stop run.Stop) {
	if !u.rec.Stopping() {
		u.rec.Stop = &stop
		r.markDirty(u)
	}
	r.stopScope(u.sub, stop.Hard)
}

// stopScope lets no more jobs of a scope start, but those that run after a stop,
// and cancels the others.
func (r *Run) stopScope(s *scope, hard bool) {
	to := stopping
	if hard {
		to = aborting
	}
	if !s.enter(to) {
		return
	}
	for i := range s.nodes {
		if !s.nodes[i].state().Final() {
			r.enqueueNode(&s.nodes[i])
		}
	}
	for i := range s.hooks {
		// A hook of success is pointless now; the others clean up.
		if hard || s.hooks[i].step.on == flow.OnSuccessHook {
			r.stopHook(&s.hooks[i])
		}
	}
	if hard {
		for i := range s.nodes {
			r.stopHook(s.nodes[i].hook)
		}
	}
	r.enqueueScope(s)
}

// stopHook stops a hook that is running, at once.
func (r *Run) stopHook(n *node) {
	if n != nil && n.unit.sub != nil {
		r.stopFlow(&n.unit, run.Stop{Cause: r.cause(n.scope), Hard: true})
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
	r.enqueueItems(n)
}

// cancelUnit cancels a unit. A nested flow is stopped and ends with its tasks;
// anything else is final at once.
func (r *Run) cancelUnit(u *unit) {
	if u.rec.State.Final() {
		return
	}
	if u.sub != nil {
		r.stopScope(u.sub, u.node.scope.phase == aborting)
		return
	}
	r.withdraw(u)
	u.rec.Reason = r.stopReason(u.node.scope)
	r.end(u, run.TaskCancelled)
}

// withdraw takes the ticket of a unit back, if it has one.
func (r *Run) withdraw(u *unit) {
	if u.rec.Fence == "" {
		return
	}
	r.revoke(u)
	r.recordAttempt(u, &Event{}, OutcomeCancelled, nil)
	r.clearInFlight(u)
}

// stopReason says in words why tasks of a scope are cancelled.
func (r *Run) stopReason(s *scope) string {
	if err := r.cause(s); err != nil {
		return err.Message
	}
	return ""
}
