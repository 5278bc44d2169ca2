// Package fact names what log lines tell, so that one thing has one name in
// every room. Its test holds all lines to these names, and the names to the
// list in docs/operations.md.
package fact

import (
	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/wire"
)

// Run is the id of a run.
func Run(id string) zap.Field { return zap.String("run", id) }

// Task is the path of a task in its run.
func Task(path string) zap.Field { return zap.String("task", path) }

// Attempt is the number of an attempt at a task, from 1.
func Attempt(number int) zap.Field { return zap.Int("attempt", number) }

// Recipe is the name of a run's recipe.
func Recipe(name string) zap.Field {
	if name == "" {
		return zap.Skip()
	}
	return zap.String("recipe", name)
}

// Worker is the name of a worker.
func Worker(name string) zap.Field { return zap.String("worker", name) }

// Queue is the name of a queue.
func Queue(name string) zap.Field { return zap.String("queue", name) }

// Trace is the id of the trace of which a W3C traceparent speaks; nothing when
// there is no trace.
func Trace(traceparent string) zap.Field {
	if id := wire.TraceID(traceparent); id != "" {
		return zap.String("trace", id)
	}
	return zap.Skip()
}

// Ticket is what a ticket says of its attempt.
func Ticket(t *wire.Ticket) []zap.Field {
	return []zap.Field{
		Run(t.Run), Task(t.Task), Attempt(t.Attempt), Recipe(t.Recipe), Queue(t.Queue), zap.String("handler", t.Handler), Trace(t.Trace),
	}
}
