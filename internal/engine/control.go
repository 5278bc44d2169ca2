package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// control takes in what an operator wants, and replies.
func (r *Run) control(ev *Event) bool {
	var err error
	switch {
	case r.root == nil:
		err = errors.New("the run has not begun yet")
	case ev.Kind == event.Pause:
		err = r.pause(ev)
	case ev.Kind == event.Resume:
		err = r.resume(ev)
	case ev.Kind == event.Signal:
		err = r.signal(ev)
	default:
		err = r.decideApproval(ev)
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

func (r *Run) logControl(ev *Event, task string) {
	r.fx.Log = append(r.fx.Log, run.Change{At: r.now, Task: task, Op: string(ev.Kind), By: ev.By, Reason: ev.Reason})
	r.changed = true
}

func (r *Run) pause(ev *Event) error {
	if r.rec.Paused != nil {
		return fmt.Errorf("the run is paused already, by %s", r.rec.Paused.By)
	}
	if r.rec.Stopping() {
		return errors.New("the run is being stopped")
	}
	r.rec.Paused = &run.Pause{By: ev.By, Reason: ev.Reason, At: r.now}
	r.setRunState(run.Paused)
	r.logControl(ev, "")
	return nil
}

func (r *Run) resume(ev *Event) error {
	if r.rec.Paused == nil {
		return errors.New("the run is not paused")
	}
	r.unpause()
	r.logControl(ev, "")
	return nil
}

// unpause ends a pause.
func (r *Run) unpause() {
	if r.rec.Paused != nil {
		r.rec.Paused = nil
		r.setRunState(run.Running)
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
		if u := r.active[path]; u != nil && u.rec.Wait != nil && u.rec.Wait.Key == s.Name && r.takeSignal(u, &s) {
			taken = true
		}
	}
	if !taken {
		if len(r.rec.Signals) >= run.MaxSignals {
			return fmt.Errorf("no job waits for it, and the run keeps no more than %d signals", run.MaxSignals)
		}
		r.rec.Signals = append(slices.Clone(r.rec.Signals), s)
	}
	r.logControl(ev, ev.Task)
	return nil
}

// waitingFor returns the tasks that wait for something of a kind; with a task
// that one alone.
func (r *Run) waitingFor(kind, task string) []string {
	var paths []string
	for path, u := range r.active {
		if u.rec.Wait != nil && u.rec.Wait.Kind == kind && (task == "" || task == path) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// decideApproval takes in a yes or a no.
func (r *Run) decideApproval(ev *Event) error {
	waiting := r.waitingFor(run.WaitApproval, ev.Task)
	switch {
	case len(waiting) == 0 && ev.Task != "":
		return fmt.Errorf("task %q does not wait for an approval", ev.Task)
	case len(waiting) == 0:
		return errors.New("no job of the run waits for an approval")
	case len(waiting) > 1:
		return fmt.Errorf("%d jobs wait for an approval: say which of %s", len(waiting), strings.Join(waiting, ", "))
	}
	u := r.active[waiting[0]]
	a := u.node.step.def.Approval
	if len(a.By) > 0 && !slices.Contains(a.By, ev.By) { // mutant: approvers-only (false)
		return fmt.Errorf("%q may not answer; it is for %s", ev.By, strings.Join(a.By, ", "))
	}
	if ev.Kind == event.Reject {
		r.logControl(ev, waiting[0])
		message := "rejected by " + ev.By
		if ev.Reason != "" {
			message += ": " + ev.Reason
		}
		r.failNow(u, &run.Error{Code: run.CodeRejected, Message: message})
		return nil
	}
	inputs, err := approvalInputs(a, ev.Data, r.now)
	if err != nil {
		return err
	}
	r.logControl(ev, waiting[0])
	r.resultValue(u, r.approved(ev.By, ev.Reason, inputs))
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
