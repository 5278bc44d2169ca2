package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/orchis-run/orchis/pkg/run"
)

// Snapshot is a run as it was committed.
type Snapshot struct {
	Run     run.Run
	Tasks   map[string]run.Task
	Outputs map[string]json.RawMessage
	// Seeds are those with which the run was created.
	Seeds map[string]Seed
}

// Restore makes a run from its records, and finds out what is left to be done.
// It takes the outputs over; the snapshot must not be used afterwards.
func Restore(p *Program, s Snapshot) (*Run, error) {
	r := &Run{
		program: p, limits: p.limits, rec: s.Run,
		outputs: s.Outputs, active: make(map[string]*unit),
		seeds: s.Seeds, resumed: len(s.Seeds) > 0,
	}
	if r.outputs == nil {
		r.outputs = make(map[string]json.RawMessage)
	}
	if s.Run.State == run.Queued || r.Final() {
		return r, nil
	}
	if s.Run.State != run.Running && s.Run.State != run.Paused {
		return nil, fmt.Errorf("restore run %s: unknown state %q", s.Run.ID, s.Run.State)
	}
	r.root = newScope(p.root, "", nil)
	err := r.fill(r.root, r.inputs())
	switch {
	case err != nil && !s.Run.Stopping():
		return nil, fmt.Errorf("restore run %s: %w", s.Run.ID, err)
	case err != nil:
		r.root.enter(aborting)
	}
	r.root.restorePhase(s.Run.Stop)
	if err := r.restoreScope(r.root, s.Tasks); err != nil {
		return nil, fmt.Errorf("restore run %s: %w", s.Run.ID, err)
	}
	return r, nil
}

// restorePhase moves a scope on to where its own stop brought it.
func (s *scope) restorePhase(stop *run.Stop) {
	if stop == nil {
		return
	}
	s.enter(stopping)
	if stop.Hard {
		s.enter(aborting)
	}
}

// restoreScope gives the nodes of a scope their records, then goes on to what
// is below them, for which the results of the nodes are needed.
func (r *Run) restoreScope(s *scope, tasks map[string]run.Task) error {
	for i := range s.nodes {
		n := &s.nodes[i]
		rec, ok := tasks[n.unit.path()]
		if !ok {
			continue
		}
		n.unit.rec = rec
		markReran(&n.unit, rec.State)
		if !rec.State.Final() {
			continue
		}
		if n.step.hook != nil {
			hook := n.makeHook()
			if hook.unit.rec, ok = tasks[hook.unit.path()]; !ok {
				n.hook = nil
			} else if !hook.state().Final() {
				continue
			}
		}
		s.open--
		if rec.State == run.TaskFailed && !rec.Tolerated {
			s.failed++
			if s.firstFailed == nil || rec.Ended < s.firstFailed.unit.rec.Ended {
				s.firstFailed = n
			}
		}
		for _, d := range n.step.dependents {
			s.nodes[d].waiting-- // mutant: restore-counts-dependencies (replace -- by = 0)
		}
	}
	for i := range s.nodes {
		if err := r.restoreNode(&s.nodes[i], tasks); err != nil {
			return err
		}
	}
	if err := r.restoreHooks(s, tasks); err != nil {
		return err
	}
	r.enqueueScope(s)
	return nil
}

