package worker_test

import (
	"context"
	"encoding/json"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

type traces struct {
	Trace, Span, Text string
	Remote, Sampled   bool
}

func TestTheContextOfAHandlerHasTheSpanOfItsAttempt(t *testing.T) {
	t.Parallel()
	b := newBench(t, redistest.Embedded(t), func(_ *worker.Config, jobs *job.Registry) {
		job.Handle(jobs, "tell", func(ctx context.Context, _ struct{}) (traces, error) {
			s := trace.SpanContextFromContext(ctx)
			return traces{s.TraceID().String(), s.SpanID().String(), job.Info(ctx).Trace, s.IsRemote(), s.IsSampled()}, nil
		})
	})
	for _, given := range []string{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", ""} {
		b.publish(wire.Ticket{Handler: "tell", Trace: given, Fence: "p" + given})
		ev := b.event(wire.Started)
		var got traces
		if err := json.Unmarshal(ev.Result, &got); err != nil {
			t.Fatalf("%s: %v", ev.Type, err)
		}
		want := traces{"0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", given, true, true}
		if given == "" {
			want = traces{"00000000000000000000000000000000", "0000000000000000", "", false, false}
		}
		if got != want {
			t.Errorf("of %q the handler sees %+v, want %+v", given, got, want)
		}
	}
}
