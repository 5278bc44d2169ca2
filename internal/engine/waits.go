package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// startWait has a unit wait for something outside of the run.
func (r *Run) startWait(u *unit, w run.Wait) {
	r.release(u)
	w.Since = r.now
	u.rec.Wait = &w
	path := u.path()
	r.active[path] = u
	if w.Due > 0 {
		r.setTimer(TimerWait, path, "", w.Due)
	}
	to := run.TaskWaiting
	if w.Kind == run.WaitDelay {
		to = run.TaskDelayed
	}
	r.move(u, to)
}

// endWait forgets what a unit waits for.
func (r *Run) endWait(u *unit) {
	if w := u.rec.Wait; w != nil {
		if w.Due > 0 {
			r.clearTimer(TimerWait, u.path(), "")
		}
		u.rec.Wait = nil
		r.markDirty(u)
	}
}

// setWaitDue sets when a wait ends by itself.
func (r *Run) setWaitDue(u *unit, due int64) {
	w := *u.rec.Wait
	w.Due = due
	u.rec.Wait = &w
	r.setTimer(TimerWait, u.path(), "", due)
	r.markDirty(u)
}

// delayNode puts off the start of a job.
func (r *Run) delayNode(n *node) {
	if n.unit.rec.Delayed > 0 {
		r.beginNode(n)
		return
	}
	due, err := r.startTime(n)
	if err != nil {
		r.failNow(&n.unit, expressionError(inPart("delay", err)))
		return
	}
	if due <= r.now {
		r.beginNode(n)
		return
	}
	n.unit.rec.Delayed = due
	r.startWait(&n.unit, run.Wait{Kind: run.WaitDelay, Due: due})
}

func (r *Run) startTime(n *node) (int64, error) {
	def := n.step.def
	if def.Until != nil {
		v, err := def.Until.Eval(r.view(&n.unit))
		if err != nil {
			return 0, err
		}
		t, err := flow.ParseTime(v)
		return t.UnixMilli(), err
	}
	v, err := def.Delay.Eval(r.view(&n.unit))
	if err != nil {
		return 0, err
	}
	d, err := flow.ParseDelay(v)
	return r.now + d.Milliseconds(), err
}

// startDelayed starts a job whose time has come.
func (r *Run) startDelayed(n *node) {
	if w := n.unit.rec.Wait; w != nil && r.now < w.Due {
		return
	}
	r.endWait(&n.unit)
	r.makePending(&n.unit)
	r.mover = byEngine
	r.beginNode(n)
}

// makePending makes a unit one that may start.
func (r *Run) makePending(u *unit) {
	r.setState(u, run.TaskPending)
}

// openApproval asks somebody to say yes or no.
func (r *Run) openApproval(u *unit) {
	a := u.node.step.def.Approval
	message := ""
	if a.Message != nil {
		v, err := a.Message.Eval(r.view(u))
		if err != nil {
			r.failNow(u, expressionError(inPart("approval.message", err)))
			return
		}
		message = textOf(v)
	}
	r.openWait(u, run.Wait{Kind: run.WaitApproval, Message: message, By: a.By}, a.Timeout)
}

func (r *Run) openWait(u *unit, w run.Wait, timeout time.Duration) {
	if timeout > 0 {
		w.Due = r.now + timeout.Milliseconds()
	}
	u.rec.Attempt, u.rec.Queued, u.rec.Started, u.rec.First = 1, r.now, r.now, r.now
	r.startWait(u, w)
}

func textOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	raw, err := expr.Encode(v)
	if err != nil {
		return ""
	}
	return string(raw)
}

// openSignal waits for a signal, which may have come before.
func (r *Run) openSignal(u *unit) {
	def := u.node.step.def.WaitFor
	v, err := def.Signal.Eval(r.view(u))
	if err != nil {
		r.failNow(u, expressionError(inPart("waitFor.signal", err)))
		return
	}
	name := textOf(v)
	r.openWait(u, run.Wait{Kind: run.WaitSignal, Key: name}, def.Timeout)
	for i := range r.rec.Signals {
		s := r.rec.Signals[i]
		if s.Name == name && r.takeSignal(u, &s) {
			r.rec.Signals = slices.Delete(slices.Clone(r.rec.Signals), i, i+1)
			r.changed = true
			return
		}
	}
}

// takeSignal ends the wait of a unit if the signal is the one it waits for.
func (r *Run) takeSignal(u *unit, s *run.Signal) bool {
	raw, err := tidy(s.Data)
	if err != nil {
		raw = json.RawMessage("null") // it was checked when it came
	}
	if cond := u.node.step.def.WaitFor.Match; cond != nil {
		v := r.view(u)
		v.self = map[string]any{"name": s.Name, "data": decode(raw), "by": s.By}
		yes, err := cond.Eval(v)
		if err != nil {
			r.failNow(u, expressionError(inPart("waitFor.match", err)))
			return true
		}
		if !yes {
			return false
		}
	}
	r.result(u, raw)
	return true
}

// waitDue ends a wait whose time has come.
func (r *Run) waitDue(u *unit) bool {
	w := u.rec.Wait
	if w == nil || w.Due <= 0 {
		return false
	}
	if r.now < w.Due {
		r.setTimer(TimerWait, u.path(), "", w.Due)
		return true
	}
	def := u.node.step.def
	switch w.Kind {
	case run.WaitDelay:
		r.wakeNode(u.node)
	case run.WaitApproval:
		if def.Approval.Approve {
			r.resultValue(u, r.approved("", "", nil))
			return true
		}
		r.failNow(u, &run.Error{Code: run.CodeRejected, Message: fmt.Sprintf("nobody answered within %s", def.Approval.Timeout)})
	case run.WaitSignal:
		r.signalTimeout(u, def.WaitFor)
	case run.WaitRate:
		r.endWait(u) // the token was reserved
		r.makePending(u)
		r.enqueueUnit(u)
	default:
		r.repeatQuery(u)
	}
	return true
}

// repeatQuery repeats a question when its time has come.
func (r *Run) repeatQuery(u *unit) {
	w := *u.rec.Wait
	w.Due = 0
	u.rec.Wait = &w
	r.markDirty(u)
	r.fx.Queries = append(r.fx.Queries, Query{Task: u.path(), Priority: u.node.step.def.Priority, Wait: w})
}

func (r *Run) signalTimeout(u *unit, def *flow.WaitFor) {
	if def.Default == nil {
		r.failNow(u, &run.Error{Code: run.CodeTimeout, Message: fmt.Sprintf("the signal %q did not come within %s", u.rec.Wait.Key, def.Timeout)})
		return
	}
	v, err := def.Default.Eval(r.view(u))
	if err != nil {
		r.failNow(u, expressionError(inPart("waitFor.default", err)))
		return
	}
	r.resultValue(u, v)
}
