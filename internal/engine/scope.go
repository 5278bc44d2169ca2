package engine

import (
	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/run"
)

// phase is how far a scope is. A scope only ever moves forward, and may skip
// phases: opening → open → stopping → aborting → closed.
type phase uint8

const (
	// opening scopes have no inputs and vars yet, and start nothing. fill moves
	// them to open; when it fails, a hard stop moves them to aborting.
	opening phase = iota
	// open scopes start their jobs. They close when all jobs have ended; a stop
	// of the run or of a flow above moves them to stopping.
	open
	// stopping scopes start only jobs and hooks that run after a stop. Their
	// other tasks are cancelled by the work list; they close when all tasks
	// are final and their hooks have run. A second cancel moves them to aborting.
	// A task whose ticket is withdrawn is final at once: cancelUnit does not wait
	// for its worker. That is the one place to change when it has to.
	stopping
	// aborting scopes start nothing; their hooks are aborted too. They close when
	// all tasks are final.
	aborting
	// closed scopes have their outcome, and nothing moves them on.
	closed
)

// scope is a running instance of a flow.
type scope struct {
	plan   *plan
	prefix string // "" or the path of the unit that opened it, with "/"
	parent *unit  // nil for the root
	// inputs and vars are what expressions see. Invariant: set unless the phase
	// is opening, or aborting straight after it.
	inputs *expr.Result
	vars   map[string]any
	nodes  []node
	// phase moves forward only: see enter. Invariants: closed implies open == 0;
	// a scope is not open while the run has a Stop and no work is left.
	phase phase
	// open is the number of nodes that are not settled, failed the number of
	// settled nodes that failed and are not tolerated; firstFailed is one of the
	// latter, nil when there is none.
	open, failed int
	firstFailed  *node
	// active is the number of held units in this scope and those below it.
	// Invariant: active <= placesOf, unless that was lowered since.
	inFlight int
	// waiters are the units parked here, the oldest first, and units that ended
	// while they were parked. Invariant: a parked unit is in one list, once.
	waiters []*unit
	// fresh says that a task of the scope was not taken over from an earlier run.
	reran bool
	// hooks are the hooks of the flow; they are not among the nodes.
	hooks []node
	// outer is the scope to which the jobs of a hook belong, hook what opened
	// this one there; nil for all other scopes.
	outer *scope
	hook  *node
}

// newScope makes the nodes of a flow; all of them are pending.
func newScope(pl *plan, prefix string, parent *unit) *scope {
	s := &scope{plan: pl, prefix: prefix, parent: parent, nodes: make([]node, len(pl.jobs)), open: len(pl.jobs)}
	for i := range s.nodes {
		n := &s.nodes[i]
		n.scope, n.step, n.waiting = s, &pl.jobs[i], len(pl.jobs[i].deps)
		n.unit.node, n.unit.index = n, -1
	}
	for i := range pl.hooks {
		s.hooks = append(s.hooks, node{scope: s, step: &pl.hooks[i], isHook: true})
	}
	for i := range s.hooks {
		s.hooks[i].unit.node, s.hooks[i].unit.index = &s.hooks[i], -1
	}
	return s
}

// fill evaluates the vars of a scope and opens it.
func (r *Run) fill(s *scope, inputs *expr.Result) error {
	s.inputs = inputs
	s.vars = make(map[string]any, len(s.plan.def.Vars))
	view := &view{run: r, scope: s}
	for _, v := range s.plan.def.Vars {
		value, err := v.Value.Eval(view)
		if err != nil {
			return inPart("vars."+v.Name, err)
		}
		s.vars[v.Name] = value
	}
	s.enter(open)
	return nil
}

// enter moves a scope forward to a phase; it reports false when the scope is
// there already, or beyond.
func (s *scope) enter(to phase) bool {
	if s.phase >= to { // mutant: phase-only-forward (false)
		return false
	}
	s.phase = to
	return true
}

// above returns the scope of the unit that opened this one; nil for the root.
func (s *scope) above() *scope {
	if s.parent == nil {
		return nil
	}
	return s.parent.node.scope
}

// stopped reports whether the scope is being stopped.
func (s *scope) stopped() bool { return s.phase == stopping || s.phase == aborting }

// admits reports whether a job of the scope may start, or start again.
func (s *scope) admits(st *step) bool {
	switch s.phase {
	case open:
		return true
	case stopping:
		return st.afterStop
	}
	return false
}

// cause returns why the scope is being stopped: for a reason of its own, or
// with a scope above. It is nil for a scope that is not.
func (r *Run) cause(s *scope) *run.Error {
	for ; s.parent != nil; s = s.above() {
		if stop := s.parent.rec.Stop; stop != nil {
			return stop.Cause
		}
	}
	if r.rec.Stop != nil {
		return r.rec.Stop.Cause
	}
	return nil
}
