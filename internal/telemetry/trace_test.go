package telemetry_test

import (
	"slices"
	"testing"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/telemetry"
	"github.com/orchis-run/orchis/internal/tracetest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// told has a tracer tell of the same run from two orchestrators, and returns
// the spans and the traceparent of the second attempt.
func told(t *testing.T, given string) (map[string]tracetest.Span, string) {
	t.Helper()
	c := tracetest.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	rec := run.Run{ID: "run-1", Recipe: "etl", State: run.Running, Created: 1_000, Trace: given}
	attempt := engine.Attempt{Task: "a", Queue: "default", Handler: "load", Worker: "w", Outcome: engine.OutcomeFailed, Number: 1, First: 1_000, Queued: 1_000, Started: 2_000, Ended: 3_000, Error: &run.Error{Code: "exit:1", Message: "secret"}}
	var parent string
	for i := range 2 {
		tracer, err := telemetry.NewTracer(t.Context(), "v1", zap.NewNop())
		if err != nil || tracer == nil {
			t.Fatalf("tracer %v: %v", tracer, err)
		}
		o := telemetry.New("v1", "orchestrator").Orchestrator(tracer)
		if i == 0 {
			o.Committed(committedFx(&engine.Effects{Run: rec, Ended: []engine.Attempt{attempt}}))
			parent = o.Trace(&rec, "a", 2, 1_000)
			if own := o.Trace(&rec, "", 0, 0); own[:36] != parent[:36] || own == parent {
				t.Errorf("the run itself is %s, its attempt %s", own, parent)
			}
		} else {
			if again := o.Trace(&rec, "a", 2, 1_000); again != parent {
				t.Errorf("one orchestrator says %s, another %s", parent, again)
			}
			second := attempt
			second.Number, second.Handler, second.Outcome, second.Error, second.Queued, second.Started, second.Ended = 2, "load again", engine.OutcomeSucceeded, nil, 4_000, 4_500, 5_000
			rec.State, rec.Ended = run.Succeeded, 5_000
			o.Committed(committedFx(&engine.Effects{Run: rec, Ended: []engine.Attempt{second}}))
		}
		tracer.Close(t.Context())
	}
	spans := map[string]tracetest.Span{}
	for _, s := range c.Spans() {
		spans[s.Name] = s
	}
	return spans, parent
}

func TestARunIsOneTrace(t *testing.T) { //nolint:paralleltest // it sets the environment
	spans, parent := told(t, "")
	root, first, second := spans["run etl"], spans["process load"], spans["process load again"]
	if len(spans) != 4 || spans["wait default"].ID == "" {
		t.Fatalf("got the spans %v", spans)
	}
	if root.Parent != "" || first.Parent != root.ID || second.Trace != root.Trace {
		t.Errorf("the run is %s, its attempt has the parent %s", root.ID, first.Parent)
	}
	if root.Start.Unix() != 1 || root.End.Unix() != 5 || first.Start.Unix() != 2 || first.End.Unix() != 3 {
		t.Errorf("times are %v and %v", root, first)
	}
	if !slices.Equal(second.Links, []string{first.ID}) {
		t.Errorf("the second attempt is linked to %v, want the first", second.Links)
	}
	if !first.Failed || first.Error != "exit:1" {
		t.Errorf("the first attempt has the status %v", first)
	}
	if want := "00-" + root.Trace + "-" + second.ID + "-01"; parent != want {
		t.Errorf("the ticket carries %s, want %s", parent, want)
	}
}

func TestARunGoesOnWithTheTraceOfItsSubmission(t *testing.T) { //nolint:paralleltest // it sets the environment
	const given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	spans, parent := told(t, given)
	root := spans["run etl"]
	if root.Trace != given[3:35] || root.Parent != given[36:52] {
		t.Errorf("the run is %v", root)
	}
	if wire.TraceID(parent) != given[3:35] {
		t.Errorf("the ticket carries %s", parent)
	}
	// Who does not want to be recorded is not.
	if spans, parent := told(t, given[:53]+"00"); len(spans) != 0 || parent[53:] != "00" {
		t.Errorf("got the spans %v and %s", spans, parent)
	}
}

func TestTracesAreOffUnlessTheyAreConfigured(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	tracer, err := telemetry.NewTracer(t.Context(), "v1", zap.NewNop())
	if tracer != nil || err != nil {
		t.Fatalf("tracer %v: %v", tracer, err)
	}
	tracer.Close(t.Context())
	r := run.Run{ID: "run-1", Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	if got := telemetry.New("v1", "orchestrator").Orchestrator(nil).Trace(&r, "a", 1, 1); got != r.Trace {
		t.Errorf("the ticket carries %q, want what was submitted", got)
	}
}
