package engine

import (
	"fmt"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/run"
)

// start begins the run.
func (r *Run) start() bool {
	if r.rec.State != run.Queued {
		return false
	}
	if r.admit() {
		return true
	}
	r.rec.Started = r.now
	r.setRunState(run.Running)
	r.fx.Log = append(r.fx.Log, run.Change{At: r.now, Run: run.Running, By: r.rec.SubmittedBy})
	r.root = newScope(r.program.root, "", nil)
	r.rec.Counts.Add(run.TaskPending, len(r.root.nodes))
	if limit := r.program.root.def.Timeout; limit > 0 {
		r.setTimer(TimerTimeout, "", "", r.now+limit.Milliseconds())
	}
	if err := r.fill(r.root, r.inputs()); err != nil {
		r.stop(run.Stop{Cause: expressionError(err), Hard: true})
		return true
	}
	r.begin(r.root)
	return true
}

// inputs returns the run's inputs, as they are in its record.
func (r *Run) inputs() *expr.Result {
	if len(r.rec.Inputs) == 0 {
		return noInputs()
	}
	return expr.NewResult(r.rec.Inputs)
}

func noInputs() *expr.Result { return expr.NewResult([]byte("{}")) }

// begin looks at every job of a scope that waits for no other.
func (r *Run) begin(s *scope) {
	for i := range s.nodes {
		if s.nodes[i].waiting == 0 {
			r.enqueueNode(&s.nodes[i])
		}
	}
	if s.open == 0 {
		r.enqueueScope(s)
	}
}

// openFlow starts the nested flow of a unit.
func (r *Run) openFlow(u *unit) {
	sub := u.node.step.sub
	s, bad := r.newFlow(u)
	if bad == nil && r.rec.Counts.Total()+len(sub.jobs) > r.limits.MaxTasks {
		bad = &run.Error{Code: run.CodeTooLarge, Message: fmt.Sprintf(
			"the nested flow's %d jobs would make more than the limit of %d tasks in a run", len(sub.jobs), r.limits.MaxTasks)}
	}
	if bad != nil {
		r.failNow(u, bad)
		return
	}
	path := u.path()
	u.sub = s
	rec := &u.rec
	rec.Attempt, rec.Queued, rec.Started, rec.Error, rec.Due = 1+rec.Failures, r.now, r.now, nil, 0
	if rec.First == 0 {
		rec.First = r.now
	}
	r.active[path] = u
	r.rec.Counts.Add(run.TaskPending, len(s.nodes))
	if limit := u.flowLimit(); limit > 0 {
		r.setTimer(TimerTimeout, path, "", r.now+limit.Milliseconds())
	}
	r.move(u, run.TaskRunning)
	r.begin(s)
}

// newFlow makes the scope of the flow that a unit starts.
func (r *Run) newFlow(u *unit) (*scope, *run.Error) {
	s := newScope(u.node.step.sub, u.path()+"/", u)
	if u.node.isHook {
		s.outer, s.hook = u.node.scope, u.node
		s.inputs, s.vars = s.outer.inputs, s.outer.vars
		s.enter(open)
		return s, nil
	}
	inputs, bad := r.flowInputs(u)
	if bad != nil {
		return nil, bad
	}
	if err := r.fill(s, inputs); err != nil {
		return nil, expressionError(err)
	}
	return s, nil
}

// flowInputs evaluates what a job gives to the flow it starts, and has the
// flow's declarations fill in the rest.
func (r *Run) flowInputs(u *unit) (*expr.Result, *run.Error) {
	value, err := u.node.step.def.Inputs.Eval(r.view(u))
	if err != nil {
		return nil, expressionError(inPart("inputs", err))
	}
	given, ok := value.(map[string]any)
	if !ok && value != nil {
		return nil, &run.Error{Code: run.CodeInput, Message: "the inputs of a flow must be a map, got " + expr.KindOf(value)}
	}
	resolved, problems := u.node.step.sub.def.ResolveInputs(given, time.UnixMilli(r.rec.Created).UTC())
	if len(problems) > 0 {
		err := &run.Error{Code: run.CodeInput}
		for i, p := range problems {
			if i > 0 {
				err.Message += "; "
			}
			err.Message += p.Error()
		}
		return nil, err
	}
	return expr.NewValueResult(resolved), nil
}

