package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// drawFlow writes a random flow: its jobs depend on earlier ones, are iterated,
// call a nested flow, have conditions, limits and tolerance.
func drawFlow(t *rapid.T, nested bool) string {
	var b strings.Builder
	if rapid.Bool().Draw(t, "limited") {
		fmt.Fprintf(&b, "parallelism: %d\n", rapid.IntRange(1, 3).Draw(t, "parallelism"))
	}
	if rapid.IntRange(0, 5).Draw(t, "grouped") == 0 {
		fmt.Fprintf(&b, "concurrency: {group: f, limit: 1, onLimit: %s}\n", rapid.SampledFrom([]string{"queue", "skip", "fail"}).Draw(t, "onLimit"))
	}
	if rapid.IntRange(0, 5).Draw(t, "timed") == 0 {
		b.WriteString("timeout: 2h\n")
	}
	b.WriteString("jobs:\n")
	jobs := rapid.IntRange(1, 6).Draw(t, "jobs")
	for i := range jobs {
		fmt.Fprintf(&b, "  j%d:\n", i)
		sub := nested && rapid.IntRange(0, 3).Draw(t, "sub") == 0
		gate := !sub && rapid.IntRange(0, 5).Draw(t, "gate") == 0
		if rapid.IntRange(0, 5).Draw(t, "delayed") == 0 {
			b.WriteString("    delay: 5s\n")
		}
		if !gate && rapid.IntRange(0, 4).Draw(t, "hooked") == 0 {
			fmt.Fprintf(&b, "    onFailure: {recover: %v, o%d: {job: work, retries: 1}}\n", rapid.Bool().Draw(t, "recover"), i)
		}
		switch {
		case sub:
			b.WriteString("    flow: inner\n")
		case gate:
			b.WriteString(rapid.SampledFrom([]string{
				"    approval: {message: Go, timeout: 1h}\n", "    approval: {timeout: 1h, onTimeout: approve}\n",
				"    waitFor: {signal: s, timeout: 1h, default: 1}\n", "    waitFor: {signal: s, timeout: 1h, match: self.data == 1}\n",
			}).Draw(t, "kind"))
		default:
			handler := rapid.SampledFrom([]string{"work", "work", "transform"}).Draw(t, "handler")
			fmt.Fprintf(&b, "    job: %s\n", handler)
			drawGates(t, &b, handler == "work")
		}
		if rapid.IntRange(0, 2).Draw(t, "iterated") == 0 {
			fmt.Fprintf(&b, "    iterate: {from: 1, to: %d}\n", rapid.IntRange(0, 4).Draw(t, "items"))
			fmt.Fprintf(&b, "    batch: %d\n", rapid.IntRange(1, 2).Draw(t, "batch"))
			fmt.Fprintf(&b, "    failFast: %v\n    maxFailures: %d\n", rapid.Bool().Draw(t, "failFast"), rapid.IntRange(0, 1).Draw(t, "maxFailures"))
		}
		if !gate {
			fmt.Fprintf(&b, "    retries: %d\n", rapid.IntRange(0, 2).Draw(t, "retries"))
		}
		fmt.Fprintf(&b, "    continueOnError: %v\n", rapid.IntRange(0, 3).Draw(t, "tolerant") == 0)
		if cond := rapid.SampledFrom([]string{"", "", "", "finished()", "always()", "failure()", "success()", "1 == 2"}).Draw(t, "if"); cond != "" {
			fmt.Fprintf(&b, "    if: %s\n", cond)
		}
		var deps []string
		for k := range i {
			if rapid.IntRange(0, 2).Draw(t, "edge") == 0 {
				deps = append(deps, fmt.Sprintf("j%d: %s", k, rapid.SampledFrom([]string{"succeeded", "finished", "failed"}).Draw(t, "on")))
			}
		}
		if rapid.Bool().Draw(t, "plain") {
			for k := range deps {
				deps[k], _, _ = strings.Cut(deps[k], ":")
			}
			fmt.Fprintf(&b, "    dependsOn: [%s]\n", strings.Join(deps, ", "))
		} else if len(deps) > 0 {
			fmt.Fprintf(&b, "    dependsOn: {%s}\n", strings.Join(deps, ", "))
		}
	}
	for _, on := range flow.HookKinds() {
		if rapid.IntRange(0, 4).Draw(t, string(on)) == 0 {
			fmt.Fprintf(&b, "%s: {h%s: {job: work, retries: 1}}\n", on, on)
		}
	}
	return b.String()
}

