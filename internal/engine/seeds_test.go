package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/pkg/run"
)

const cutFlow = `
inputs: {url: {default: u}, bpm: {default: 110}}
jobs:
  fetch: {job: work, inputs: {url: "${inputs.url}"}}
  cut:
    flow: cut
    inputs: {file: "${fetch.v}"}
  fade:
    job: work
    iterate: "${cut.parts}"
    failFast: false
    inputs: {part: "${iterate.item}"}
  beat: {job: work, inputs: {bpm: "${inputs.bpm}"}}
  join: {job: work, inputs: {all: "${fade}", beat: "${beat.v}"}}
finally: {report: {job: work}}
`

const nestedFlow = `
inputs: {file: {}}
jobs:
  probe: {job: work, inputs: {file: "${inputs.file}"}}
  split: {job: work, inputs: {n: "${probe.v}"}}
outputs: {parts: ["a", "b", "c"], n: "${split.v}"}
`

func cutFiles(main, nested string) []txtar.File {
	return []txtar.File{{Name: "flows/main.yaml", Data: []byte(main)}, {Name: "flows/cut.yaml", Data: []byte(nested)}}
}

// work answers every ticket until the run has ended; bad names those that fail.
func (g *rig) work(bad ...string) *rig {
	for range 1000 {
		if g.run.Final() {
			return g
		}
		for _, task := range slices.Sorted(maps.Keys(g.tickets)) {
			line := fmt.Sprintf(`ok %s {"v": "%s of %s"}`, task, task, shortHash(g.tickets[task].Inputs))
			if slices.Contains(bad, task) {
				line = "fail " + task + " broken! it does not work"
			}
			g.play(line)
		}
	}
	g.t.Fatal("the run does not end")
	return g
}

func (g *rig) snapshot() Snapshot {
	return Snapshot{Run: g.run.Record(), Tasks: maps.Clone(g.tasks), Outputs: maps.Clone(g.outputs)}
}

// resumed is a rig for a run that goes on from another.
func resumed(t reporter, p *Program, s Snapshot, from string, inputs map[string]any) *rig {
	g := newRig(t, p, nil)
	g.run = New(p, Create{ID: "r2", Digest: "sha256:y", Inputs: inputs, SubmittedBy: "ann", Now: 2000, Seeds: Seeds(s, from)})
	return g
}

func told(verdicts []Verdict) []string {
	var out []string
	for _, v := range verdicts {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s: %s, %s", v.Task, v.Action, v.Why)))
	}
	slices.Sort(out)
	return out
}

func same(tasks ...string) []string {
	for i := range tasks {
		tasks[i] += ": reused, same job, same inputs"
	}
	return tasks
}

