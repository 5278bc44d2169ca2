package telemetry

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/trail"
	"github.com/orchis-run/orchis/pkg/run"
)

// Tracer tells OpenTelemetry of runs and attempts, when they have ended.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// waitingSpans is how many spans may wait to be sent; beyond it they are dropped.
const waitingSpans = 16_384

// NewTracer returns a tracer that sends spans to where the environment says
// (OTEL_EXPORTER_OTLP_ENDPOINT and what else OpenTelemetry knows); nil when it
// does not say. End it with Close.
func NewTracer(ctx context.Context, version string, log *zap.Logger) (*Tracer, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" ||
		strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	otel.SetErrorHandler(&complaints{log: log})
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("send traces: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "orchis"), attribute.String("service.version", version),
	), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("name the source of traces: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithIDGenerator(generator{}), sdk.WithBatcher(exporter, sdk.WithMaxQueueSize(waitingSpans)))
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/orchis-run/orchis")}, nil
}

// Close sends what was not sent yet. It may be called of a Tracer that is nil.
func (t *Tracer) Close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // what went wrong was logged
}

// complaints logs what the exporter has to complain of, now and then.
type complaints struct {
	log *zap.Logger
	mu  sync.Mutex
	at  time.Time
}

// Handle logs an error.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) < 10*time.Second {
		return
	}
	c.at = time.Now()
	c.log.Warn("traces are lost", zap.Error(err))
}

// root begins the span of a run. Where it is not to be recorded, none of the
// run's spans is: the sampler decides by the trace, or its beginner has.
func (t *Tracer) root(r *run.Run) (context.Context, trace.Span) {
	id, above := traceOf(r)
	ctx := choose(context.Background(), id, rootSpan(r.ID))
	if above.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, above)
	}
	return t.tracer.Start(ctx, "run "+r.Recipe, trace.WithTimestamp(time.UnixMilli(r.Created)), trace.WithAttributes(
		attribute.String("orchis.run", r.ID), attribute.String("orchis.recipe", r.Recipe),
	))
}

// parent is the traceparent for the handler of an attempt: the span of the
// attempt, which is told of when it has ended. Without a task it is the span of
// the run.
func (t *Tracer) parent(r *run.Run, task string, attempt int, first int64) string {
	_, root := t.root(r)
	sc := root.SpanContext()
	if task != "" {
		sc = sc.WithSpanID(attemptSpan(r.ID, task, attempt, first))
	}
	return trail.From(trace.ContextWithSpanContext(context.Background(), sc))
}

// changed tells of what has ended: attempts, and perhaps the run.
func (t *Tracer) changed(fx *engine.Effects) {
	if len(fx.Ended) == 0 && !fx.Run.State.Final() {
		return
	}
	ctx, root := t.root(&fx.Run)
	if !root.IsRecording() {
		return
	}
	for i := range fx.Ended {
		t.attempt(ctx, &fx.Run, &fx.Ended[i])
	}
	if !fx.Run.State.Final() {
		return // the span of the run is told of at its end
	}
	root.SetAttributes(attribute.String("orchis.state", string(fx.Run.State)), attribute.Int("orchis.tasks", fx.Run.Counts.Total()))
	mark(root, fx.Run.State == run.Succeeded, fx.Run.Error, string(fx.Run.State))
	root.End(trace.WithTimestamp(time.UnixMilli(fx.Run.Ended)))
}

// mark says how a span ended: by the code of an error, whose text may hold what
// is nobody's business.
func mark(s trace.Span, good bool, err *run.Error, state string) {
	if good {
		return
	}
	code := state
	if err != nil {
		code = err.Code
	}
	s.SetAttributes(attribute.String("error.type", code))
	s.SetStatus(codes.Error, code)
}

func (t *Tracer) attempt(ctx context.Context, r *run.Run, a *engine.Attempt) {
	queue := attribute.String("messaging.destination.name", a.Queue)
	common := []attribute.KeyValue{
		attribute.String("orchis.run", r.ID), attribute.String("orchis.recipe", r.Recipe), attribute.String("orchis.task", a.Task),
		attribute.Int("orchis.attempt", a.Number), attribute.String("orchis.handler", a.Handler), attribute.String("messaging.system", "redis"), queue,
	}
	id, _ := traceOf(r) //nolint:contextcheck // the one inside only carries the text
	good := a.Outcome == engine.OutcomeSucceeded
	begun, ended := a.Started, a.Ended
	if begun == 0 && a.Outcome == engine.OutcomeLost {
		begun = a.Queued // the worker died before it said that it had begun
	}
	waited := begun
	if begun == 0 {
		waited = ended
	}
	if waited > a.Queued || begun == 0 {
		_, wait := t.tracer.Start(choose(ctx, id, waitSpan(r.ID, a.Task, a.Number, a.First)), "wait "+a.Queue, trace.WithSpanKind(trace.SpanKindProducer),
			trace.WithTimestamp(time.UnixMilli(a.Queued)), trace.WithAttributes(common...))
		mark(wait, begun != 0, a.Error, a.Outcome)
		wait.End(trace.WithTimestamp(time.UnixMilli(waited)))
	}
	if begun == 0 {
		return
	}
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(time.UnixMilli(begun)), trace.WithAttributes(common...), trace.WithAttributes(
			attribute.String("messaging.operation.name", "process"), attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.consumer.group.name", "workers"), attribute.String("messaging.client.id", a.Worker), attribute.String("orchis.outcome", a.Outcome),
		),
	}
	if a.Number > 1 {
		before := trace.SpanFromContext(ctx).SpanContext().WithSpanID(attemptSpan(r.ID, a.Task, a.Number-1, a.First))
		options = append(options, trace.WithLinks(trace.Link{SpanContext: before}))
	}
	_, span := t.tracer.Start(choose(ctx, id, attemptSpan(r.ID, a.Task, a.Number, a.First)), "process "+a.Handler, options...)
	mark(span, good, a.Error, a.Outcome)
	span.End(trace.WithTimestamp(time.UnixMilli(ended)))
}
