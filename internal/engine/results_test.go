package engine

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/pkg/run"
)

// TestResults_ArePassedOnAsWritten: numbers, escapes and the order of keys stay
// as the handler wrote them, also in a run that is restored.
func TestResults_ArePassedOnAsWritten(t *testing.T) {
	t.Parallel()
	files := []txtar.File{{Name: "flows/a.yaml", Data: []byte(`
outputs: { whole: "${b}", items: "${c}", size: "${c.length}" }
jobs:
  a: { job: work }
  b: { job: transform, inputs: { n: "${a.n}", all: "${a}", sum: "${a.n + 1}" } }
  c: { job: work, iterate: "${a.list}", iteratePick: x.y, inputs: { item: "${iterate.item}", list: "${a.list}" }, dependsOn: [b] }
  d: { job: work, inputs: { first: "${c[0]}", all: "${c}" } }
`)}}
	p := compile(t, files, Limits{})
	r := New(p, Create{ID: "r", Now: 1})
	step := func(n uint64, task, fence, result string) Effects {
		return r.Step(1, n, Event{Kind: event.Succeeded, Task: task, Fence: fence, Result: json.RawMessage(result)})
	}
	k := r.Step(1, 1, Event{Kind: event.Start}).Tickets[0]
	fx := step(2, "a", k.Fence, "{\"n\": 1.50,\n \"list\": [12345678901234567890, \"\\u00e9\xff\"], \"b\": {}}")
	const a = `{"n":1.50,"list":[12345678901234567890,"\u00e9` + "\ufffd" + `"],"b":{}}`
	outputs := map[string]json.RawMessage{}
	tasks := map[string]run.Task{}
	keep := func(fx Effects) {
		for _, o := range fx.Outputs {
			outputs[o.Task] = o.Value
		}
		for i := range fx.Tasks {
			tasks[fx.Tasks[i].ID] = fx.Tasks[i]
		}
	}
	keep(fx)
	got := []string{string(outputs["a"]), string(outputs["b"]), string(fx.Tickets[0].Inputs)}
	want := []string{a, `{"all":` + a + `,"n":1.50,"sum":2.5}`, `{"item":12345678901234567000,"list":[12345678901234567890,"\u00e9` + "\ufffd" + `"]}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	keep(step(3, "c[0]", fx.Tickets[0].Fence, `{"x":{"y":1e2}}`))
	snapshot := Snapshot{Run: r.Record(), Tasks: tasks, Outputs: maps.Clone(outputs)}
	again, err := Restore(p, snapshot)
	if err != nil {
		t.Fatal(err)
	}
	last := fx.Tickets[1]
	fx = step(4, last.Task, last.Fence, `{"x":{"y":"z"}}`)
	r = again
	if diff := cmp.Diff(fx, step(4, last.Task, last.Fence, `{"x":{"y":"z"}}`)); diff != "" {
		t.Error("a restored run does something else:", diff)
	}
	if got, want := string(fx.Tickets[0].Inputs), `{"all":[1e2,"z"],"first":1e2}`; got != want {
		t.Errorf("d is given %s, want %s", got, want)
	}
	fx = step(5, "d", fx.Tickets[0].Fence, "null")
	if got, want := string(fx.Run.Outputs), `{"items":[1e2,"z"],"size":2,"whole":`+want[1]+`}`; got != want {
		t.Errorf("the run's outputs are %s, want %s", got, want)
	}
}

// TestResults_OfAFlowAreThoseOfItsJobs: by default, sorted by name, unless they
// are too large.
func TestResults_OfAFlowAreThoseOfItsJobs(t *testing.T) {
	t.Parallel()
	files := []txtar.File{{Name: "flows/a.yaml", Data: []byte(`
jobs:
  b: { job: work }
  a: { job: work, iterate: { from: 1, to: 2 } }
  c: { job: work, if: "1 == 2" }
`)}}
	for _, c := range []struct {
		limit int
		want  string
	}{
		{0, `{"a":["<é>",1.0],"b":{}}`},
		{len(`{"a":["<é>",1.0],"b":{}}`), `{"a":["<é>",1.0],"b":{}}`},
		{len(`{"a":["<é>",1.0],"b":{}}`) - 1, `null`},
		{1, `null`},
	} {
		r := New(compile(t, files, Limits{MaxOutputs: c.limit}), Create{ID: "r", Now: 1})
		fx := r.Step(1, 1, Event{Kind: event.Start})
		results := map[string]string{"b": "{ }", "a[0]": `"<é>"`, "a[1]": "1.0"}
		tickets := fx.Tickets
		for i, k := range tickets {
			fx = r.Step(1, uint64(i+2), Event{Kind: event.Succeeded, Task: k.Task, Fence: k.Fence, Result: json.RawMessage(results[k.Task])})
		}
		if got := string(fx.Run.Outputs); got != c.want {
			t.Errorf("with a limit of %d the outputs are %s, want %s", c.limit, got, c.want)
		}
	}
}

func TestResults_AreCheckedAgainstDeclaredOutputs(t *testing.T) {
	t.Parallel()
	types := []string{"string", "number", "integer", "boolean", "list", "map", "json", "duration"}
	for _, c := range []struct{ value, types string }{
		{`"x"`, "string json duration"},
		{"1", "number integer json duration"},
		{"-0", "number integer json duration"},
		{"1.0", "number json duration"},
		{"1e400", "string json duration"},
		{"true", "boolean json"},
		{"[1]", "list json"},
		{"{}", "map json"},
		{"null", strings.Join(types, " ")},
	} {
		for _, declared := range types {
			files := []txtar.File{{Name: "flows/a.yaml", Data: []byte("jobs:\n  a: { job: work, outputs: { o: { type: " + declared + ", required: true } } }\n")}}
			bad := checkOutputs(compile(t, files, Limits{}).root.def.Jobs[0].Outputs, json.RawMessage(`{"x":1,"o":`+c.value+`}`))
			if want := strings.Contains(" "+c.types+" ", " "+declared+" "); (bad == nil) != want {
				t.Errorf("%s as %s: %v", c.value, declared, bad)
			}
		}
	}
}