// TestWhatIsTakenOver compares, for each reason there is, what the plan says
// with what the new run does.
func TestWhatIsTakenOver(t *testing.T) {
	t.Parallel()
	all := []string{"beat", "cut/probe", "cut/split", "fade[0]", "fade[1]", "fade[2]", "fetch", "join"}
	rest := map[string]string{
		"join after fade": "join: run again, depends on fade, which runs again",
		"join after beat": "join: run again, depends on beat, which runs again",
	}
	edit := func(old, now string) func() []txtar.File {
		return func() []txtar.File { return cutFiles(strings.Replace(cutFlow, old, now, 1), nestedFlow) }
	}
	tests := map[string]struct {
		bad    []string
		files  func() []txtar.File
		from   string
		inputs map[string]any
		again  []string // what starts, hooks aside
		plan   []string // but for what is reused
	}{
		"a run that succeeded is taken over as a whole": {},
		"a failed item runs again, and what follows": {
			bad: []string{"fade[1]"}, again: []string{"fade[1]", "join"},
			plan: []string{"fade[1]: run again, failed before", "join: run again, blocked before"},
		},
		"a failed job in a nested flow runs again, and what follows": {
			bad: []string{"cut/split"}, again: []string{"cut/split", "fade[0]", "fade[1]", "fade[2]", "join"},
			plan: []string{"cut/split: run again, failed before", "fade: run again, blocked before", "join: run again, blocked before"},
		},
		"an input that changed": {
			inputs: map[string]any{"url": "u", "bpm": 120}, again: []string{"beat", "join"},
			plan: []string{"beat: run again, inputs changed: bpm", rest["join after beat"]},
		},
		"another handler": {
			files: edit(`{job: work, inputs: {bpm: "${inputs.bpm}"}}`, `{job: other, inputs: {bpm: "${inputs.bpm}"}}`),
			again: []string{"beat", "join"}, plan: []string{"beat: run again, job changed: job", rest["join after beat"]},
		},
		"another condition": {
			files: edit(`{job: work, inputs: {bpm: "${inputs.bpm}"}}`, `{job: work, if: "inputs.bpm > 1", inputs: {bpm: "${inputs.bpm}"}}`),
			again: []string{"beat", "join"}, plan: []string{"beat: run again, job changed: if", rest["join after beat"]},
		},
		"what is of no account": {
			files: edit(`{job: work, inputs: {bpm: "${inputs.bpm}"}}`, `{job: work, timeout: 3s, queue: gpu, retries: 9, description: other, labels: {a: b}, inputs: {bpm: "${inputs.bpm}"}}`),
		},
		"a new job": {
			files: edit("  join:", "  more: {job: work, inputs: {x: \"${beat.v}\"}}\n  join:"),
			again: []string{"more"}, plan: []string{"more: new, the definition did not have it"},
		},
		"a job that is gone": {
			files: edit(`  join: {job: work, inputs: {all: "${fade}", beat: "${beat.v}"}}`, ""),
			plan:  []string{"join: removed, the definition has it no more"},
		},
		"from a job": {
			from: "fade", again: []string{"fade[0]", "fade[1]", "fade[2]", "join"},
			plan: []string{"fade[0]: run again, asked for with --from", "fade[1]: run again, asked for with --from", "fade[2]: run again, asked for with --from", "join: run again, depends on fade, which runs again"},
		},
		"from a job of a nested flow": {
			from: "cut/split", again: []string{"cut/split", "fade[0]", "fade[1]", "fade[2]", "join"},
			plan: []string{"cut/split: run again, asked for with --from", "fade: run again, depends on cut, which runs again", rest["join after fade"]},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := compile(t, cutFiles(cutFlow, nestedFlow), Limits{})
			inputs := map[string]any{"url": "u", "bpm": 110}
			first := newRig(t, old, inputs)
			first.play("start")
			first.work(test.bad...)
			now := old
			if test.files != nil {
				now = compile(t, test.files(), Limits{})
			}
			if test.inputs != nil {
				inputs = test.inputs
			}
			second := resumed(t, now, first.snapshot(), test.from, inputs)
			plan := told(Plan(old, first.snapshot(), now, Create{ID: "r2", Inputs: inputs, Now: 2000, Seeds: Seeds(first.snapshot(), test.from)}))
			second.play("start")
			second.work()
			var again, reused []string
			for task := range second.started {
				if !strings.Contains(task, "@") {
					again = append(again, task)
				}
			}
			slices.Sort(again)
			if diff := cmp.Diff(test.again, again); diff != "" {
				t.Errorf("what ran again (-want +got):\n%s", diff)
			}
			if second.started["@finally/report"] != 1 {
				t.Errorf("hooks run again always: started are %v", second.started)
			}
			for _, task := range all {
				if rec, there := second.tasks[task]; there && rec.State == run.TaskCached {
					reused = append(reused, task)
					if got, want := string(second.outputs[task]), string(first.outputs[task]); got != want || rec.From != "r1" || !rec.Reused {
						t.Errorf("%s is %+v with %s, want %s", task, rec, got, want)
					}
				}
			}
			want := append(same(reused...), test.plan...)
			slices.Sort(want)
			if diff := cmp.Diff(want, plan); diff != "" {
				t.Errorf("the plan is not what happens (-want +got):\n%s", diff)
			}
			if rec := second.run.Record(); rec.State != run.Succeeded {
				t.Errorf("the run is %s: %v", rec.State, rec.Error)
			}
		})
	}
}

