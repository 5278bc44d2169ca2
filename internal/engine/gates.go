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
		{"seed", (*Run).reuseSeed},
		{run.WaitCache, (*Run).queryCache},
		{run.WaitGroup, (*Run).groupGate},
		{"flow", (*Run).flowGate},
		{run.WaitRate, (*Run).rateGate},
	}
}

// passGates takes a unit through its gates, as far as it may go.
func (r *Run) passGates(u *unit) bool {
	for all := gates(); u.gate < len(all); {
		g := all[u.gate]
		u.gate++
		if r.dryRun != nil && u.gate > 1 {
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

// query has a unit wait for what only the orchestrator can find out.
func (r *Run) query(u *unit, w run.Wait) {
	w.Query = r.newFence()
	r.startWait(u, w)
	r.fx.Queries = append(r.fx.Queries, Query{Task: u.path(), Handler: u.node.step.def.Handler, Priority: u.node.step.def.Priority, Wait: *u.rec.Wait})
}

// OpenQueries returns the questions that have no answer yet, so that they can be
// asked again.
func (r *Run) OpenQueries() []Query {
	var out []Query
	if w := r.rec.Wait; w != nil && w.Due == 0 && !r.Final() {
		out = append(out, Query{Priority: r.program.root.def.Priority, Wait: *w})
	}
	for _, path := range slices.Sorted(maps.Keys(r.active)) {
		u := r.active[path]
		if w := u.rec.Wait; w != nil && w.Query != "" && w.Due == 0 {
			out = append(out, Query{Task: path, Handler: u.node.step.def.Handler, Priority: u.node.step.def.Priority, Wait: *w})
		}
	}
	return out
}

// answered takes an answer in. It counts only while the unit waits for it.
func (r *Run) answered(ev *Event) bool {
	if ev.Task == "" {
		return r.admitted(ev)
	}
	u := r.active[ev.Task]
	// mutant: query-fence-must-match (without 4)
	if u == nil || u.rec.Wait == nil || u.rec.Wait.Query == "" || u.rec.Wait.Query != ev.Fence {
		return false
	}
	if ev.Due > 0 {
		r.setWaitDue(u, ev.Due)
		return true
	}
	w := *u.rec.Wait
	r.endWait(u)
	if r.applyAnswer(u, &w, ev) {
		r.makePending(u)
		r.enqueueUnit(u)
	}
	return true
}

// applyAnswer does what an answer means for the unit, by the kind of the question;
// true lets it go on behind the gate.
func (r *Run) applyAnswer(u *unit, w *run.Wait, ev *Event) bool {
	switch {
	case w.Kind == run.WaitCache:
		return r.applyCacheAnswer(u, ev)
	case w.Kind == run.WaitGroup && ev.Granted:
		u.rec.Slots = append(slices.Clone(u.rec.Slots), run.Slot{Group: w.Key, Query: w.Query})
	case w.Kind == run.WaitGroup:
		r.groupFull(u, w, ev)
		return false
	}
	return true
}
