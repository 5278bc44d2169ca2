// Package trail carries the trace of which some work is a part in a context, as
// OpenTelemetry does, so that Go programs of others find it there and put it
// there. On the wire and in records it is a W3C traceparent.
package trail

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const header = "traceparent"

// Span is the span that a traceparent names; none when it is not valid.
func Span(traceparent string) trace.SpanContext {
	return trace.SpanContextFromContext(Into(context.Background(), traceparent))
}

// Into puts the span that a traceparent names into a context. One that is not
// valid changes nothing, as W3C has it.
func Into(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{header: traceparent})
}

// From is the traceparent of the span in a context, or "".
func From(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[header]
}
