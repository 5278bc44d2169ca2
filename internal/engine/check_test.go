package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/pkg/run"
)

// checker walks a run and notes each invariant that does not hold. The
// invariants are written on the fields of Run, scope, node, unit and iteration.
type checker struct {
	r       *Run
	bad     []error
	states  run.Counts     // of the tasks that are not final
	parked  map[*unit]int  // how often a parked unit is in a list of waiters
	active  map[*scope]int // held units in and below a scope
	live    map[string]*unit
	ahead   int
	waiting map[*unit]bool // units that are parked
}

// check returns what is wrong with a run between two steps; nil is that every
// invariant holds.
func (r *Run) check() error {
	c := &checker{r: r, parked: map[*unit]int{}, active: map[*scope]int{}, live: map[string]*unit{}, waiting: map[*unit]bool{}}
	c.run()
	if r.root != nil && !r.Final() {
		c.scope(r.root)
		c.totals()
	}
	return errors.Join(c.bad...)
}

func (c *checker) want(ok bool, format string, args ...any) {
	if !ok {
		c.bad = append(c.bad, fmt.Errorf(format, args...))
	}
}

func (c *checker) run() {
	r, rec := c.r, &c.r.rec
	c.want(rec.Stop == nil || rec.State == run.Running && r.root != nil && r.root.stopped(), "a %s run has a stop", rec.State)
	c.want(rec.Error == nil || rec.State.Final(), "a %s run has an error", rec.State)
	c.want(rec.Error != nil || rec.State != run.Failed && rec.State != run.Cancelled, "a %s run has no error", rec.State)
	c.want((rec.Paused != nil) == (rec.State == run.Paused), "a %s run has the pause %v", rec.State, rec.Paused)
	c.want(rec.Wait == nil || rec.State == run.Queued, "a %s run waits", rec.State)
	c.want((r.root == nil) == (rec.State == run.Queued) || r.Final(), "a %s run has the root %v", rec.State, r.root)
	c.want(r.fault == nil && len(r.dirty) == 0, "the last step left %v and %d records", r.fault, len(r.dirty))
	if !r.Final() || r.root == nil {
		return
	}
	c.want(len(r.work) == 0 && len(r.active) == 0 && r.inLane == 0, "the run ended with %d pieces of work, %d live units and %d places", len(r.work), len(r.active), r.inLane)
	c.want(r.root.phase == closed && r.root.inFlight == 0, "the run ended with its root in phase %d and %d held units", r.root.phase, r.root.inFlight)
}

// scope checks a scope that is not closed, and all that is below it.
func (c *checker) scope(s *scope) {
	unsettled, failed := 0, 0
	for i := range s.nodes {
		n := &s.nodes[i]
		open := 0
		for _, d := range n.step.deps {
			if !s.nodes[d.job].settled() {
				open++
			}
		}
		c.want(n.waiting == open, "%s waits for %d jobs, %d of those it depends on are not settled", n.unit.path(), n.waiting, open)
		switch {
		case !n.settled():
			unsettled++
		case n.state() == run.TaskFailed && !n.unit.rec.Tolerated:
			failed++
		}
		c.node(n)
	}
	for i := range s.hooks {
		if h := &s.hooks[i]; h.unit.rec.State != "" {
			c.node(h)
		}
	}
	c.want(s.open == unsettled, "scope %q has %d open jobs, %d are not settled", s.prefix, s.open, unsettled)
	c.want(s.failed == failed && (s.firstFailed == nil) == (failed == 0), "scope %q has %d failed jobs, %d did", s.prefix, s.failed, failed)
	c.want(s.phase != opening && s.phase != closed, "scope %q is in phase %d", s.prefix, s.phase)
	c.want(s.inFlight == c.active[s], "scope %q counts %d held units, there are %d", s.prefix, s.inFlight, c.active[s])
	limit := c.r.placesOf(s)
	c.want(limit == 0 || s.inFlight <= limit, "scope %q has %d held units, its limit is %d", s.prefix, s.inFlight, limit)
	for _, u := range s.waiters {
		if u.place == parked {
			c.parked[u]++
		}
	}
}

