// Package telemetry makes metrics for Prometheus and traces for OpenTelemetry
// of what the other rooms tell. It is the only one that knows either.
package telemetry

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are those of one process, in a registry of their own.
type Metrics struct {
	registry    *prometheus.Registry
	redisErrors *prometheus.CounterVec
}

// New returns the metrics that every process has. Role is what it is:
// orchestrator, worker or dev.
func New(version, role string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "orchis_build_info", Help: "Always 1; its labels tell which program this is.",
		ConstLabels: prometheus.Labels{"version": version, "role": role, "go": runtime.Version()},
	})
	info.Set(1)
	m.redisErrors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "orchis_redis_errors_total", Help: "Commands and batches of commands that ended in an error, by class: what Redis calls it in lower case, timeout, connection or other.",
	}, []string{"class"})
	for _, class := range []string{"timeout", "connection", "oom", "misconf"} {
		m.redisErrors.WithLabelValues(class)
	}
	m.registry.MustRegister(info, m.redisErrors)
	return m
}

// Process adds what there is to know of the process itself: go_ and process_.
func (m *Metrics) Process() *Metrics {
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry: nil, MaxRequestsInFlight: 4, Timeout: 10 * time.Second, EnableOpenMetrics: true,
	})
}

// Registry holds the metrics.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// RedisError counts an error of Redis.
func (m *Metrics) RedisError(class string) { m.redisErrors.WithLabelValues(class).Inc() }

// histogram is one with classic buckets and with native ones, which a
// Prometheus that asks for them gets instead.
func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// seconds is a time of milliseconds.
func seconds(ms int64) float64 { return float64(max(0, ms)) / 1000 }

// work is buckets for what takes from a few milliseconds to hours.
func work() []float64 { return []float64{.005, .025, .1, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200} }
