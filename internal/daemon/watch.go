package daemon

import (
	"context"
	"net/http"
	"runtime"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/config"
	"github.com/orchis-run/orchis/internal/orchestrator"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/telemetry"
	"github.com/orchis-run/orchis/pkg/worker"
)

// Watch makes metrics and traces of the parts of a process. A nil Watch makes
// none.
type Watch struct {
	metrics *telemetry.Metrics
	tracer  *telemetry.Tracer
	workers *telemetry.Worker
}

// NewWatch returns a Watch. Role is orchestrator, worker or dev. It sends traces
// where the environment says so; Close it at the end.
func NewWatch(ctx context.Context, role string, log *zap.Logger) (*Watch, error) {
	w := &Watch{metrics: telemetry.New(Version(), role).Process()}
	if role == "worker" {
		return w, nil // orchestrators tell of its attempts
	}
	var err error
	w.tracer, err = telemetry.NewTracer(ctx, Version(), log)
	return w, err
}

// Close sends what was not sent yet.
func (w *Watch) Close(ctx context.Context) { w.tracer.Close(ctx) }

// Handler answers /metrics.
func (w *Watch) Handler() http.Handler {
	if w == nil {
		return nil
	}
	return w.metrics.Handler()
}

// RedisError is told of errors of Redis.
func (w *Watch) RedisError(class string) { w.metrics.RedisError(class) }

// orchestrator makes an orchestrator that is watched.
func (w *Watch) orchestrator(s config.Settings, store *redisstore.Store, c orchestrator.Config, log *zap.Logger) (*orchestrator.Orchestrator, error) {
	if w == nil {
		return orchestrator.New(store, c, log)
	}
	observer := w.metrics.Orchestrator(w.tracer)
	c.Observer = observer
	o, err := orchestrator.New(store, c, log)
	if err == nil {
		w.metrics.Figures(observer, store, o.Owned, s.TargetLatency)
	}
	return o, err
}

// worker is the observer of a worker.
func (w *Watch) worker(slots int) *worker.Observer {
	if w == nil {
		return nil
	}
	if w.workers == nil {
		w.workers = w.metrics.Worker()
	}
	if slots <= 0 {
		slots = runtime.NumCPU()
	}
	return w.workers.Observer(slots)
}
