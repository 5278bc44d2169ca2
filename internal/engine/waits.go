package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// wait has a unit wait for something outside of the run.
func (r *Run) wait(u *unit, w run.Wait) {
	r.leave(u)
	w.Since = r.now
	u.rec.Wait = &w
	path := u.path()
	r.live[path] = u
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
		r.mark(u)
	}
}

// waitUntil sets when a wait ends by itself.
func (r *Run) waitUntil(u *unit, due int64) {
	w := *u.rec.Wait
	w.Due = due
	u.rec.Wait = &w
	r.setTimer(TimerWait, u.path(), "", due)
	r.mark(u)
}

// delayNode puts off the start of a job.
func (r *Run) delayNode(n *node) {
	if n.unit.rec.Delayed > 0 {
		r.beginNode(n)
		return
	}
	due, err := r.startTime(n)
	if err != nil {
		r.rejected(&n.unit, expressionError(wrap("delay", err)))
		return
	}
	if due <= r.now {
		r.beginNode(n)
		return
	}
	n.unit.rec.Delayed = due
	r.wait(&n.unit, run.Wait{Kind: run.WaitDelay, Due: due})
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
	r.unwait(&n.unit)
	r.beginNode(n)
}

// unwait makes a unit one that may start.
func (r *Run) unwait(u *unit) {
	r.rec.Counts.Add(u.rec.State, -1)
	r.rec.Counts.Add(run.TaskPending, 1)
	u.rec.State = run.TaskPending
	r.mark(u)
}