func (c *checker) node(n *node) {
	c.unit(&n.unit)
	if n.hook != nil {
		c.node(n.hook)
	}
	it := n.iter
	if it == nil || n.state().Final() {
		return
	}
	active, failed := 0, 0
	for _, u := range it.units {
		if u == nil {
			c.states.Pending++
			continue
		}
		c.unit(u)
		if !u.rec.State.Final() {
			active++
		}
		if u.rec.State == run.TaskFailed {
			failed++
		}
	}
	c.want(it.active == active && it.failed == failed, "%s counts %d active and %d failed items, there are %d and %d", n.unit.path(), it.active, it.failed, active, failed)
}

func (c *checker) unit(u *unit) {
	path, state, rec := u.path(), u.state(), &u.rec
	inFlight := rec.Fence != ""
	c.want(!u.dirty && !u.forgotten, "%s is marked or gone between two steps", path)
	c.want(inFlight == (u.place == held), "%s has the place %d and the fence %q", path, u.place, rec.Fence)
	c.want(!inFlight || state.InFlight(), "%s is %s and has a fence", path, state)
	c.want(state != run.TaskQueued || inFlight, "%s is queued and has no fence", path)
	c.want((rec.Wait != nil) == (state == run.TaskWaiting || state == run.TaskDelayed), "%s is %s and waits for %v", path, state, rec.Wait)
	c.want(state != run.TaskRetrying || rec.Due > 0, "%s is retrying at no time", path)
	c.want((u.sub != nil) == (state == run.TaskRunning && u.node.step.sub != nil && (u.index >= 0 || !u.node.iterated())), "%s is %s and its flow is %v", path, state, u.sub)
	c.want(rec.Stop == nil || u.sub != nil && u.sub.stopped(), "%s is %s and has a stop", path, state)
	c.want(len(rec.Slots) == 0 || !state.Final(), "%s is %s and has slots", path, state)
	if state.Final() {
		c.want(u.place == outside && rec.Due == 0, "%s is %s, with the place %d", path, state, u.place)
		return
	}
	c.states.Add(state, 1)
	switch u.place {
	case held:
		for s := u.node.scope; s != nil; s = s.above() {
			c.active[s]++
		}
		if !rec.Bulk {
			c.ahead++
		}
	case parked:
		c.waiting[u] = true
		c.want(state == run.TaskPending || state == run.TaskRetrying, "%s is %s and parked", path, state)
	case woken:
		c.want(state == run.TaskPending || state == run.TaskRetrying, "%s is %s and woken", path, state)
		c.want(slices.ContainsFunc(c.r.work, func(w work) bool { return w.unit == u }), "%s is woken and there is no work for it", path)
	}
	if inFlight || rec.Wait != nil || u.sub != nil || state == run.TaskRetrying {
		c.live[path] = u
	}
	if u.sub != nil {
		c.scope(u.sub)
	}
}

// totals compares what was counted in the whole run.
func (c *checker) totals() {
	for path, u := range c.live {
		c.want(c.r.active[path] == u, "%s is not live", path)
	}
	for path, u := range c.r.active {
		c.want(u.path() == path && !u.state().Final(), "%s is live and %s", path, u.state())
	}
	for u := range c.waiting {
		c.want(c.parked[u] == 1, "%s is parked in %d lists", u.path(), c.parked[u])
	}
	c.want(len(c.parked) == len(c.waiting), "%d units are in lists of waiters, %d are parked", len(c.parked), len(c.waiting))
	c.want(c.r.inLane == c.ahead, "%d tickets are in the lanes of their jobs, %d are counted", c.ahead, c.r.inLane)
	got, want := c.states, c.r.rec.Counts
	want.Succeeded, want.Cached, want.Failed, want.Skipped, want.Blocked, want.Cancelled = 0, 0, 0, 0, 0, 0
	c.want(got == want, "the tasks that are not final are %+v, the counts say %+v", got, want)
}

