package flowtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// check says what was not as expected.
func (p *played) check() []string {
	e, rec := &p.c.Expect, p.run.Record()
	var bad []string
	wrong := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	message := ""
	if rec.Error != nil {
		message = rec.Error.Error()
	}
	want := e.State
	if want == "" && e.Error == "" {
		want = string(run.Succeeded)
	}
	if want != "" && want != string(rec.State) {
		wrong("the run is %s, want %s: %s", rec.State, want, message)
	}
	if !strings.Contains(message, e.Error) {
		wrong("the run's error is %q, want %q in it", message, e.Error)
	}
	if e.Duration != nil && *e.Duration != p.elapsed() {
		wrong("the run took %s, want %s", p.elapsed(), *e.Duration)
	}
	outputs := decoded(rec.Outputs)
	if e.HasOutputs {
		if diff := cmp.Diff(e.Outputs, outputs); diff != "" {
			wrong("outputs (-want +got):\n%s", diff)
		}
	}
	all, _ := outputs.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(e.Includes)) {
		if diff := cmp.Diff(e.Includes[key], all[key]); diff != "" {
			wrong("output %s (-want +got):\n%s", key, diff)
		}
	}
	for _, task := range slices.Sorted(maps.Keys(e.Jobs)) {
		for _, problem := range p.checkJob(task, e.Jobs[task]) {
			wrong("%s", problem)
		}
	}
	return append(bad, p.checkOrder(e)...)
}

func decoded(raw []byte) any {
	v, err := expr.Decode(raw)
	if err != nil {
		return nil
	}
	return v
}

func (p *played) checkJob(task string, e flow.JobExpectation) []string {
	rec := p.tasks[task]
	if rec.State == "" {
		rec.State = run.TaskPending
	}
	var bad []string
	if e.State != "" && e.State != string(rec.State) {
		why := rec.Reason
		if rec.Error != nil {
			why = rec.Error.Error()
		}
		bad = append(bad, fmt.Sprintf("%s is %s, want %s: %s", task, rec.State, e.State, why))
	}
	if e.Attempts > 0 && e.Attempts != rec.Attempt {
		bad = append(bad, fmt.Sprintf("%s took %d attempts, want %d", task, rec.Attempt, e.Attempts))
	}
	if !strings.Contains(rec.Reason, e.Reason) {
		bad = append(bad, fmt.Sprintf("the reason of %s is %q, want %q in it", task, rec.Reason, e.Reason))
	}
	if !strings.Contains(rec.Error.Error(), e.Error) {
		bad = append(bad, fmt.Sprintf("the error of %s is %q, want %q in it", task, rec.Error.Error(), e.Error))
	}
	if e.HasOutputs {
		if diff := cmp.Diff(e.Outputs, decoded(p.outputs[task])); diff != "" {
			bad = append(bad, fmt.Sprintf("the result of %s (-want +got):\n%s", task, diff))
		}
	}
	return bad
}

func (p *played) checkOrder(e *flow.Expectation) []string {
	var bad []string
	last := -1
	for i, task := range e.Order {
		at, there := p.begin[task]
		switch {
		case !there:
			bad = append(bad, fmt.Sprintf("%s never began", task))
		case at < last:
			bad = append(bad, fmt.Sprintf("%s began before %s", task, e.Order[i-1]))
		default:
			last = at
		}
	}
	for _, task := range e.Never {
		if _, there := p.begin[task]; there {
			bad = append(bad, fmt.Sprintf("%s began", task))
		}
	}
	return bad
}
