package telemetry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"strconv"

	"go.opentelemetry.io/otel/trace"

	"github.com/orchis-run/orchis/internal/trail"
	"github.com/orchis-run/orchis/pkg/run"
)

// The ids of traces and spans follow from what they are about, so that all
// orchestrators agree on them without asking, whichever of them tells of what.

// traceOf is the trace of a run: that of its submission, or one of its own.
func traceOf(r *run.Run) (id trace.TraceID, above trace.SpanContext) {
	if above := trail.Span(r.Trace); above.IsValid() {
		return above.TraceID(), above
	}
	sum := sha256.Sum256([]byte("orchis trace " + r.ID))
	copy(id[:], sum[:])
	return id, above
}

func rootSpan(id string) trace.SpanID { return spanID("run", id) }

func attemptSpan(id, task string, number int, first int64) trace.SpanID {
	return spanID("attempt", id, task, strconv.Itoa(number), strconv.FormatInt(first, 10))
}

func waitSpan(id, task string, number int, first int64) trace.SpanID {
	return spanID("wait", id, task, strconv.Itoa(number), strconv.FormatInt(first, 10))
}

func spanID(words ...string) (id trace.SpanID) {
	h := sha256.New()
	for _, w := range words {
		_, _ = h.Write([]byte(w)) // writing to a hash gives no errors
		_, _ = h.Write([]byte{0})
	}
	copy(id[:], h.Sum(nil))
	return id
}

// chosen are the ids that the next span gets.
type chosen struct {
	trace trace.TraceID
	span  trace.SpanID
}

type chosenKey struct{}

func choose(ctx context.Context, t trace.TraceID, s trace.SpanID) context.Context {
	return context.WithValue(ctx, chosenKey{}, chosen{t, s})
}

// generator gives spans the ids that were chosen for them.
type generator struct{}

// NewIDs gives both ids of a span that has no parent.
func (generator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if c, ok := ctx.Value(chosenKey{}).(chosen); ok {
		return c.trace, c.span
	}
	var c chosen
	_, _ = rand.Read(c.trace[:]) // it never fails
	_, _ = rand.Read(c.span[:])
	return c.trace, c.span
}

// NewSpanID gives the id of a span in a trace.
func (g generator) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	_, s := g.NewIDs(ctx)
	return s
}
