package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// fatal lets a rig report to rapid.
type fatal struct{ *rapid.T }

func (f fatal) Fatal(args ...any)                 { f.T.Fatal(args...) }
func (f fatal) Fatalf(format string, args ...any) { f.T.Fatalf(format, args...) }

// reporter is what a rig needs of a test.
type reporter interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// compileRapid loads the main definition from text and the nested one beside
// it, without touching the disk more than needed.
func compileRapid(t *rapid.T, files []txtar.File, l Limits) *Program {
	bundle := &flow.Bundle{Flows: map[string]*flow.Flow{}}
	for _, f := range files {
		text := strings.ReplaceAll(string(f.Data), "flow: inner", "job: inner")
		loader, err := flow.NewLoader(flow.Options{Retries: 3})
		if err != nil {
			t.Fatal(err)
		}
		one, diags := loader.LoadText(f.Name, []byte(text))
		if err := loader.Close(); err != nil {
			t.Fatal(err)
		}
		if err := diags.Err(); err != nil {
			t.Fatalf("%v\n%s", err, f.Data)
		}
		for key, def := range one.Flows {
			for i := range def.Jobs {
				if j := &def.Jobs[i]; j.Handler == "inner" {
					j.Handler, j.Flow, j.Timeout = "", "flows/inner.yaml", 0
				}
			}
			bundle.Flows[key] = def
		}
		if bundle.Root == "" {
			bundle.Root = f.Name
		}
	}
	p, err := Compile(bundle, l)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wide makes a definition of many jobs.
func wide(n int, line func(i int) string) []txtar.File {
	var b strings.Builder
	b.WriteString("jobs:\n")
	for i := range n {
		b.WriteString(line(i))
	}
	return []txtar.File{{Name: "flows/wide.yaml", Data: []byte(b.String())}}
}

func chain(i int) string {
	if i == 0 {
		return "  j0: {job: work}\n"
	}
	return fmt.Sprintf("  j%d: {job: work, dependsOn: [j%d]}\n", i, i-1)
}

// TestALargeRunStepsInProportionToWhatChanged runs 10,000 jobs in a row and
// 10,000 items, and looks at the size of what each step does.
func TestALargeRunStepsInProportionToWhatChanged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		files []txtar.File
		tasks int
	}{
		{"a chain of 10,000 jobs", wide(10_000, chain), 10_000},
		{"10,000 items", []txtar.File{{Name: "flows/items.yaml", Data: []byte("jobs:\n  j: {job: work, iterate: {from: 1, to: 10000}}\n")}}, 10_001},
		{"100,000 items", []txtar.File{{Name: "flows/items.yaml", Data: []byte("jobs:\n  j: {job: work, iterate: {from: 1, to: 100000}}\n")}}, 100_001},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, compile(t, test.files, Limits{}), nil)
			g.step(Event{Kind: event.Start})
			done := 0
			for !g.run.Final() {
				for task, k := range g.tickets {
					delete(g.tickets, task)
					for _, fx := range g.step(Event{Kind: event.Succeeded, Task: task, Fence: k.Fence, Result: []byte("1")}) {
						if n := len(fx.Tasks) + len(fx.Tickets) + len(fx.Log); n > 8 {
							t.Fatalf("one completion makes %d changes", n)
						}
					}
					done++
					break
				}
			}
			if got := g.run.Record(); got.State != run.Succeeded || got.Counts.Succeeded != test.tasks {
				t.Errorf("run is %s with %+v after %d completions", got.State, got.Counts, done)
			}
		})
	}
}

func BenchmarkStep(b *testing.B) {
	files := []txtar.File{{Name: "flows/items.yaml", Data: []byte("jobs:\n  j: {job: work, iterate: {from: 1, to: 10000}}\n")}}
	p := compile(b, files, Limits{})
	for b.Loop() {
		r := New(p, Create{ID: "r", Now: 1})
		queue := r.Step(1, 1, Event{Kind: event.Start}).Tickets
		for n := uint64(2); len(queue) > 0; n++ {
			k := queue[0]
			fx := r.Step(2, n, Event{Kind: event.Succeeded, Task: k.Task, Fence: k.Fence, Result: []byte("1")})
			queue = append(queue[1:], fx.Tickets...)
		}
		if !r.Final() {
			b.Fatal("not final")
		}
	}
}