// TestAPlanKnowsWhatAFlowSkips: a job of a nested flow that failed before and is
// skipped now is not told of as reused, though the rest of its flow is.
func TestAPlanKnowsWhatAFlowSkips(t *testing.T) {
	t.Parallel()
	files := cutFiles("inputs: {check: {default: true}}\njobs:\n  cut: {flow: cut, inputs: {check: '${inputs.check}'}}\n  join: {job: work, inputs: {all: '${cut}'}}\n",
		"inputs: {check: {type: boolean}}\njobs:\n  probe: {job: work}\n  test: {job: work, if: inputs.check, dependsOn: [probe]}\n  split: {job: work, dependsOn: {probe: succeeded, test: finished}}\noutputs: ${split}\n")
	p := compile(t, files, Limits{})
	first := newRig(t, p, map[string]any{"check": true})
	first.play("start")
	first.work("cut/test")
	got := told(Plan(p, first.snapshot(), p, Create{ID: "r2", Inputs: map[string]any{"check": false}, Now: 2000, Seeds: Seeds(first.snapshot(), "")}))
	want := []string{"cut/probe: reused, same job, same inputs", "cut/split: reused, same job, same inputs", "cut/test: skipped, its condition was false", "join: run again, blocked before"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSeedsOutliveARestore restores the new run after each step: what is taken
// over, and what runs again, is the same.
func TestSeedsOutliveARestore(t *testing.T) {
	t.Parallel()
	p := compile(t, cutFiles(cutFlow, nestedFlow), Limits{Budget: 2})
	inputs := map[string]any{"url": "u", "bpm": 110}
	first := newRig(t, p, inputs)
	first.play("start")
	first.work("fade[2]")
	second := resumed(t, p, first.snapshot(), "probe", inputs)
	seeds := Seeds(first.snapshot(), "")
	events := []Event{{Kind: event.Start}}
	for n := 0; !second.run.Final(); n++ {
		if n == 500 {
			t.Fatal("the run does not end")
		}
		second.nonce++
		fx := second.run.Step(second.now, second.nonce, events...)
		second.commit(&fx)
		again, err := Restore(p, Snapshot{Run: second.run.Record(), Tasks: maps.Clone(second.tasks), Outputs: maps.Clone(second.outputs), Seeds: maps.Clone(seeds)})
		if err != nil {
			t.Fatal(err)
		}
		second.run = again
		events = []Event{{Kind: event.Continue}}
		for _, task := range slices.Sorted(maps.Keys(second.tickets))[:min(1, len(second.tickets))] {
			events = append(events, Event{Kind: event.Succeeded, Task: task, Fence: second.tickets[task].Fence, Result: []byte(`{"v": 1}`)})
			delete(second.tickets, task)
		}
	}
	want := map[string]int{"fade[2]": 1, "join": 1, "@finally/report": 1}
	if diff := cmp.Diff(want, second.started); diff != "" {
		t.Errorf("what ran again (-want +got):\n%s", diff)
	}
}

// TestACachedResult: a job asks once; what it gets ends it, a miss or an answer
// to another question does not, and what it makes is kept.
func TestACachedResult(t *testing.T) {
	t.Parallel()
	files := []txtar.File{{Name: "flows/c.yaml", Data: []byte("inputs: {n: {default: 1}}\njobs:\n  a: {job: work, cache: {ttl: 1h, scope: recipe}, inputs: {n: \"${inputs.n}\"}}\n  b: {job: work, inputs: {v: \"${a.v}\"}}\n")}}
	p := compile(t, files, Limits{})
	begin := func(inputs map[string]any) (*rig, Query) {
		g := newRig(t, p, inputs)
		fx := g.play("start")[0]
		if len(fx.Queries) != 1 || fx.Queries[0].Kind != run.WaitCache || len(fx.Tickets) != 0 {
			t.Fatalf("asks are %+v, tickets %+v", fx.Queries, fx.Tickets)
		}
		return g, fx.Queries[0]
	}
	miss, ask := begin(map[string]any{"n": 1})
	miss.step(Event{Kind: event.Answered, Task: "a", Fence: "another"})
	if got := miss.tasks["a"].State; got != run.TaskWaiting {
		t.Fatalf("an answer to another question makes it %s", got)
	}
	miss.restore()
	miss.step(Event{Kind: event.Answered, Task: "a", Fence: ask.Query})
	var kept []CachePut
	for _, fx := range miss.play(`ok a {"v": 7}`) {
		kept = append(kept, fx.CachePuts...)
	}
	if len(kept) != 1 || kept[0].Key != ask.Key || kept[0].Handler != "work" || kept[0].TTL.Hours() != 1 || string(kept[0].Value) != `{"v":7}` {
		t.Errorf("kept are %+v", kept)
	}
	hit, again := begin(map[string]any{"n": 1})
	if again.Key != ask.Key {
		t.Errorf("the same job with the same inputs asks for %s, before for %s", again.Key, ask.Key)
	}
	hit.step(Event{Kind: event.Answered, Task: "a", Fence: again.Query, Granted: true, Result: kept[0].Value, From: "r0", Reason: "cached by r0"})
	rec := hit.tasks["a"]
	if rec.State != run.TaskCached || rec.From != "r0" || rec.Reason != "cached by r0" || string(hit.tickets["b"].Inputs) != `{"v":7}` {
		t.Errorf("a is %+v, the ticket of b %+v", rec, hit.tickets["b"])
	}
	if _, other := begin(map[string]any{"n": 2}); other.Key == ask.Key {
		t.Error("other inputs have the same key")
	}
	off := newRig(t, p, nil)
	off.run = New(p, Create{ID: "r", Inputs: map[string]any{"n": 1}, NoCache: true, Now: 1})
	if fx := off.play("start")[0]; len(fx.Queries) != 0 || len(fx.Tickets) != 1 {
		t.Errorf("without cache: asks are %+v, tickets %+v", fx.Queries, fx.Tickets)
	}
}
