package engine

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

func free(i int) string { return fmt.Sprintf("  j%d: {job: work}\n", i) }

// lanes counts the tickets in flight of the job's own priority, and the others.
func lanes(r *Run) (own, lower int) {
	for _, f := range r.InFlight() {
		if f.Priority == flow.PriorityNormal {
			own++
		} else {
			lower++
		}
	}
	return own, lower
}

// TestALargeRunLeavesRoomForOthers: of 3,000 jobs that could all run, so many
// have tickets, of which the first stand in the lane of their job; also after a
// crash, and to the end.
func TestALargeRunLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	p := compile(t, wide(3000, free), Limits{InFlight: 700, LaneQuota: 50})
	r := New(p, Create{ID: "r", Now: 1})
	records, outputs := map[string]run.Task{}, 0
	var open []Ticket
	fences := uint64(1)
	step := func(events ...Event) {
		fences++
		fx := r.Step(2, fences, events...)
		if fx.Fault != nil {
			t.Fatal(fx.Fault)
		}
		for _, rec := range fx.Tasks {
			records[rec.ID] = rec
		}
		outputs += len(fx.Outputs)
		open = append(open, fx.Tickets...)
	}
	step(Event{Kind: event.Start})
	restored := false
	for !r.Final() {
		own, lower := lanes(r)
		if own > 50 || own+lower > 700 || len(open) != own+lower {
			t.Fatalf("%d tickets in their lane and %d below it, %d open", own, lower, len(open))
		}
		if left := 3000 - outputs; own < min(50, left-lower) || own+lower < min(700, left) {
			t.Fatalf("only %d and %d tickets with %d jobs to do", own, lower, left)
		}
		if outputs > 1000 && !restored {
			restored = true
			var err error
			r, err = Restore(p, Snapshot{Run: r.Record(), Tasks: maps.Clone(records), Outputs: maps.Clone(r.outputs)})
			if err != nil {
				t.Fatal(err)
			}
			step(Event{Kind: event.Continue})
		}
		n := min(37, len(open))
		var events []Event
		for _, k := range open[:n] {
			events = append(events, Event{Kind: event.Succeeded, Task: k.Task, Fence: k.Fence, Result: []byte("1")})
		}
		open = slices.Clone(open[n:])
		step(events...)
	}
	for _, rec := range records {
		if rec.Bulk || rec.State != run.TaskSucceeded {
			t.Fatalf("left behind: %+v", rec)
		}
	}
	if r.inLane != 0 {
		t.Errorf("%d places are never given back", r.inLane)
	}
}

// A ticket is withdrawn from the lane in which it stands.
func TestTicketsAreWithdrawnFromTheirLane(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ priority, lower int }{{2, 2}, {5, 2}, {7, 5}, {9, 5}} {
		p := compile(t, wide(20, func(i int) string { return fmt.Sprintf("  j%d: {job: work, priority: %d}\n", i, test.priority) }), Limits{LaneQuota: 4})
		r := New(p, Create{ID: "r", Now: 1})
		stands := map[string]int{}
		below := 0
		for _, k := range r.Step(1, 1, Event{Kind: event.Start}).Tickets {
			stands[k.Fence] = k.Priority
			if k.Priority == test.lower && test.lower != test.priority {
				below++
			}
		}
		if len(stands) != 20 || below != 16 && test.lower != test.priority {
			t.Errorf("priority %d: %d of %d tickets stand lower", test.priority, below, len(stands))
		}
		fx := r.Step(2, 2, Event{Kind: event.Cancel})
		if len(fx.Revokes) != 20 {
			t.Fatalf("%d of 20 tickets are withdrawn", len(fx.Revokes))
		}
		for _, w := range fx.Revokes {
			if stands[w.Fence] != w.Priority {
				t.Errorf("a ticket of priority %d is withdrawn from %d", stands[w.Fence], w.Priority)
			}
		}
	}
}

// A task of a run with many costs about as many allocations as one of a run
// with few.
func TestATaskCostsTheSameInALargeRun(t *testing.T) { //nolint:paralleltest // counts allocations
	perTask := func(tasks int) float64 {
		p := compile(t, wide(tasks, free), Limits{})
		return testing.AllocsPerRun(2, func() {
			r := New(p, Create{ID: "r", Now: 1})
			open := r.Step(1, 1, Event{Kind: event.Start}).Tickets
			for n := uint64(2); !r.Final(); n++ {
				var events []Event
				for _, k := range open[:min(100, len(open))] {
					events = append(events, Event{Kind: event.Succeeded, Task: k.Task, Fence: k.Fence, Result: []byte("1")})
				}
				fx := r.Step(2, n, events...)
				if changes := len(fx.Tasks) + len(fx.Tickets); changes > 3*r.limits.Budget {
					t.Fatalf("a step makes %d changes", changes)
				}
				open = append(slices.Clone(open[len(events):]), fx.Tickets...)
			}
		}) / float64(tasks)
	}
	small, large := perTask(500), perTask(10_000)
	if large > 1.25*small {
		t.Errorf("a task costs %.1f allocations in a large run and %.1f in a small one", large, small)
	}
}

// TestResultsThatAreTooManyAreNoOutputs: a flow that declares no outputs has the
// results of its jobs, or null when these are too large.
func TestResultsThatAreTooManyAreNoOutputs(t *testing.T) {
	t.Parallel()
	files := wide(3, free)
	const all = `{"j0":"xxxx","j1":"xxxx","j2":"xxxx"}`
	for limit, want := range map[int]string{len(all): all, len(all) - 1: "null", 1: "null"} {
		g := newRig(t, compile(t, files, Limits{MaxOutputs: limit}), nil)
		g.step(Event{Kind: event.Start})
		for task, k := range g.tickets {
			g.step(Event{Kind: event.Succeeded, Task: task, Fence: k.Fence, Result: []byte(`"xxxx"`)})
		}
		if got := g.run.Record(); got.State != run.Succeeded || string(got.Outputs) != want {
			t.Errorf("with a limit of %d the run is %s with %s", limit, got.State, got.Outputs)
		}
	}
}
