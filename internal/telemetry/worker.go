package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

// Worker makes metrics of what the workers of a process do.
type Worker struct {
	attempts *prometheus.CounterVec
	took     *prometheus.HistogramVec
	busy     prometheus.Gauge
	slots    prometheus.Gauge
	errors   func(class string)

	pairs, handlers bounded
}

// Worker adds the metrics of workers.
func (m *Metrics) Worker() *Worker {
	w := &Worker{
		errors:   m.RedisError,
		attempts: counter("orchis_worker_attempts_total", "Attempts of this worker: succeeded, failed, released (handed back) or dropped (the ticket was taken away).", "queue", "handler", "outcome"),
		took:     histogram("orchis_worker_attempt_duration_seconds", "How long handlers of this worker took.", work(), "handler"),
		busy:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "orchis_worker_slots_busy", Help: "Handlers of this worker that are running."}),
	}
	w.slots = prometheus.NewGauge(prometheus.GaugeOpts{Name: "orchis_worker_slots", Help: "Attempts that this worker can make at once."})
	m.registry.MustRegister(w.attempts, w.took, w.busy, w.slots)
	return w
}

// Observer is for one worker more, with so many slots.
func (w *Worker) Observer(slots int) *worker.Observer {
	w.slots.Add(float64(slots))
	return &worker.Observer{Begin: w.begin, End: w.end, RedisError: w.errors}
}

func (w *Worker) begin(ctx context.Context, _ job.Attempt) context.Context {
	w.busy.Inc()
	return ctx
}

func (w *Worker) end(a job.Attempt, outcome string, took time.Duration) {
	w.busy.Dec()
	queue, handler, _ := w.pairs.fit(a.Queue, a.Handler)
	w.attempts.WithLabelValues(queue, handler, outcome).Inc()
	w.took.WithLabelValues(w.handlers.one(a.Handler)).Observe(took.Seconds())
}