const invariantsFlow = `
parallelism: 1
jobs:
  held: {job: work}
  parked: {job: work}
  waits: {approval: {message: Go}}
  items: {job: work, iterate: {from: 1, to: 2}}
  after: {job: work, dependsOn: [held]}
`

// TestInvariants_EachViolationIsFound: the check is worth something only if it
// notices what it is for.
func TestInvariants_EachViolationIsFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		harm func(r *Run, at func(job int) *unit)
		want string
	}{
		{"held without a ticket", func(_ *Run, at func(int) *unit) { at(0).rec.Fence = "" }, `held has the place 3 and the fence ""`},
		{"a ticket without a place", func(_ *Run, at func(int) *unit) { at(0).place = outside }, `held has the place 0 and the fence`},
		{"parked in no list", func(r *Run, _ func(int) *unit) { r.root.waiters = nil }, "is parked in 0 lists"},
		{"parked twice", func(r *Run, at func(int) *unit) { r.root.waiters = append(r.root.waiters, at(1)) }, "parked is parked in 2 lists"},
		{"woken without work", func(_ *Run, at func(int) *unit) { at(1).place = woken }, "parked is woken and there is no work for it"},
		{"a final unit holds a place", func(_ *Run, at func(int) *unit) { at(0).rec.State = run.TaskFailed }, "held is failed, with the place 3"},
		{"more held than the limit", func(r *Run, _ func(int) *unit) { r.root.inFlight = 2 }, `scope "" has 2 held units, its limit is 1`},
		{"an open scope that is closed", func(r *Run, _ func(int) *unit) { r.root.phase = closed }, `scope "" is in phase 4`},
		{"a stop without a stopped scope", func(r *Run, _ func(int) *unit) { r.rec.Stop = &run.Stop{} }, "a running run has a stop"},
		{"an error before the end", func(r *Run, _ func(int) *unit) { r.rec.Error = &run.Error{} }, "a running run has an error"},
		{"a stop of a task without a flow", func(_ *Run, at func(int) *unit) { at(0).rec.Stop = &run.Stop{} }, "held is queued and has a stop"},
		{"a wait that is none", func(_ *Run, at func(int) *unit) { at(2).rec.Wait = nil }, "waits is waiting and waits for <nil>"},
		{"a dependency miscounted", func(r *Run, _ func(int) *unit) { r.root.nodes[4].waiting = 0 }, "after waits for 0 jobs, 1 of those"},
		{"open jobs miscounted", func(r *Run, _ func(int) *unit) { r.root.open-- }, `scope "" has 4 open jobs, 5 are not settled`},
		{"items miscounted", func(r *Run, _ func(int) *unit) { r.root.nodes[3].iter.active = 0 }, "items counts 0 active"},
		{"counts that differ", func(r *Run, _ func(int) *unit) { r.rec.Counts.Queued++ }, "the counts say"},
		{"lanes miscounted", func(r *Run, _ func(int) *unit) { r.inLane = 0 }, "1 tickets are in the lanes of their jobs, 0 are counted"},
		{"paused without a pause", func(r *Run, _ func(int) *unit) { r.rec.State = run.Paused }, "a paused run has the pause <nil>"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, compile(t, []txtar.File{{Name: "flows/i.yaml", Data: []byte(invariantsFlow)}}, Limits{}), nil)
			g.step(Event{Kind: event.Start})
			if err := g.run.check(); err != nil {
				t.Fatal(err)
			}
			test.harm(g.run, func(job int) *unit { return &g.run.root.nodes[job].unit })
			if err := g.run.check(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestPhases_OnlyForward: no event brings a scope back.
func TestPhases_OnlyForward(t *testing.T) {
	t.Parallel()
	for from := opening; from <= closed; from++ {
		for to := opening; to <= closed; to++ {
			s := &scope{phase: from}
			if moved := s.enter(to); moved != (to > from) || s.phase != max(from, to) {
				t.Errorf("from %d to %d: moved %v, is in %d", from, to, moved, s.phase)
			}
		}
	}
}
