package flow

import (
	"fmt"
	"strings"
	"testing"
)

// layered is a flow of jobs in ten layers, each after two of the layer before.
func layered(jobs int) string {
	var b strings.Builder
	b.WriteString("name: large\njobs:\n")
	wide := jobs / 10
	for l := range 10 {
		for i := range wide {
			if l == 0 {
				fmt.Fprintf(&b, "  j%d_%d: {job: noop}\n", l, i)
				continue
			}
			fmt.Fprintf(&b, "  j%d_%d: {job: noop, dependsOn: [j%d_%d, j%d_%d]}\n", l, i, l-1, i, l-1, (i+1)%wide)
		}
	}
	return b.String()
}

// A job of a large flow costs what one of a small flow does, and few
// allocations.
func TestLargeFlowsCostTheSamePerJob(t *testing.T) { //nolint:paralleltest // counts allocations
	l := loader(t, Options{MaxBytes: 4 << 20})
	perJob := func(jobs int) float64 {
		text := []byte(layered(jobs))
		return testing.AllocsPerRun(2, func() {
			if b, diags := l.LoadText("large", text); diags.Err() != nil || len(b.RootFlow().Jobs) != jobs {
				t.Fatal(diags.Err())
			}
		}) / float64(jobs)
	}
	small, large := perJob(500), perJob(20_000)
	if large > 65 {
		t.Errorf("a job costs %.1f allocations, want at most 65", large)
	}
	if large > 1.2*small {
		t.Errorf("a job costs %.1f allocations in a large flow and %.1f in a small one", large, small)
	}
}

// Thousands of dependencies on jobs that do not exist are told of a hundred
// times at most, and the others are not looked for among the names.
func TestManyUnknownDependenciesEndSoon(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("jobs:\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "  job%d: {job: noop, dependsOn: jobb%d}\n", i, i)
	}
	_, diags := loader(t, Options{MaxBytes: 4 << 20}).LoadText("large", []byte(b.String()))
	if len(diags) != maxDiagnostics {
		t.Fatalf("%d diagnostics, want %d", len(diags), maxDiagnostics)
	}
}

func BenchmarkLoadLarge(b *testing.B) {
	text := []byte(layered(100_000))
	l := loader(b, Options{MaxBytes: 16 << 20})
	b.ReportAllocs()
	for b.Loop() {
		if _, diags := l.LoadText("large", text); diags.Err() != nil {
			b.Fatal(diags.Err())
		}
	}
}