// flowLimit is the longest time one attempt at the unit's flow may take.
func (u *unit) flowLimit() time.Duration {
	a, b := u.node.step.def.Timeout, u.node.step.sub.def.Timeout
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

func (r *Run) clearFlowTimeout(u *unit) {
	if u.flowLimit() > 0 {
		r.clearTimer(TimerTimeout, u.path(), "")
	}
}

// flowTimeout stops a nested flow whose time is over.
func (r *Run) flowTimeout(u *unit) bool {
	limit := int64(0)
	if u.sub != nil {
		limit = u.flowLimit().Milliseconds()
	}
	if limit <= 0 || u.rec.Stopping() {
		return false
	}
	if due := u.rec.Started + limit; r.now < due {
		r.setTimer(TimerTimeout, u.path(), "", due)
		return true
	}
	r.stopFlow(u, run.Stop{Cause: &run.Error{Code: run.CodeTimeout, Message: fmt.Sprintf("the flow took longer than its timeout of %s", u.flowLimit())}})
	return true
}

// advanceScope closes a scope all of whose jobs have ended, after its hooks.
func (r *Run) advanceScope(w work) {
	s := w.scope
	if s.open > 0 || s.phase == closed || s.parent != nil && s.parent.sub != s || !r.runHooks(s) {
		return
	}
	state := r.outcome(s, true)
	s.enter(closed)
	if s.parent == nil {
		r.endRun(s, state)
	} else {
		r.endFlow(s, state)
	}
}

// endFlow ends the unit that opened a scope, or has it tried again.
func (r *Run) endFlow(s *scope, state run.State) {
	u := s.parent
	switch state {
	case run.Cancelled:
		u.rec.Reason = r.stopReason(u.node.scope)
		r.end(u, run.TaskCancelled)
	case run.Failed:
		u.rec.Failures++
		if u.rec.Stopping() {
			r.retryOrFail(u, u.rec.Stop.Cause, false, 0)
			return
		}
		r.retryOrFail(u, s.failure(), false, 0)
	default:
		raw, bad := r.flowOutputs(s)
		if bad == nil {
			bad = checkOutputs(u.node.step.def.Outputs, raw)
		}
		if bad != nil {
			r.failNow(u, bad)
			return
		}
		r.result(u, raw)
	}
}

// failure says why a scope failed: the first job that did, and how many more.
func (s *scope) failure() *run.Error {
	n := s.firstFailed
	if n == nil {
		n = s.failedHook()
	}
	err := &run.Error{Code: run.CodeFlow, Task: n.unit.path()}
	err.Message = fmt.Sprintf("job %q failed", n.step.def.Name)
	if cause := n.unit.rec.Error; cause != nil {
		err.Code = cause.Code
		err.Message += ": " + cause.Message
		if cause.Task != "" {
			err.Task = cause.Task
		}
	}
	if s.failed > 1 {
		err.Message += fmt.Sprintf(" (and %d more)", s.failed-1)
	}
	return err
}

// endRun ends the run with its root scope.
func (r *Run) endRun(s *scope, state run.State) {
	switch {
	case state == run.Succeeded:
		var bad *run.Error
		if r.rec.Outputs, bad = r.flowOutputs(s); bad != nil {
			state, r.rec.Error = run.Failed, bad
		}
	case r.rec.Stopping():
		r.rec.Error = r.rec.Stop.Cause
	default:
		r.rec.Error = s.failure()
	}
	r.finish(state)
}

// finish gives the run its final state. Its Stop has done its work: the cause is
// the run's Error now, and the log names the person.
func (r *Run) finish(state run.State) {
	by := ""
	if r.rec.Stopping() {
		by = r.rec.Stop.By
	}
	r.releaseRunSlot()
	r.setRunState(state)
	r.rec.Ended, r.rec.Signals, r.rec.Stop = r.now, nil, nil
	if keep := r.program.root.def.Retention; keep != nil {
		r.fx.RetainFor = keep.Failure.Milliseconds()
		if state == run.Succeeded {
			r.fx.RetainFor = keep.Success.Milliseconds()
		}
	}
	if r.program.root.def.Timeout > 0 && r.rec.Started > 0 {
		r.clearTimer(TimerTimeout, "", "")
	}
	r.fx.Log = append(r.fx.Log, run.Change{At: r.now, Run: state, Error: r.rec.Error, By: by})
}

// retainsTasks reports whether the tasks of a scope may have to be forgotten, since a
// flow above can be tried again.
func (r *Run) retainsTasks(s *scope) bool {
	for ; s != nil && s.parent != nil; s = s.above() {
		if s.parent.node.step.def.Retries.Max > 0 {
			return true
		}
	}
	return false
}

// closeSub lets go of a nested flow that has ended.
func (r *Run) closeSub(u *unit) {
	if r.retainsTasks(u.node.scope) {
		u.endedSub = u.sub
	}
	u.sub = nil
}

// forgetSub forgets all tasks of a nested flow, so that it can be tried again.
func (r *Run) forgetSub(u *unit) {
	r.forget(u.sub)
	u.sub, u.rec.Stop = nil, nil
}

func (r *Run) forget(s *scope) {
	for i := range s.hooks {
		r.forgetHook(&s.hooks[i])
	}
	for i := range s.nodes {
		n := &s.nodes[i]
		r.forgetHook(n.hook)
		if n.iter != nil {
			for _, item := range n.iter.units {
				if item == nil {
					r.rec.Counts.Add(n.iter.rest, -1)
					continue
				}
				r.forgetUnit(item)
			}
		}
		r.forgetUnit(&n.unit)
	}
}

func (r *Run) forgetHook(n *node) {
	if n != nil && n.unit.rec.State != "" {
		r.forgetUnit(&n.unit)
	}
}

func (r *Run) forgetUnit(u *unit) {
	if u.endedSub != nil {
		r.forget(u.endedSub)
	}
	path := u.path()
	r.rec.Counts.Add(u.state(), -1)
	delete(r.outputs, path)
	if u.rec.State != "" {
		r.fx.Forget = append(r.fx.Forget, path)
	}
	u.forgotten = true
}
