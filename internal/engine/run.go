package engine

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// Run is one run in memory. It is not safe for concurrent use, and after a
// commit that failed it must be thrown away and restored.
type Run struct {
	program *Program
	limits  Limits
	rec     run.Run
	root    *scope
	// outputs holds the results of all tasks by their path.
	outputs map[string]json.RawMessage
	// live holds the units that have a ticket, a retry timer or a running
	// nested flow, by path.
	active map[string]*unit
	// seeds are the outcomes of an earlier run that were not taken over yet;
	// resumed says that there were some. A rehearsal notes what becomes of them.
	seeds   map[string]Seed
	resumed bool
	dryRun  *dryRun

	work []work
	// ahead is the number of tickets in the lanes of their jobs.
	inLane int

	// What belongs to the step that is going on.
	mover   mover
	now     int64
	nonce   uint64
	fences  uint64
	spent   int
	before  run.Counts
	changed bool
	dirty   []*unit
	fault   error
	fx      Effects
}

// node is a job of a scope.
type node struct {
	scope *scope
	step  *step
	// waiting is the number of jobs it depends on that are not final.
	waiting int
	// unit is the job itself. When the job is iterated its record tells of
	// the iteration as a whole.
	unit unit
	iter *iteration
	// result is the job's, once an expression read it; errors lists failed items.
	result *expr.Result
	errors []any
	// hook is that of this job, made when it runs; owner is the job, in the
	// node of its hook. isHook marks the nodes of hooks.
	hook   *node
	owner  *node
	isHook bool
	// fresh says that the job, or an item of it, was not taken over.
	reran bool
}

// unit is what runs, fails and is tried again: a job or one item of it.
type unit struct {
	node  *node
	index int // of the item; -1 for a job
	rec   run.Task
	// sub is the nested flow while it runs.
	sub *scope
	// kept is that flow after its end, while it may have to be forgotten.
	endedSub *scope
	// gone marks a unit that was forgotten in this step.
	forgotten bool
	// gate is the next of the gates on the way to the unit's attempt.
	gate int
	// version is that of the handler which has just made the result.
	version string
	// place is where the unit is under the limits above it. Invariants: a ticket
	// implies held; parked and woken units are pending or retrying; final units
	// are outside.
	place place
	// marked says that the unit is among the dirty ones of this step.
	dirty bool
}

// iteration is what is known of an iterated job while it runs.
type iteration struct {
	items  []any
	keys   []string // of a map
	units  []*unit
	next   int // first item that may not have been started
	active int
	failed int
	// stopped lets no more items start; rest is the state in which the items
	// that never started ended.
	stopped bool
	rest    run.TaskState
	// batch says that each item is a list of the total items.
	batch bool
	total int
}

// Create says how a new run begins.
type Create struct {
	ID        string
	Partition int
	Digest    string
	// Inputs are complete and checked, as flow.ResolveInputs returns them.
	Inputs      map[string]any
	SubmittedBy string
	Labels      map[string]string
	// Now is the time of creation in Unix milliseconds; it is what now() gives
	// in the run's expressions.
	Now int64
	// Seeds are outcomes of an earlier run.
	Seeds map[string]Seed
	// NoCache says that no result of another run is looked up.
	NoCache bool
	// Trace is the W3C traceparent of the submission.
	Trace string
	// Inbox names the inbox of the client that submitted the run, or is empty.
	Inbox string
}

// New returns a run that has not begun. Its first Step must be given Start.
func New(p *Program, c Create) *Run {
	def := p.root.def
	labels := maps.Clone(def.Labels)
	if len(c.Labels) > 0 && labels == nil {
		labels = make(map[string]string, len(c.Labels))
	}
	maps.Copy(labels, c.Labels)
	inputs, err := expr.Encode(c.Inputs)
	if err != nil || c.Inputs == nil {
		inputs = []byte("{}")
	}
	return &Run{
		program: p, limits: p.limits,
		rec: run.Run{
			ID: c.ID, Partition: c.Partition, State: run.Queued,
			Recipe: def.Name, Definition: c.Digest, Inputs: inputs,
			Labels: labels, SubmittedBy: c.SubmittedBy, Created: c.Now, NoCache: c.NoCache, Trace: c.Trace, Inbox: c.Inbox,
		},
		outputs: make(map[string]json.RawMessage),
		active:  make(map[string]*unit),
		seeds:   maps.Clone(c.Seeds), resumed: len(c.Seeds) > 0,
	}
}

// Record returns the run's record as it stands.
func (r *Run) Record() run.Run { return r.rec }

// Final reports whether the run has ended.
func (r *Run) Final() bool { return r.rec.State.Final() }

// Size is the number of tasks known so far: what the run costs in memory.
func (r *Run) Size() int { return r.rec.Counts.Total() }

// InFlight returns the attempts whose tickets should be with the workers, by
// task path.
func (r *Run) InFlight() []Flight {
	var out []Flight
	for _, path := range slices.Sorted(maps.Keys(r.active)) {
		u := r.active[path]
		if u.rec.Fence == "" {
			continue
		}
		out = append(out, Flight{
			Task: path, Fence: u.rec.Fence, Queue: u.rec.Queue, Priority: u.priority(),
			Handler: u.node.step.def.Handler, Queued: u.rec.Queued,
			Running: u.rec.State == run.TaskRunning,
		})
	}
	return out
}

// Stalled reports whether nothing is under way that would move the run on: no
// ticket, no answer, and no timer that was not due before a time.
func (r *Run) Stalled(before int64) bool {
	for _, u := range r.active {
		due := u.rec.Due
		if u.rec.Wait != nil {
			due = u.rec.Wait.Due
			if due == 0 {
				return false
			}
		}
		if u.rec.Fence != "" || due > before {
			return false
		}
	}
	return true
}

// path returns the path of the unit's task.
func (u *unit) path() string {
	name := u.node.scope.prefix + u.node.step.def.Name
	if u.index < 0 {
		return name
	}
	return name + "[" + strconv.Itoa(u.index) + "]"
}

func (u *unit) state() run.TaskState {
	if u.rec.State == "" {
		return run.TaskPending
	}
	return u.rec.State
}

func (n *node) state() run.TaskState { return n.unit.state() }

// succeeded reports whether the node counts as succeeded for what depends on
// it.
func (n *node) succeeded() bool {
	s := n.state()
	return s.HasResult() || s == run.TaskFailed && n.unit.rec.Tolerated
}

// settled reports whether the node, with its hook, has come to its end.
func (n *node) settled() bool {
	return n.state().Final() && (n.hook == nil || n.hook.state().Final())
}

// blocksDependents reports whether the node keeps what depends on it from starting.
func (n *node) blocksDependents() bool {
	s := n.state()
	return s == run.TaskFailed && !n.unit.rec.Tolerated || s == run.TaskBlocked || s == run.TaskCancelled
}

func (n *node) iterated() bool { return n.step.def.Iterate != nil || n.step.def.Range != nil }

// inPart says which part of the definition an expression error is in.
func inPart(where string, err error) error { return &partError{where: where, err: err} }

type partError struct {
	where string
	err   error
}

func (e *partError) Error() string { return e.where + ": " + e.err.Error() }
func (e *partError) Unwrap() error { return e.err }

// windowOf is the number of items of an iteration that may be under way at once.
func windowOf(def *flow.Job, l Limits) int {
	if def.Parallelism > 0 {
		return def.Parallelism
	}
	return l.Window
}
