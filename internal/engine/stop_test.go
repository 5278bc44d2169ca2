package engine

import (
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/pkg/run"
)

// stopRig returns a rig of a run whose steps end after one change, so that a
// crash can come between any two of them.
func stopRig(t *testing.T, definition string) *rig {
	t.Helper()
	g := newRig(t, compile(t, []txtar.File{{Name: "flows/stop.yaml", Data: []byte(definition)}}, Limits{Budget: 1}), nil)
	g.single = true
	g.step(Event{Kind: event.Start})
	for g.run.HasWork() {
		g.step(Event{Kind: event.Continue})
	}
	return g
}

// crash throws the run away after each step until no work is left.
func (g *rig) crash() {
	for {
		g.restore()
		if !g.run.HasWork() {
			return
		}
		if fx := g.step(Event{Kind: event.Continue}); fx[0].Empty() {
			return
		}
	}
}

func TestStop_ASecondCancelSurvivesACrash(t *testing.T) {
	t.Parallel()
	g := stopRig(t, "jobs:\n  a: {job: work}\n  b: {job: work}\n  tidy: {job: work, dependsOn: {a: finished}, if: always()}\n")
	g.step(Event{Kind: event.Cancel, By: "ann"})
	g.step(Event{Kind: event.Cancel, By: "bob"})
	if rec := g.run.Record(); !rec.Stopping() || !rec.Stop.Hard || rec.Stop.By != "ann" || rec.Error != nil {
		t.Fatalf("the run has the stop %+v and the error %v", rec.Stop, rec.Error)
	}
	g.crash()
	rec := g.run.Record()
	if rec.State != run.Cancelled || rec.Stop != nil || rec.Error == nil || rec.Error.Message != "cancelled by ann" {
		t.Errorf("the run is %s, its stop %+v, its error %v", rec.State, rec.Stop, rec.Error)
	}
	if g.started["tidy"] > 0 {
		t.Error("the crash has undone the second cancel: tidy was started")
	}
}

// TestStop_ACrashDoesNotSaveATask: what had a ticket when the run was cancelled
// is cancelled, also when the orchestrator crashed between two steps.
func TestStop_ACrashDoesNotSaveATask(t *testing.T) {
	t.Parallel()
	g := stopRig(t, "jobs:\n  a: {job: work}\n  b: {job: work}\n  c: {job: work}\n  each: {job: work, iterate: {from: 1, to: 3}}\n")
	g.step(Event{Kind: event.Cancel, By: "ann"})
	g.crash()
	if rec := g.run.Record(); rec.State != run.Cancelled || len(g.tickets) > 0 {
		t.Errorf("the run is %s, its tickets are %v", rec.State, g.tickets)
	}
}

func TestStop_AHookOfSuccessStaysStoppedAfterACrash(t *testing.T) {
	t.Parallel()
	g := stopRig(t, "jobs:\n  a: {job: transform, inputs: {x: 1}}\nonSuccess:\n  one: {job: work}\n  two: {job: work, dependsOn: [one]}\n")
	g.step(Event{Kind: event.Cancel, By: "ann"})
	g.crash()
	if rec := g.run.Record(); rec.State != run.Cancelled || g.started["@onSuccess/one"] != 1 || g.started["@onSuccess/two"] != 0 {
		t.Errorf("the run is %s, started %v", rec.State, g.started)
	}
}

// TestStop_TheFirstStopCounts: a timeout that is due while the run is being
// cancelled changes nothing, and neither does an eviction.
func TestStop_TheFirstStopCounts(t *testing.T) {
	t.Parallel()
	g := stopRig(t, "timeout: 1m\nconcurrency: {group: g, limit: 1, onLimit: cancelOldest}\njobs:\n  a: {job: work}\n  tidy: {job: work, dependsOn: {a: finished}, if: always()}\n")
	g.single = false
	g.step(Event{Kind: event.Answered, Fence: g.run.Record().Wait.Query, Granted: true})
	slot := g.run.Record().Slot
	g.step(Event{Kind: event.Cancel, By: "ann"})
	g.now += 120_000
	for _, ev := range []Event{
		{Kind: event.TimerFired, Timer: TimerTimeout},
		{Kind: event.Evicted, Fence: slot.Query, Reason: "run r2"},
	} {
		g.step(ev)
	}
	g.step(Event{Kind: event.Succeeded, Task: "tidy", Fence: g.tickets["tidy"].Fence, Result: []byte("1")})
	if rec := g.run.Record(); rec.State != run.Cancelled || rec.Error.Message != "cancelled by ann" {
		t.Errorf("the run is %s: %v", rec.State, rec.Error)
	}
}
