package engine

import (
	"fmt"
	"slices"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// apply takes one event in; false says that it has no effect.
func (r *Run) apply(ev *Event) bool {
	if r.Final() { // mutant: ended-run-ignores-events (false)
		return false
	}
	switch ev.Kind {
	case event.Start:
		return r.start()
	case event.Continue:
		return len(r.work) > 0
	case event.Cancel:
		r.reply(ev, nil)
		return r.cancel(ev)
	case event.TimerFired:
		return r.timer(ev)
	case event.Approve, event.Reject, event.Signal, event.Pause, event.Resume:
		return r.control(ev)
	case event.Answered:
		return r.answered(ev)
	case event.Evicted:
		return r.evicted(ev)
	}
	if !ev.Kind.Info().Fenced || r.rec.State != run.Running && r.rec.State != run.Paused {
		return false
	}
	u := r.active[ev.Task]
	if u == nil || u.rec.Fence == "" || u.rec.Fence != ev.Fence { // mutant: fence-must-match (without 3)
		return false
	}
	r.report(u, ev)
	return true
}

// report takes in what became of the attempt in flight.
func (r *Run) report(u *unit, ev *Event) {
	if ev.Worker != "" {
		u.rec.Worker = ev.Worker
	}
	if ev.Lines {
		u.rec.Lines = true
	}
	switch ev.Kind {
	case event.Started, event.Progress:
		r.reportRunning(u, ev)
	case event.Succeeded:
		r.setStarted(u, ev.Started)
		r.recordAttempt(u, ev, OutcomeSucceeded, nil)
		r.clearInFlight(u)
		r.acceptResult(u, ev)
		if u.rec.State != run.TaskSucceeded { // the result was not good enough
			last := &r.fx.Ended[len(r.fx.Ended)-1]
			last.Outcome, last.Error = OutcomeFailed, u.rec.Error
		}
	case event.Failed:
		err := ev.Error
		if err == nil {
			err = &run.Error{Code: run.CodeError, Message: "the handler failed without saying why"}
		}
		r.setStarted(u, ev.Started)
		r.recordAttempt(u, ev, OutcomeFailed, err)
		r.clearInFlight(u)
		u.rec.Failures++
		r.retryOrFail(u, err, ev.Permanent, ev.RetryAfter)
	case event.Released:
		r.clearInFlight(u)
		r.requeue(u, ev)
	case event.Lost:
		r.revoke(u)
		r.recordAttempt(u, ev, OutcomeLost, nil)
		r.clearInFlight(u)
		r.countLoss(u)
	case event.Missing:
		r.revoke(u)
		r.clearInFlight(u)
		r.republish(u)
	}
}

// republish publishes the attempt that was in flight once more; when the run is
// paused, that waits.
func (r *Run) republish(u *unit) {
	if r.rec.Paused != nil {
		r.retryAt(u, r.now)
		return
	}
	r.publish(u)
}

// reportRunning notes that a worker is at the attempt.
func (r *Run) reportRunning(u *unit, ev *Event) {
	r.setStarted(u, ev.Started)
	if ev.Kind == event.Progress {
		u.rec.Progress, u.rec.Note = ev.Progress, ev.Note
	}
	if u.rec.State != run.TaskRunning {
		r.clearQueueTimeout(u)
		r.move(u, run.TaskRunning)
	} else {
		r.markDirty(u)
	}
	if ev.Kind == event.Progress {
		r.fx.Log = append(r.fx.Log, run.Change{
			At: r.now, Task: u.path(), State: run.TaskRunning, Attempt: u.rec.Attempt,
			Progress: u.rec.Progress, Note: u.rec.Note,
		})
	}
}

// setStarted notes when the attempt started; clocks of workers may be off, so it is
// held between the publication and now.
func (r *Run) setStarted(u *unit, started int64) {
	if started <= 0 {
		started = r.now
	}
	u.rec.Started = min(max(started, u.rec.Queued), max(r.now, u.rec.Queued))
}

// clearInFlight notes that nothing is in flight any more.
func (r *Run) clearInFlight(u *unit) {
	r.clearQueueTimeout(u)
	u.rec.Fence = ""
}

// recordAttempt tells of the end of the attempt in flight. A worker's report says how
// long it took by one clock.
func (r *Run) recordAttempt(u *unit, ev *Event, outcome string, err *run.Error) {
	if outcome == OutcomeFailed && (err.Code == run.CodeTimeout || err.Code == run.CodeHeartbeat) {
		outcome = OutcomeTimeout
	}
	ended := r.now
	if ev.Started > 0 && ev.At >= ev.Started {
		ended = u.rec.Started + ev.At - ev.Started
	}
	r.fx.Ended = append(r.fx.Ended, Attempt{
		Task: u.path(), Queue: u.rec.Queue, Handler: u.node.step.def.Handler, Worker: u.rec.Worker, Outcome: outcome,
		Number: u.rec.Attempt, First: u.rec.First, Queued: u.rec.Queued, Started: u.rec.Started, Ended: ended, Error: err,
	})
}

func (r *Run) clearQueueTimeout(u *unit) {
	if u.node.step.def.QueueTimeout > 0 && u.rec.State == run.TaskQueued && u.rec.Fence != "" {
		r.clearTimer(TimerQueueTimeout, u.path(), u.rec.Fence)
	}
}

// revoke withdraws the unit's ticket.
func (r *Run) revoke(u *unit) {
	if u.rec.Fence == "" {
		return
	}
	for i, v := range slices.Backward(r.fx.Tickets) {
		if v.Fence == u.rec.Fence { // published in this very step
			r.fx.Tickets = append(r.fx.Tickets[:i], r.fx.Tickets[i+1:]...)
			return
		}
	}
	r.fx.Revokes = append(r.fx.Revokes, Revoke{
		Task: u.path(), Fence: u.rec.Fence, Queue: u.rec.Queue, Handler: u.node.step.def.Handler, Priority: u.priority(),
	})
}

// acceptResult takes a result in, or finds it wanting.
func (r *Run) acceptResult(u *unit, ev *Event) {
	if len(ev.Result) > r.limits.MaxResult {
		u.rec.Failures++
		r.retryOrFail(u, tooLarge("result", len(ev.Result), r.limits.MaxResult), true, 0)
		return
	}
	raw := ev.Result
	if !ev.Tidy {
		var err error
		if raw, err = tidy(raw); err != nil {
			u.rec.Failures++
			r.retryOrFail(u, &run.Error{Code: run.CodeError, Message: "the result is not JSON: " + err.Error()}, true, 0)
			return
		}
	}
	if bad := checkOutputs(u.node.step.def.Outputs, raw); bad != nil {
		u.rec.Failures++
		r.retryOrFail(u, bad, true, 0)
		return
	}
	u.version = ev.Version
	r.result(u, raw)
}

func tooLarge(what string, size, limit int) *run.Error {
	return &run.Error{Code: run.CodeTooLarge, Message: fmt.Sprintf("the %s has %d bytes, more than the limit of %d", what, size, limit)}
}

// requeue publishes the attempt again. A worker that has no such handler
// does not come first again at once, so the pauses grow.
func (r *Run) requeue(u *unit, ev *Event) {
	u.rec.Releases++
	if ev.Error == nil || ev.Error.Code != run.CodeHandler {
		r.republish(u)
		return
	}
	pause := r.limits.MaxReleaseDelay
	if n := u.rec.Releases - 1; n < 16 {
		pause = min(pause, r.limits.ReleaseDelay<<n)
	}
	u.rec.Error = ev.Error
	r.retryAt(u, r.now+pause)
}

// countLoss counts a worker that went away, and gives up after too many.
func (r *Run) countLoss(u *unit) {
	u.rec.Losses++ // mutant: loss-is-no-failure (replace Losses by Failures)
	limit := u.node.step.def.Retries.OnLost
	if u.rec.Losses <= limit {
		r.republish(u)
		return
	}
	err := &run.Error{
		Code:    run.CodeLost,
		Message: fmt.Sprintf("the worker went away %d times while it ran this job", u.rec.Losses),
	}
	r.fx.Dead = append(r.fx.Dead, Dead{
		Task: u.path(), Handler: u.node.step.def.Handler, Attempt: u.rec.Attempt, Error: err,
	})
	r.retryOrFail(u, err, true, 0)
}

// retryOrFail tries the unit again when its retry rule allows, else ends it.
func (r *Run) retryOrFail(u *unit, err *run.Error, permanent bool, retryAfter int64) {
	u.rec.Error = err
	if retryAfter > 0 {
		r.releaseSlots(u, r.now+retryAfter)
	}
	rule := &u.node.step.def.Retries
	pause := retryDelay(rule, r.rec.ID, u.path(), u.rec.Failures)
	if retryAfter > 0 {
		pause = retryAfter
	}
	if permanent || u.rec.Failures > rule.Max || !retryable(rule, err.Code) || !u.node.scope.admits(u.node.step) || r.retryTooLate(u, pause) {
		r.end(u, run.TaskFailed)
		return
	}
	if u.sub != nil {
		r.clearFlowTimeout(u)
		r.forgetSub(u)
	}
	r.retryAt(u, r.now+pause)
}

// retryTooLate reports whether a retry would begin outside the rule's time.
func (r *Run) retryTooLate(u *unit, pause int64) bool {
	within := u.node.step.def.Retries.Within.Milliseconds()
	return within > 0 && u.rec.First > 0 && r.now+pause > u.rec.First+within
}

func retryable(rule *flow.Retries, code string) bool {
	if slices.Contains(rule.NotOn, code) {
		return false
	}
	if slices.Contains(rule.On, code) {
		return true
	}
	return len(rule.On) == 0
}

func (r *Run) retryAt(u *unit, due int64) {
	r.release(u)
	r.releaseSlots(u, 0)
	u.gate = 0
	u.rec.Due = due
	u.rec.Fence = ""
	r.active[u.path()] = u
	r.setTimer(TimerRetry, u.path(), "", due)
	r.move(u, run.TaskRetrying)
}

// timer takes in that the time of a timer has come.
func (r *Run) timer(ev *Event) bool {
	if ev.Timer == TimerWait && ev.Task == "" {
		return r.repeatRunQuery()
	}
	if ev.Timer == TimerTimeout && ev.Task == "" {
		limit := r.program.root.def.Timeout
		if limit <= 0 || r.rec.Stopping() {
			return false
		}
		r.stop(run.Stop{Cause: &run.Error{Code: run.CodeTimeout, Message: fmt.Sprintf("the run took longer than its timeout of %s", limit)}})
		return true
	}
	u := r.active[ev.Task]
	if u == nil {
		return false
	}
	switch ev.Timer {
	case TimerRetry:
		if u.rec.State != run.TaskRetrying || u.place == parked {
			return false
		}
		if r.now < u.rec.Due {
			r.setTimer(TimerRetry, ev.Task, "", u.rec.Due)
			return true
		}
		r.wake(u)
		return true
	case TimerQueueTimeout:
		return r.queueTimeout(u, ev)
	case TimerTimeout:
		return r.flowTimeout(u)
	case TimerWait:
		return r.waitDue(u)
	}
	return false
}

func (r *Run) queueTimeout(u *unit, ev *Event) bool {
	limit := u.node.step.def.QueueTimeout
	if limit <= 0 || u.rec.State != run.TaskQueued || u.rec.Fence != ev.Fence {
		return false
	}
	r.revoke(u)
	r.recordAttempt(u, ev, OutcomeUntaken, nil)
	r.clearInFlight(u)
	u.rec.Failures++
	r.retryOrFail(u, &run.Error{
		Code:    run.CodeQueueTimeout,
		Message: fmt.Sprintf("no worker of queue %q took the job within %s", u.rec.Queue, limit),
	}, true, 0)
	return true
}
