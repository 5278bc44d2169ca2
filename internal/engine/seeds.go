package engine

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/orchis-run/orchis/pkg/run"
)

// Seed is the outcome of a task of an earlier run, which a new run takes over
// when its own task of the same path is asked to do the same.
type Seed struct {
	Digest string          `json:"digest"`
	Run    string          `json:"run"` // in which the task ran
	Result json.RawMessage `json:"-"`
}

// Seeds returns what a new run may take over from an earlier one: the results
// of its tasks, but for hooks, for nested flows and iterations as a whole
// (their tasks are taken over one by one), and for the job from and all below
// it.
func Seeds(s Snapshot, from string) map[string]Seed {
	seeds := map[string]Seed{}
	for path, rec := range s.Tasks {
		result, ok := s.Outputs[path]
		if !ok || !rec.State.HasResult() || rec.Digest == "" || strings.Contains(path, "@") || below(path, from) {
			continue
		}
		ran := s.Run.ID
		if rec.From != "" {
			ran = rec.From
		}
		seeds[path] = Seed{Digest: rec.Digest, Run: ran, Result: result}
	}
	return seeds
}

// below reports whether a task is a job, an item of it, or in its flow.
func below(path, job string) bool {
	rest, ok := strings.CutPrefix(path, job)
	return job != "" && ok && (rest == "" || rest[0] == '[' || rest[0] == '/')
}

// reuseSeed is the gate at which a unit gets the result that it had in the run
// from which this one goes on. A unit that depends on something that runs again
// does so too.
func (r *Run) reuseSeed(u *unit) bool {
	if u.node.step.sub != nil {
		return true
	}
	ticketless := u.node.step.def.Handler == "" || u.node.step.def.Handler == "transform"
	if !r.resumed && !ticketless {
		return true // publish makes the digest
	}
	t, bad := r.digestInputs(u)
	if bad != nil {
		return true // it will fail by that
	}
	u.rec.Digest = digest(u.node.step.identity, &t)
	if !r.resumed || u.rec.First > 0 || r.belowRetry(u) {
		return true
	}
	path := u.path()
	seed, ok := r.seeds[path]
	why := "new"
	if ok {
		why = r.whyNotReused(u, &seed)
	}
	if r.dryRun != nil {
		r.dryRun.note(path, why, &t)
	}
	if why != "" {
		return true
	}
	delete(r.seeds, path)
	u.rec.Reused = true
	r.takeResult(u, seed.Result, seed.Run, "taken over from run "+seed.Run)
	return false
}

// whyNotReused says why a unit cannot take its seed; empty when it can.
func (r *Run) whyNotReused(u *unit, seed *Seed) string {
	if dep := rerunDependency(u); dep != "" {
		return fmt.Sprintf("depends on %s, which runs again", dep)
	}
	switch now := u.rec.Digest; {
	case now == seed.Digest:
		return ""
	case len(seed.Digest) == len(now) && seed.Digest[:shortText] != now[:shortText]:
		return jobChanged
	}
	return inputsChanged
}

const (
	jobChanged    = "job changed"
	inputsChanged = "inputs changed"
)

// rerunDependency returns a job on which the unit, or a flow above it, depends and which
// was not taken over.
func rerunDependency(u *unit) string {
	for n := u.node; n != nil; {
		for _, d := range n.step.deps {
			if other := &n.scope.nodes[d.job]; other.reran {
				return other.unit.path()
			}
		}
		if n.isHook || n.scope.parent == nil {
			return ""
		}
		n = n.scope.parent.node
	}
	return ""
}

// belowRetry reports whether a flow above the unit is: then nothing of it is
// taken over.
func (r *Run) belowRetry(u *unit) bool {
	for s := u.node.scope; s.parent != nil; s = s.above() {
		if s.parent.rec.Failures > 0 || s.outer != nil {
			return true
		}
	}
	return false
}

// takeResult ends a unit with the result that a task of another run had.
func (r *Run) takeResult(u *unit, result json.RawMessage, from, reason string) {
	path := u.path()
	r.outputs[path] = result
	r.fx.Outputs = append(r.fx.Outputs, output(u, result))
	u.rec.From, u.rec.Reason, u.rec.Error = from, reason, nil
	r.end(u, run.TaskCached)
}

// noteReuse notes, when a unit ends, whether it was taken over: a flow and an
// iteration are when all their tasks were.
func (r *Run) noteReuse(u *unit, to run.TaskState) {
	if !r.resumed || to == run.TaskSkipped {
		return
	}
	switch n := u.node; {
	case u.rec.Reused || to != run.TaskSucceeded:
	case u.index < 0 && n.iterated():
		u.rec.Reused = !n.reran
	case u.sub != nil:
		u.rec.Reused = !u.sub.reran
	}
	markReran(u, to)
}

// markReran marks what a final unit that was not taken over is part of.
func markReran(u *unit, state run.TaskState) {
	if state.Final() && state != run.TaskSkipped && !u.rec.Reused {
		u.node.reran, u.node.scope.reran = true, true
	}
}