func (g *rig) checkStarts(t *rapid.T, all []Effects) {
	for _, fx := range all {
		for _, k := range fx.Tickets {
			g.checkStart(t, k)
		}
	}
}

// checkStart holds a ticket against the rule of who may start.
func (g *rig) checkStart(t *rapid.T, k Ticket) {
	if strings.Contains(k.Task, "@") {
		return // of a hook; they depend on nothing
	}
	prefix, name := "", k.Task
	if at := strings.LastIndex(k.Task, "/"); at >= 0 {
		prefix, name = k.Task[:at+1], k.Task[at+1:]
	}
	name, _, _ = strings.Cut(name, "[")
	pl := g.program.root
	if prefix != "" {
		pl = g.program.flows["flows/inner.yaml"]
	}
	for _, d := range pl.jobs[pl.index[name]].deps {
		rec, ok := g.tasks[prefix+pl.jobs[d.job].def.Name]
		if !ok || !rec.State.Final() {
			t.Fatalf("%s has a ticket although %s is not final", k.Task, pl.jobs[d.job].def.Name)
		}
	}
}

// TestEveryRunEndsOnce lets runs meet whatever order, duplication, loss and
// outcome of events, with the run thrown away and restored at any time.
func TestEveryRunEndsOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		files := []txtar.File{
			{Name: "recipes/main.yaml", Data: []byte(drawFlow(t, true))},
			{Name: "flows/inner.yaml", Data: []byte(drawFlow(t, false))},
		}
		p := compileRapid(t, files, Limits{
			Budget: rapid.IntRange(1, 20).Draw(t, "budget"), InFlight: rapid.IntRange(1, 20).Draw(t, "inFlight"), LaneQuota: rapid.IntRange(1, 5).Draw(t, "ahead"),
		})
		g := newRig(fatal{t}, p, nil)
		g.step(Event{Kind: event.Start})
		var old []Event
		for steps := 0; !g.run.Final(); steps++ {
			if steps > 3000 {
				t.Fatalf("the run does not end: %d tickets, %d timers, counts %+v", len(g.tickets), len(g.timers), g.run.Record().Counts)
			}
			g.checkWaits(t)
			g.checkTimers(t)
			g.checkPlaces(t)
			if rapid.IntRange(0, 9).Draw(t, "crash") == 0 {
				g.restore()
				g.checkWaits(t)
				g.checkStarts(t, g.step(Event{Kind: event.Continue}))
				continue
			}
			ev, ok := g.draw(t, &old)
			if !ok {
				t.Fatalf("the run is stuck: counts %+v, tasks %v", g.run.Record().Counts, g.tasks)
			}
			g.checkStarts(t, g.step(ev))
		}
		g.checkEnd(t, old)
	})
}

// draw chooses what happens next: something to a ticket, a timer, a cancel, or
// an event that was there before.
func (g *rig) draw(t *rapid.T, old *[]Event) (Event, bool) {
	tasks := make([]string, 0, len(g.tickets))
	for task := range g.tickets {
		tasks = append(tasks, task)
	}
	slices.Sort(tasks)
	what := rapid.IntRange(0, 39).Draw(t, "what")
	switch {
	case what == 0:
		return Event{Kind: event.Cancel, By: "bob"}, true
	case what == 1 && rapid.Bool().Draw(t, "pause"):
		return Event{Kind: event.Pause, By: "bob"}, true
	case g.run.Record().State == run.Paused && (what < 20 || len(tasks) == 0):
		return Event{Kind: event.Resume, By: "bob"}, true
	case what == 2:
		return Event{Kind: event.Signal, Signal: "s", Data: []byte("1")}, true
	case (what == 3 || len(tasks) == 0) && len(g.run.waitingFor(run.WaitApproval, "")) > 0 && rapid.Bool().Draw(t, "decide"):
		task := rapid.SampledFrom(g.run.waitingFor(run.WaitApproval, "")).Draw(t, "approval")
		return Event{Kind: rapid.SampledFrom([]event.Kind{event.Approve, event.Reject}).Draw(t, "answer"), Task: task, By: "bob"}, true
	case what < 5 && len(*old) > 0:
		return rapid.SampledFrom(*old).Draw(t, "old"), true
	case what < 8 || len(tasks) == 0:
		if ev, ok := g.world(t, len(tasks) == 0); ok || len(tasks) == 0 {
			return ev, ok
		}
	}
	k := g.tickets[rapid.SampledFrom(tasks).Draw(t, "task")]
	ev := Event{Task: k.Task, Fence: k.Fence, Worker: "w", Started: g.now}
	g.now += 5
	switch {
	case what < 25:
		ev.Kind, ev.Result = event.Succeeded, []byte(`{"a":1}`)
	case what < 31:
		ev.Kind, ev.Error = event.Failed, &run.Error{Code: "error", Message: "no"}
	case what < 33:
		ev.Kind = event.Lost
	case what < 35:
		ev.Kind = event.Released
	case what < 36:
		ev.Kind = event.Missing
	default:
		ev.Kind = event.Started
	}
	if ev.Kind != event.Started {
		delete(g.tickets, k.Task)
	}
	*old = append(*old, ev)
	return ev, true
}