// restoreHooks brings back the hooks of a scope and of its jobs.
func (r *Run) restoreHooks(s *scope, tasks map[string]run.Task) error {
	var hooks []*node
	for i := range s.nodes {
		if n := s.nodes[i].hook; n != nil {
			hooks = append(hooks, n)
		}
	}
	for i := range s.hooks {
		n := &s.hooks[i]
		if rec, ok := tasks[n.unit.path()]; ok {
			n.unit.rec = rec
			hooks = append(hooks, n)
		}
	}
	for _, n := range hooks {
		if err := r.restoreUnit(&n.unit, tasks); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) restoreNode(n *node, tasks map[string]run.Task) error {
	state := n.state()
	switch {
	case state == run.TaskDelayed:
		r.active[n.unit.path()] = &n.unit
		r.wakeNode(n)
	case state == run.TaskPending:
		if n.waiting == 0 || n.scope.stopped() { // mutant: restore-schedules-ready (false)
			r.enqueueNode(n)
		}
	case n.iterated():
		return r.restoreItems(n, tasks)
	default:
		if err := r.restoreUnit(&n.unit, tasks); err != nil {
			return err
		}
	}
	if n.scope.stopped() && !state.Final() {
		r.enqueueNode(n) // mutant: restore-cancels-stopped (skip)
	}
	return nil
}

// restoreItems brings an iteration back. Of a final one only what expressions
// may still ask for is needed: the failed items.
func (r *Run) restoreItems(n *node, tasks map[string]run.Task) error {
	final := n.state().Final()
	if final && (n.state() == run.TaskSkipped || n.state() == run.TaskBlocked) {
		return nil
	}
	if final && n.unit.rec.Items == 0 {
		return nil
	}
	it, bad := r.items(n)
	if bad != nil {
		return errors.New(bad.Message)
	}
	if len(it.items) != n.unit.rec.Items {
		return fmt.Errorf("task %s has %d items, its record says %d", n.unit.path(), len(it.items), n.unit.rec.Items)
	}
	n.iter = it
	base := n.unit.path()
	for i := range it.items {
		rec, ok := tasks[base+"["+strconv.Itoa(i)+"]"]
		if !ok {
			continue
		}
		u := &unit{node: n, index: i, rec: rec}
		it.units[i] = u
		markReran(u, rec.State)
		if rec.State == run.TaskFailed {
			it.failed++
		}
		if !rec.State.Final() {
			it.active++
		}
		if err := r.restoreUnit(u, tasks); err != nil {
			return err
		}
	}
	it.stopped = n.step.def.FailFast && it.failed > n.maxFailures()
	it.rest = run.TaskSkipped
	if n.state() == run.TaskCancelled {
		it.rest = run.TaskCancelled
	}
	if !final {
		r.enqueueItems(n)
		if n.scope.stopped() {
			r.enqueueNode(n)
		}
		return nil
	}
	for i, u := range it.units {
		if u != nil && u.rec.State == run.TaskFailed {
			n.errors = append(n.errors, itemError(it, i, u.rec.Error))
		}
	}
	if !r.retainsTasks(n.scope) {
		n.iter = nil
	}
	return nil
}

// restoreUnit brings a unit back to where its record says it was.
func (r *Run) restoreUnit(u *unit, tasks map[string]run.Task) error {
	state := u.rec.State
	flow := u.node.step.sub != nil
	switch {
	case state.Final():
		if flow && u.rec.Attempt > 0 && r.retainsTasks(u.node.scope) {
			return r.restoreKept(u, tasks)
		}
	case state == run.TaskRetrying:
		r.active[u.path()] = u
		r.wake(u)
	case state == run.TaskPending && u.index >= 0:
		r.enqueueUnit(u) // it came through a gate and then waited for a place
	case state == run.TaskWaiting:
		r.active[u.path()] = u
		u.gate = gateAfter(u.rec.Wait)
	case flow && state == run.TaskRunning:
		return r.restoreFlow(u, tasks)
	case state.InFlight():
		r.active[u.path()] = u
		r.hold(u)
	}
	return nil
}

func (r *Run) restoreFlow(u *unit, tasks map[string]run.Task) error {
	s, bad := r.newFlow(u)
	if bad != nil {
		return errors.New(bad.Message)
	}
	u.sub = s
	r.active[u.path()] = u
	s.restorePhase(u.rec.Stop)
	if above := u.node.scope; above.phase == aborting || above.stopped() && !u.node.isHook {
		s.enter(above.phase)
	}
	return r.restoreScope(u.sub, tasks)
}

// restoreKept brings back the records of an ended nested flow, which a retry
// further up would have to forget.
func (r *Run) restoreKept(u *unit, tasks map[string]run.Task) error {
	s, bad := r.newFlow(u)
	if bad != nil {
		return errors.New(bad.Message)
	}
	work := r.work
	err := r.restoreScope(s, tasks)
	r.work = work
	u.endedSub = s
	return err
}
