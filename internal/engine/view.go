package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// view is what the expressions of one job, or of a whole scope, can see.
type view struct {
	run   *Run
	scope *scope
	node  *node // nil for vars and outputs
	iter  *iteration
	index int
	env   map[string]any
	self  map[string]any // a signal; that of a hook is found by itself
}

var _ expr.Scope = (*view)(nil)

// Root returns the value of a reserved root.
func (v *view) Root(name string) (any, bool) {
	switch name {
	case "inputs":
		if v.scope.inputs == nil {
			return noInputs(), true
		}
		return v.scope.inputs, true
	case "vars":
		return nonNil(v.scope.vars), true
	case "env":
		return v.run.program.environment(v.env), true
	case "run":
		return v.facts(), true
	case "self":
		return v.selfOf()
	case "iterate":
		if v.iter == nil {
			return nil, false
		}
		if v.iter.batch {
			return map[string]any{"item": v.iter.items[v.index], "items": v.iter.items[v.index], "index": v.index, "total": v.iter.total}, true
		}
		m := map[string]any{
			"item": v.iter.items[v.index], "index": v.index,
			"total": len(v.iter.items), "items": v.iter.items,
		}
		if v.iter.keys != nil {
			m["key"] = v.iter.keys[v.index]
		}
		return m, true
	}
	return nil, false
}

func nonNil(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// facts is what expressions see of the run. Those of a hook see how it went.
func (v *view) facts() map[string]any {
	m := v.run.runFacts()
	if s := v.scope.outer; s != nil {
		m["status"], m["failedJobs"] = string(v.run.outcome(s, true)), s.failedJobs()
	}
	return m
}

func (r *Run) runFacts() map[string]any {
	labels := make(map[string]any, len(r.rec.Labels))
	for k, v := range r.rec.Labels {
		labels[k] = v
	}
	return map[string]any{
		"id": r.rec.ID, "name": r.program.root.def.Name, "recipe": r.rec.Recipe, "attempt": 1,
		"startedAt": time.UnixMilli(r.rec.Created).UTC().Format(time.RFC3339),
		"labels":    labels, "submittedBy": r.rec.SubmittedBy,
	}
}

// Now is the value of now(): when the run was created.
func (v *view) Now() time.Time { return time.UnixMilli(v.run.rec.Created).UTC() }

// Job returns what expressions see of another job of the same flow.
func (v *view) Job(name string) (expr.Job, bool) {
	s := v.scope
	at, ok := s.plan.index[name]
	if !ok && s.outer != nil {
		s = s.outer
		at, ok = s.plan.index[name]
	}
	if !ok {
		return expr.Job{}, false
	}
	n := &s.nodes[at]
	rec := &n.unit.rec
	j := expr.Job{Status: string(run.TaskPending), Attempts: rec.Attempt, Errors: n.errors}
	if !rec.State.Final() {
		return j, true
	}
	j.Status = string(rec.State)
	if rec.Error != nil {
		j.Error = map[string]any{"code": rec.Error.Code, "message": rec.Error.Message}
	}
	if rec.Started > 0 {
		j.Duration = float64(rec.Ended-rec.Started) / 1000
	}
	if rec.State.HasResult() {
		j.Outputs = v.run.resultOf(n)
	}
	return j, true
}

// Status answers the status functions.
func (v *view) Status(function string) bool {
	if v.node == nil {
		return false
	}
	stopped := v.scope.stopped()
	switch function {
	case "success":
		return !stopped && v.node.allDependencies((*node).succeeded)
	case "ready":
		return !stopped && v.node.dependencyRule() == canStart
	case "failure":
		return !stopped && v.node.anyDependency((*node).blocksDependents)
	case "finished":
		return !stopped
	case "always":
		return true
	case "cancelled":
		return stopped
	}
	return false
}

func (n *node) allDependencies(is func(*node) bool) bool {
	for _, d := range n.step.deps {
		if !is(&n.scope.nodes[d.job]) {
			return false
		}
	}
	return true
}

func (n *node) anyDependency(is func(*node) bool) bool {
	for _, d := range n.step.deps {
		if is(&n.scope.nodes[d.job]) {
			return true
		}
	}
	return false
}

type decision int

const (
	canStart decision = iota
	mustSkip
	isBlocked
)

// dependencyRule is the default rule of who may start: no job it depends on failed or
// is blocked, and of those it depends on at least one succeeded: of those that
// dependsOn names, if it does, since reading another job's result as well must
// not let a job run whose turn was skipped. An edge that names an outcome is
// judged by that alone.
func (n *node) dependencyRule() decision {
	var named, read struct{ all, succeeded int }
	unmet := false
	for _, d := range n.step.deps {
		other := &n.scope.nodes[d.job]
		switch d.on {
		case flow.OnFinished:
		case flow.OnFailed:
			unmet = unmet || !other.blocksDependents() && other.state() != run.TaskFailed
		case flow.OnSucceeded:
			if other.blocksDependents() {
				return isBlocked
			}
			unmet = unmet || !other.succeeded()
		default:
			if other.blocksDependents() { // mutant: failure-blocks-dependents (false)
				return isBlocked
			}
			count := &named
			if d.implied { // mutant: implied-dependency (false)
				count = &read
			}
			count.all++
			if other.succeeded() {
				count.succeeded++
			}
		}
	}
	if named.all == 0 {
		named = read
	}
	if unmet || named.all > 0 && named.succeeded == 0 {
		return mustSkip
	}
	return canStart
}

// view returns what the expressions of a unit can see.
func (r *Run) view(u *unit) *view {
	v := &view{run: r, scope: u.node.scope, node: u.node, index: u.index}
	if u.index >= 0 {
		v.iter = u.node.iter
	}
	return v
}

// environment evaluates the env of a unit's job and shows it to later
// expressions, but for what holds a secret.
func (v *view) environment() (map[string]string, []expr.SecretText, error) {
	def := v.node.step.def
	if len(def.Env) == 0 {
		return nil, nil, nil
	}
	text := make(map[string]string, len(def.Env))
	seen := make(map[string]any, len(def.Env))
	var secrets []expr.SecretText
	for _, name := range slices.Sorted(maps.Keys(def.Env)) {
		value, needs, err := def.Env[name].EvalSecret(v)
		if err != nil {
			return nil, nil, inPart("env."+name, err)
		}
		s, ok := value.(string)
		if !ok {
			raw, err := expr.Encode(value)
			if err != nil {
				return nil, nil, inPart("env."+name, err)
			}
			s = string(raw)
		}
		text[name] = s
		if len(needs) == 0 {
			seen[name] = s
		}
		secrets = append(secrets, inside("env", inside(name, needs))...)
	}
	v.env = seen
	return text, secrets, nil
}
