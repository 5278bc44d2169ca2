package engine

import (
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// advanceUnit starts a unit, or its next attempt.
func (r *Run) advanceUnit(w work) {
	u := w.unit
	if u.rec.State.Final() || u.rec.State.InFlight() || u.rec.State == run.TaskWaiting || u.place == parked {
		return
	}
	if u.rec.State == run.TaskRetrying {
		if u.rec.Due > r.now {
			return
		}
		r.clearTimer(TimerRetry, u.path(), "")
	}
	if !u.node.scope.admits(u.node.step) {
		r.cancelUnit(u)
		return
	}
	r.startUnit(u)
}

// startUnit begins what the unit is to do, once it is through its gates.
func (r *Run) startUnit(u *unit) {
	if !r.passGates(u) {
		return
	}
	def := u.node.step.def
	switch {
	case u.node.step.sub != nil:
		r.openFlow(u)
	case def.Approval != nil:
		r.openApproval(u)
	case def.WaitFor != nil:
		r.openSignal(u)
	case def.Handler == "":
		r.resultValue(u, map[string]any{"at": time.UnixMilli(r.now).UTC().Format(time.RFC3339)})
	case def.Handler == "transform":
		r.transform(u)
	default:
		r.publish(u)
	}
}

// expressionError tells what an expression of the unit's job could not give.
func expressionError(err error) *run.Error {
	var part *partError
	where := ""
	if errors.As(err, &part) {
		where = part.where + ": "
		err = part.err
	}
	return &run.Error{Code: run.CodeExpression, Message: where + err.Error()}
}

// transform is the job that the orchestrator does itself: its inputs are its
// result.
func (r *Run) transform(u *unit) {
	u.rec.Attempt, u.rec.Queued, u.rec.Started = 1, r.now, r.now
	raw, err := u.node.step.def.Inputs.Append(nil, r.view(u))
	if err != nil {
		r.failNow(u, expressionError(inPart("inputs", err)))
		return
	}
	if bad := checkOutputs(u.node.step.def.Outputs, raw); bad != nil {
		r.failNow(u, bad)
		return
	}
	r.result(u, raw)
}

// failNow ends a unit that trying again cannot help.
func (r *Run) failNow(u *unit, err *run.Error) {
	u.rec.Error = err
	r.end(u, run.TaskFailed)
}

// publish offers the unit's attempt to the workers, when there is a place.
func (r *Run) publish(u *unit) {
	if !r.acquire(u) {
		return
	}
	def := u.node.step.def
	var ticket Ticket
	if bad := r.resolve(u, &ticket); bad != nil {
		r.failNow(u, bad)
		return
	}
	path := u.path()
	attempt := 1 + u.rec.Failures + u.rec.Losses
	if attempt != u.rec.Attempt || u.rec.Queued == 0 {
		u.rec.Attempt, u.rec.Queued = attempt, r.now
		u.rec.Progress, u.rec.Note = 0, ""
	}
	if u.rec.First == 0 {
		u.rec.First = r.now
	}
	u.rec.Fence, u.rec.Queue, u.rec.Due, u.rec.Worker, u.rec.Started = r.newFence(), def.Queue, 0, "", 0
	u.rec.Digest = digest(u.node.step.identity, &ticket)
	r.active[path] = u
	ticket.Task, ticket.Fence, ticket.Queue, ticket.Handler = path, u.rec.Fence, def.Queue, def.Handler
	ticket.Attempt, ticket.Priority, ticket.First = attempt, u.priority(), u.rec.First
	ticket.TimeoutMs, ticket.HeartbeatMs = def.Timeout.Milliseconds(), def.HeartbeatTimeout.Milliseconds()
	r.fx.Tickets = append(r.fx.Tickets, ticket)
	if def.QueueTimeout > 0 {
		r.setTimer(TimerQueueTimeout, path, u.rec.Fence, u.rec.Queued+def.QueueTimeout.Milliseconds())
	}
	r.move(u, run.TaskQueued)
}

// resolve evaluates the inputs and the environment of a unit, and fills them
// into its ticket.
func (r *Run) resolve(u *unit, t *Ticket) *run.Error {
	v := r.view(u)
	vars, secrets, err := v.environment()
	if err != nil {
		return expressionError(err)
	}
	if len(vars) > 0 {
		if t.Env, err = json.Marshal(vars); err != nil {
			return expressionError(inPart("env", err))
		}
	}
	raw, more, err := u.node.step.def.Inputs.AppendSecret(nil, v)
	if err != nil {
		return expressionError(inPart("inputs", err))
	}
	if t.Inputs = raw; string(raw) == "null" {
		t.Inputs = []byte("{}")
	}
	secrets = append(secrets, inside("inputs", more)...)
	if len(secrets) > 0 {
		if t.Secrets, err = json.Marshal(secrets); err != nil {
			return expressionError(inPart("inputs", err))
		}
	}
	if n := len(t.Inputs) + len(t.Env) + len(t.Secrets); n > r.limits.MaxInput {
		return tooLarge("job's inputs", n, r.limits.MaxInput)
	}
	return nil
}

// inside puts a key in front of the places of secrets.
func inside(key string, secrets []expr.SecretText) []expr.SecretText {
	for i := range secrets {
		secrets[i].At = append([]any{key}, secrets[i].At...)
	}
	return secrets
}

// resultValue ends a unit with a value that the engine made.
func (r *Run) resultValue(u *unit, value any) {
	raw, err := expr.Encode(value)
	if err != nil {
		r.failNow(u, expressionError(err))
		return
	}
	r.result(u, raw)
}

// result ends a unit with a result, of which iteratePick may want but a part.
func (r *Run) result(u *unit, raw json.RawMessage) {
	if pick := u.node.step.def.IteratePick; pick != "" && u.index >= 0 {
		part, err := picked(raw, pick)
		if err != nil {
			r.failNow(u, err)
			return
		}
		raw = part
	}
	path := u.path()
	r.outputs[path] = raw
	r.fx.Outputs = append(r.fx.Outputs, output(u, raw))
	u.rec.Error = nil
	r.putCache(u, raw)
	r.end(u, run.TaskSucceeded)
}

// output is the result of a unit.
func output(u *unit, raw json.RawMessage) Output {
	def := u.node.step.def
	many := def.Iterate != nil || def.Range != nil
	return Output{
		Task: u.path(), Value: raw, KeepFor: def.KeepArtifacts.Milliseconds(),
		Made: def.Handler != "" && def.Handler != "transform" && many == (u.index >= 0),
	}
}

// end puts a unit into a final state and lets its node know.
func (r *Run) end(u *unit, to run.TaskState) {
	path := u.path()
	if u.rec.State == run.TaskRetrying {
		r.clearTimer(TimerRetry, path, "")
	}
	r.releaseSlots(u, 0)
	r.endWait(u)
	r.noteReuse(u, to)
	if u.sub != nil {
		r.clearFlowTimeout(u)
		r.closeSub(u)
	}
	delete(r.active, path)
	u.rec.Fence, u.rec.Due, u.rec.Stop = "", 0, nil
	if u.rec.Attempt > 0 || u.rec.Queued > 0 {
		u.rec.Ended = r.now
	}
	if u.index < 0 && to == run.TaskFailed && u.node.step.def.ContinueOnError {
		u.rec.Tolerated = true
	}
	r.move(u, to)
	if r.dryRun != nil && (to == run.TaskSkipped || to == run.TaskBlocked) {
		r.dryRun.skipped[path] = u.rec.Reason
	}
	r.release(u)
	if u.index >= 0 {
		r.itemEnded(u)
		return
	}
	r.nodeEnded(u.node)
}

// nodeEnded sees to what follows from a node that is final: first its hook.
func (r *Run) nodeEnded(n *node) {
	switch {
	case n.isHook:
		r.hookEnded(n)
	case n.state() == run.TaskFailed && n.step.hook != nil && n.scope.admits(n.step): // mutant: hook-runs-first (false)
		r.openJobHook(n)
	default:
		r.nodeSettled(n)
	}
}

// nodeSettled lets the jobs that depend on a node, and its scope, go on.
func (r *Run) nodeSettled(n *node) {
	s := n.scope
	s.open--
	if n.state() == run.TaskFailed && !n.unit.rec.Tolerated {
		s.failed++
		if s.firstFailed == nil {
			s.firstFailed = n
		}
	}
	for _, d := range n.step.dependents {
		other := &s.nodes[d]
		if other.waiting--; other.waiting == 0 {
			r.enqueueNode(other)
		}
	}
	if s.open == 0 {
		r.enqueueScope(s)
	}
}

// retryDelay is the pause before the retry that follows the n-th failure. The
// jitter comes from a hash of run, task and attempt, so that a replay gives
// the same times.
func retryDelay(rule *flow.Retries, runID, path string, n int) int64 {
	base, limit := float64(rule.Delay.Milliseconds()), float64(rule.MaxDelay.Milliseconds())
	switch rule.Backoff {
	case "linear":
		base *= float64(n)
	case "fixed":
	default:
		factor := rule.Factor
		if factor <= 0 {
			factor = 2
		}
		base *= math.Pow(factor, float64(n-1))
	}
	if limit > 0 && base > limit {
		base = limit
	}
	if rule.Jitter > 0 {
		share := float64(mix(hashText(runID+"\x00"+path)+uint64(n))>>11) / (1 << 53)
		base *= 1 + rule.Jitter*(2*share-1)
	}
	return int64(math.Min(base, float64(365*24*time.Hour/time.Millisecond)))
}

// hashText is FNV-1a.
func hashText(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
