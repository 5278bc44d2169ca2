package telemetry_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/telemetry"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// receiver takes spans in as a collector does.
type receiver struct {
	mu    sync.Mutex
	spans map[string]*trace.Span
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	raw, _ := io.ReadAll(req.Body)
	var sent collector.ExportTraceServiceRequest
	if proto.Unmarshal(raw, &sent) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range sent.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				r.spans[s.GetName()] = s
			}
		}
	}
}

// told has a tracer tell of the same run from two orchestrators, and returns
// the spans and the traceparent of the second attempt.
func told(t *testing.T, given string) (map[string]*trace.Span, string) {
	t.Helper()
	r := &receiver{spans: map[string]*trace.Span{}}
	srv := httptest.NewServer(r)
	defer srv.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
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
	return r.spans, parent
}

func TestARunIsOneTrace(t *testing.T) { //nolint:paralleltest // it sets the environment
	spans, parent := told(t, "")
	root, first, second := spans["run etl"], spans["process load"], spans["process load again"]
	if root == nil || first == nil || second == nil || spans["wait default"] == nil {
		t.Fatalf("got the spans %v", spans)
	}
	if len(root.GetParentSpanId()) != 0 || string(first.GetParentSpanId()) != string(root.GetSpanId()) || string(second.GetTraceId()) != string(root.GetTraceId()) {
		t.Errorf("the run is %x, its attempt has the parent %x", root.GetSpanId(), first.GetParentSpanId())
	}
	if root.GetStartTimeUnixNano() != 1e9 || root.GetEndTimeUnixNano() != 5e9 || first.GetStartTimeUnixNano() != 2e9 || first.GetEndTimeUnixNano() != 3e9 {
		t.Errorf("times are %v and %v", root, first)
	}
	if len(second.GetLinks()) != 1 || string(second.GetLinks()[0].GetSpanId()) != string(first.GetSpanId()) {
		t.Errorf("the second attempt is linked to %v, want the first", second.GetLinks())
	}
	if first.GetStatus().GetCode() != trace.Status_STATUS_CODE_ERROR || first.GetStatus().GetMessage() != "exit:1" {
		t.Errorf("the first attempt has the status %v", first.GetStatus())
	}
	if want := "00-" + hex.EncodeToString(root.GetTraceId()) + "-" + hex.EncodeToString(second.GetSpanId()) + "-01"; parent != want {
		t.Errorf("the ticket carries %s, want %s", parent, want)
	}
}

func TestARunGoesOnWithTheTraceOfItsSubmission(t *testing.T) { //nolint:paralleltest // it sets the environment
	const given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	spans, parent := told(t, given)
	root := spans["run etl"]
	if root == nil || hex.EncodeToString(root.GetTraceId()) != given[3:35] || hex.EncodeToString(root.GetParentSpanId()) != given[36:52] {
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
