package engine

import (
	"maps"
	"slices"

	"github.com/orchis-run/orchis/pkg/run"
)

// A gate stands between a unit and its attempt. It lets the unit through, ends
// it, or has it wait for an answer; then the unit goes on behind the gate.
type gate struct {
	kind string
	// open reports whether the unit may go on at once.
	open func(r *Run, u *unit) bool
}

// gates are in the order in which a unit comes to them.
func gates() []gate {
	return []gate{
		{"seed", (*Run).takeOver},
		{run.WaitCache, (*Run).lookUp},
		{run.WaitGroup, (*Run).groupGate},
		{"flow", (*Run).flowGate},
		{run.WaitRate, (*Run).rateGate},
	}
}

// pass takes a unit through its gates, as far as it may go.
func (r *Run) pass(u *unit) bool {
	for all := gates(); u.gate < len(all); {
		g := all[u.gate]
		u.gate++
		if r.rehearsal != nil && u.gate > 1 {
			continue // nobody answers there
		}
		if !g.open(r, u) {
			return false
		}
	}
	return true
}

// gateAfter is the gate behind the one at which a unit waits.
func gateAfter(w *run.Wait) int {
	all := gates()
	for i, g := range all {
		if w != nil && (g.kind == w.Kind || g.kind == "flow" && w.Flow) {
			if g.kind == run.WaitGroup && w.Flow {
				continue
			}
			return i + 1
		}
	}
	return len(all)
}

// ask has a unit wait for what only the orchestrator can find out.
func (r *Run) ask(u *unit, w run.Wait) {
	w.Ask = r.fence()
	r.wait(u, w)
	r.fx.Asks = append(r.fx.Asks, Ask{Task: u.path(), Handler: u.node.step.def.Handler, Priority: u.node.step.def.Priority, Wait: *u.rec.Wait})
}

// OpenAsks returns the questions that have no answer yet, so that they can be
// asked again.
func (r *Run) OpenAsks() []Ask {
	var out []Ask
	if w := r.rec.Wait; w != nil && w.Due == 0 && !r.Final() {
		out = append(out, Ask{Priority: r.program.root.def.Priority, Wait: *w})
	}
	for _, path := range slices.Sorted(maps.Keys(r.live)) {
		u := r.live[path]
		if w := u.rec.Wait; w != nil && w.Ask != "" && w.Due == 0 {
			out = append(out, Ask{Task: path, Handler: u.node.step.def.Handler, Priority: u.node.step.def.Priority, Wait: *w})
		}
	}
	return out
}

// answered takes an answer in. It counts only while the unit waits for it.
func (r *Run) answered(ev *Event) bool {
	if ev.Task == "" {
		return r.admitted(ev)
	}
	u := r.live[ev.Task]
	// mutant: query-fence-must-match (without 4)
	if u == nil || u.rec.Wait == nil || u.rec.Wait.Ask == "" || u.rec.Wait.Ask != ev.Fence {
		return false
	}
	if ev.Due > 0 {
		r.waitUntil(u, ev.Due)
		return true
	}
	w := *u.rec.Wait
	r.endWait(u)
	if r.settle(u, &w, ev) {
		r.unwait(u)
		r.laterUnit(u)
	}
	return true
}

// settle does what an answer means for the unit, by the kind of the question;
// true lets it go on behind the gate.
func (r *Run) settle(u *unit, w *run.Wait, ev *Event) bool {
	switch {
	case w.Kind == run.WaitCache:
		return r.foundOrNot(u, ev)
	case w.Kind == run.WaitGroup && ev.Granted:
		u.rec.Slots = append(slices.Clone(u.rec.Slots), run.Slot{Group: w.Key, Ask: w.Ask})
	case w.Kind == run.WaitGroup:
		r.noSlot(u, w, ev)
		return false
	}
	return true
}