// checkPlaces: no flow has more tickets out than its parallelism allows.
func (g *rig) checkPlaces(t *rapid.T) {
	out := map[string]int{}
	for _, f := range g.run.InFlight() {
		out[""]++
		if strings.Contains(f.Task, "@") {
			continue
		}
		if at := strings.LastIndex(f.Task, "/"); at >= 0 {
			out[f.Task[:at]]++
		}
	}
	for prefix, n := range out {
		limit := g.program.root.def.Parallelism
		if prefix != "" {
			limit = g.program.flows["flows/inner.yaml"].def.Parallelism
		}
		if limit > 0 && n > limit {
			t.Fatalf("%d tickets of %q are out, the limit is %d", n, prefix, limit)
		}
	}
}

// checkWaits: every task that is not final has an answer to why.
func (g *rig) checkWaits(t *rapid.T) {
	if g.run.root == nil && !g.run.Final() { // the run itself waits
		if waits := g.run.Waits(); len(waits) != 1 || waits[0].Kind == "" {
			t.Fatalf("no answer for the run: %+v", waits)
		}
		return
	}
	var got run.Counts
	for _, w := range g.run.Waits() {
		got.Add(w.State, w.Tasks)
		if w.Kind == "" || w.Kind == ForJobs && len(w.On) == 0 {
			t.Fatalf("no answer for %+v", w)
		}
	}
	want := g.run.Record().Counts
	if got.Pending != want.Pending || got.Queued != want.Queued || got.Running != want.Running || got.Retrying != want.Retrying ||
		got.Waiting != want.Waiting || got.Delayed != want.Delayed {
		t.Fatalf("the answers are about %+v, the counts are %+v", got, want)
	}
}

func (g *rig) checkEnd(t *rapid.T, old []Event) {
	if g.ends != 1 {
		t.Fatalf("the run ended %d times", g.ends)
	}
	if len(g.tickets) > 0 || len(g.timers) > 0 && !g.robbed || len(g.run.InFlight()) > 0 {
		t.Fatalf("left behind: tickets %v, timers %v", g.tickets, g.timers)
	}
	counts := g.run.Record().Counts
	if counts.Final() != counts.Total() {
		t.Fatalf("not all tasks are final: %+v", counts)
	}
	var seen run.Counts
	for _, rec := range g.tasks {
		seen.Add(rec.State, 1)
	}
	if seen.Succeeded != counts.Succeeded || seen.Failed != counts.Failed || seen.Blocked != counts.Blocked {
		t.Fatalf("counts are %+v, the records say %+v", counts, seen)
	}
	for _, ev := range append(old, Event{Kind: event.Cancel}, Event{Kind: event.Continue}) {
		if fx := g.run.Step(g.now, 1, ev); !fx.Empty() {
			t.Fatalf("an ended run still does something on %+v: %+v", ev, fx)
		}
	}
}

// TestAReplayGivesTheSameBytes steps two runs with the same events.
func TestAReplayGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		files := []txtar.File{
			{Name: "recipes/main.yaml", Data: []byte(drawFlow(t, true))},
			{Name: "flows/inner.yaml", Data: []byte(drawFlow(t, false))},
		}
		p := compileRapid(t, files, Limits{})
		g := newRig(fatal{t}, p, nil)
		twin := New(p, Create{ID: "r1", Digest: "sha256:x", SubmittedBy: "ann", Now: 1000})
		var old []Event
		ev := Event{Kind: event.Start}
		for ok := true; ok && !g.run.Final(); {
			g.nonce++
			one := g.run.Step(g.now, g.nonce, ev)
			two := twin.Step(g.now, g.nonce, ev)
			if one.Fault != nil {
				t.Fatal(one.Fault)
			}
			a, errA := json.Marshal(one)
			b, errB := json.Marshal(two)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			if diff := cmp.Diff(string(a), string(b)); diff != "" {
				t.Fatal(diff)
			}
			g.commit(&one)
			ev, ok = g.draw(t, &old)
		}
	})
}
