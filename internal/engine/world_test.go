package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/orchis-run/orchis/internal/event"
)

// drawGates adds what a job has to pass before a worker gets it, and how long it
// may wait there.
func drawGates(t *rapid.T, b *strings.Builder, byWorkers bool) {
	if rapid.IntRange(0, 4).Draw(t, "group") == 0 {
		fmt.Fprintf(b, "    concurrency: {group: g, limit: 1, onLimit: %s}\n", rapid.SampledFrom([]string{"queue", "skip", "fail"}).Draw(t, "onLimit"))
	}
	if rapid.IntRange(0, 4).Draw(t, "rate") == 0 {
		b.WriteString("    rateLimit: {key: k, limit: 1, per: 1s}\n")
	}
	if byWorkers && rapid.IntRange(0, 4).Draw(t, "cache") == 0 {
		b.WriteString("    cache: true\n")
	}
	if rapid.IntRange(0, 4).Draw(t, "impatient") == 0 {
		b.WriteString("    queueTimeout: 1h\n")
	}
}

// world draws what comes from elsewhere than from workers and people: an answer
// of the orchestrator, a timer, or that a timer vanishes. Must says that
// something has to come.
func (g *rig) world(t *rapid.T, must bool) (Event, bool) {
	asks := g.run.OpenQueries()
	what := rapid.IntRange(0, 9).Draw(t, "world")
	switch {
	case len(asks) > 0 && (what < 6 || must):
		ask := rapid.SampledFrom(asks).Draw(t, "ask")
		ev := Event{Kind: event.Answered, Task: ask.Task, Fence: ask.Query, Reason: "held by run r2"}
		switch rapid.IntRange(0, 5).Draw(t, "reply") {
		case 0:
			ev.Due = g.now + 1000
		case 1:
			ev.Granted = ask.Mode == "queue" || ask.Mode == ""
		default:
			ev.Granted = true
		}
		if ask.Kind == "cache" {
			ev.Due, ev.Granted, ev.Result, ev.From = 0, what == 0, []byte(`{"a":1}`), "r0"
		}
		return ev, true
	case what == 9:
		if ev, held := g.evicted(t); held {
			return ev, true
		}
	case what == 8 && len(g.timers) > 0:
		g.robbed = true
		delete(g.timers, rapid.SampledFrom(slices.Sorted(maps.Keys(g.timers))).Draw(t, "robbed"))
	}
	tm, ok := g.next()
	if all := g.run.Timers(); !ok && len(all) > 0 { // as the sweeper does
		tm, ok = slices.MinFunc(all, func(a, b Timer) int { return int(a.Due - b.Due) }), true
		g.now = max(g.now, tm.Due)
	}
	return Event{Kind: event.TimerFired, Timer: tm.Kind, Task: tm.Task, Fence: tm.Fence}, ok
}

// evicted draws a task that loses its slot.
func (g *rig) evicted(t *rapid.T) (Event, bool) {
	var all []Event
	for _, task := range slices.Sorted(maps.Keys(g.tasks)) {
		for _, s := range g.tasks[task].Slots {
			all = append(all, Event{Kind: event.Evicted, Task: task, Fence: s.Query, Reason: "run r2"})
		}
	}
	if len(all) == 0 {
		return Event{}, false
	}
	return rapid.SampledFrom(all).Draw(t, "evicted"), true
}

// checkTimers: what the run counts on is set, unless it vanished.
func (g *rig) checkTimers(t *rapid.T) {
	if g.robbed {
		return
	}
	for _, tm := range g.run.Timers() {
		if got := g.timers[tm.Kind+"|"+tm.Task+"|"+tm.Fence]; got.Due != tm.Due && tm.Due > g.now {
			t.Fatalf("the run counts on the timer %+v; set is %+v", tm, got)
		}
	}
}