// openApproval asks somebody to say yes or no.
func (r *Run) openApproval(u *unit) {
	a := u.node.step.def.Approval
	message := ""
	if a.Message != nil {
		v, err := a.Message.Eval(r.view(u))
		if err != nil {
			r.rejected(u, expressionError(wrap("approval.message", err)))
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
	r.wait(u, w)
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
		r.rejected(u, expressionError(wrap("waitFor.signal", err)))
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
	value := decode(s.Data)
	if cond := u.node.step.def.WaitFor.Match; cond != nil {
		v := r.view(u)
		v.self = map[string]any{"name": s.Name, "data": value, "by": s.By}
		yes, err := cond.Eval(v)
		if err != nil {
			r.rejected(u, expressionError(wrap("waitFor.match", err)))
			return true
		}
		if !yes {
			return false
		}
	}
	r.result(u, value)
	return true
}

// waitOver ends a wait whose time has come.
func (r *Run) waitOver(u *unit) bool {
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
		r.laterNode(u.node)
	case run.WaitApproval:
		if def.Approval.Approve {
			r.result(u, r.approved("", "", nil))
			return true
		}
		r.rejected(u, &run.Error{Code: run.CodeRejected, Message: fmt.Sprintf("nobody answered within %s", def.Approval.Timeout)})
	case run.WaitSignal:
		r.signalTimeout(u, def.WaitFor)
	case run.WaitRate:
		r.endWait(u) // the token was reserved
		r.unwait(u)
		r.laterUnit(u)
	default:
		r.askAgain(u)
	}
	return true
}

// askAgain repeats a question when its time has come.
func (r *Run) askAgain(u *unit) {
	w := *u.rec.Wait
	w.Due = 0
	u.rec.Wait = &w
	r.mark(u)
	r.fx.Asks = append(r.fx.Asks, Ask{Task: u.path(), Priority: u.node.step.def.Priority, Wait: w})
}

func (r *Run) signalTimeout(u *unit, def *flow.WaitFor) {
	if def.Default == nil {
		r.rejected(u, &run.Error{Code: run.CodeTimeout, Message: fmt.Sprintf("the signal %q did not come within %s", u.rec.Wait.Key, def.Timeout)})
		return
	}
	v, err := def.Default.Eval(r.view(u))
	if err != nil {
		r.rejected(u, expressionError(wrap("waitFor.default", err)))
		return
	}
	r.result(u, v)
}

// control takes in what an operator wants, and replies.
func (r *Run) control(ev *Event) bool {
	var err error
	switch {
	case r.root == nil:
		err = errors.New("the run has not begun yet")
	case ev.Kind == Pause:
		err = r.pause(ev)
	case ev.Kind == Resume:
		err = r.resume(ev)
	case ev.Kind == Signal:
		err = r.signal(ev)
	default:
		err = r.decide(ev)
	}
	r.reply(ev, err)
	return err == nil
}

// reply says what became of an event, to those who asked for it.
func (r *Run) reply(ev *Event, err error) {
	if ev.Reply == "" {
		return
	}
	reply := Reply{ID: ev.Reply}
	if err != nil {
		reply.Error = err.Error()
	}
	r.fx.Replies = append(r.fx.Replies, reply)
}

func (r *Run) note(ev *Event, task string) {
	r.fx.Log = append(r.fx.Log, run.Change{At: r.now, Task: task, Op: string(ev.Kind), By: ev.By, Reason: ev.Reason})
	r.changed = true
}

func (r *Run) pause(ev *Event) error {
	if r.rec.Paused != nil {
		return fmt.Errorf("the run is paused already, by %s", r.rec.Paused.By)
	}
	if r.rec.Error != nil {
		return errors.New("the run is being stopped")
	}
	r.rec.Paused, r.rec.State = &run.Pause{By: ev.By, Reason: ev.Reason, At: r.now}, run.Paused
	r.note(ev, "")
	return nil
}

func (r *Run) resume(ev *Event) error {
	if r.rec.Paused == nil {
		return errors.New("the run is not paused")
	}
	r.goesOn()
	r.note(ev, "")
	return nil
}

// goesOn ends a pause.
func (r *Run) goesOn() {
	if r.rec.Paused != nil {
		r.rec.Paused, r.rec.State, r.changed = nil, run.Running, true
	}
}

// signal hands a signal to the jobs that wait for it, or keeps it.
func (r *Run) signal(ev *Event) error {
	s := run.Signal{Name: ev.Signal, Data: ev.Data, By: ev.By, At: r.now}
	switch {
	case s.Name == "":
		return errors.New("the signal has no name")
	case len(s.Data) > r.limits.MaxResult:
		return fmt.Errorf("the signal has %d bytes, more than the limit of %d", len(s.Data), r.limits.MaxResult)
	}
	if len(s.Data) > 0 {
		if _, err := expr.Decode(s.Data); err != nil {
			return fmt.Errorf("what came with the signal is not JSON: %w", err)
		}
	}
	taken := false
	for _, path := range r.waitingFor(run.WaitSignal, ev.Task) {
		if u := r.live[path]; u != nil && u.rec.Wait != nil && u.rec.Wait.Key == s.Name && r.takeSignal(u, &s) {
			taken = true
		}
	}
	if !taken {
		if len(r.rec.Signals) >= run.MaxSignals {
			return fmt.Errorf("no job waits for it, and the run keeps no more than %d signals", run.MaxSignals)
		}
		r.rec.Signals = append(slices.Clone(r.rec.Signals), s)
	}
	r.note(ev, ev.Task)
	return nil
}

// waitingFor returns the tasks that wait for something of a kind; with a task
// that one alone.
func (r *Run) waitingFor(kind, task string) []string {
	var paths []string
	for path, u := range r.live {
		if u.rec.Wait != nil && u.rec.Wait.Kind == kind && (task == "" || task == path) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// decide takes in a yes or a no.
func (r *Run) decide(ev *Event) error {
	waiting := r.waitingFor(run.WaitApproval, ev.Task)
	switch {
	case len(waiting) == 0 && ev.Task != "":
		return fmt.Errorf("task %q does not wait for an approval", ev.Task)
	case len(waiting) == 0:
		return errors.New("no job of the run waits for an approval")
	case len(waiting) > 1:
		return fmt.Errorf("%d jobs wait for an approval: say which of %s", len(waiting), strings.Join(waiting, ", "))
	}
	u := r.live[waiting[0]]
	a := u.node.step.def.Approval
	if len(a.By) > 0 && !slices.Contains(a.By, ev.By) {
		return fmt.Errorf("%q may not answer; it is for %s", ev.By, strings.Join(a.By, ", "))
	}
	if ev.Kind == Reject {
		r.note(ev, waiting[0])
		message := "rejected by " + ev.By
		if ev.Reason != "" {
			message += ": " + ev.Reason
		}
		r.rejected(u, &run.Error{Code: run.CodeRejected, Message: message})
		return nil
	}
	inputs, err := approvalInputs(a, ev.Data, r.now)
	if err != nil {
		return err
	}
	r.note(ev, waiting[0])
	r.result(u, r.approved(ev.By, ev.Reason, inputs))
	return nil
}

func approvalInputs(a *flow.Approval, data json.RawMessage, now int64) (map[string]any, error) {
	given := map[string]any{}
	if len(data) > 0 {
		v, err := expr.Decode(data)
		m, ok := v.(map[string]any)
		if err != nil || !ok && v != nil {
			return nil, errors.New("the inputs of an approval must be a JSON object")
		}
		given = m
	}
	declared := flow.Flow{Name: "the approval", Inputs: a.Inputs}
	inputs, problems := declared.ResolveInputs(given, time.UnixMilli(now).UTC())
	if len(problems) == 0 {
		return inputs, nil
	}
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.Error())
	}
	return nil, errors.New(strings.Join(lines, "; "))
}

// approved is the result of an approval.
func (r *Run) approved(by, comment string, inputs map[string]any) map[string]any {
	out := map[string]any{"approved": true, "by": by, "comment": comment, "at": time.UnixMilli(r.now).UTC().Format(time.RFC3339)}
	maps.Copy(out, inputs)
	return out
}
