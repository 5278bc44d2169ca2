package orchestrator

import (
	"testing"
	"testing/synctest"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
)

// TestAReportMayBeFasterThanTheAnswerToTheCommit: whoever has the report waits
// for the run to be handed over, and does not load 100,000 tasks anew. When
// nothing came of the run, nobody waits for ever.
func TestAReportMayBeFasterThanTheAnswerToTheCommit(t *testing.T) {
	t.Parallel()
	l, err := flow.NewLoader(flow.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	bundle, diags := l.LoadText("r", []byte("jobs: {a: {job: work}}"))
	if diags.Err() != nil {
		t.Fatal(diags.Err())
	}
	program, err := engine.Compile(bundle, engine.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, comes := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			o := &Orchestrator{owned: map[int]bool{0: true}}
			b := &birth{id: "r", run: engine.New(program, engine.Create{ID: "r"}), fx: &engine.Effects{}, commit: &wire.Commit{Run: "r"}}
			known := o.expect(0, []*birth{b})
			var got *live
			asked := false
			go func() {
				got = o.takeOver(t.Context(), 0, "r")
				asked = true
			}()
			synctest.Wait()
			if asked {
				t.Fatal("nobody waited")
			}
			if comes {
				o.handOver(b, nil)
			}
			known()
			synctest.Wait()
			if !asked || (got != nil) != comes {
				t.Errorf("asked is %v, got %v", asked, got)
			}
		})
	}
}
