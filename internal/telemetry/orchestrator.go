package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/orchestrator"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// Orchestrator makes metrics, and traces if there is a Tracer, of what an
// orchestrator does.
type Orchestrator struct {
	tracer *Tracer

	submissions, runsBegun, runsEnded  *prometheus.CounterVec
	attempts, tasks, events, takenOver *prometheus.CounterVec
	stale, conflicts, dead, tickets    prometheus.Counter
	runTook, took, waited              *prometheus.HistogramVec
	commitTook, commitRuns             prometheus.Observer

	recipes, pairs, queues, handlers bounded
	typical                          typical
}

// Orchestrator adds the metrics of an orchestrator. A tracer may be nil.
func (m *Metrics) Orchestrator(tracer *Tracer) *Orchestrator {
	o := &Orchestrator{
		tracer:      tracer,
		submissions: counter("orchis_submissions_total", "Submissions that were answered: accepted or rejected.", "outcome"),
		runsBegun:   counter("orchis_runs_begun_total", "Runs that were created.", "recipe"),
		runsEnded:   counter("orchis_runs_ended_total", "Runs that ended, by the state in which they did.", "recipe", "state"),
		attempts:    counter("orchis_attempts_total", "Attempts that ended: succeeded, failed, timeout, lost (the worker went away), untaken (no worker in time) or cancelled.", "queue", "handler", "outcome"),
		tasks:       counter("orchis_tasks_ended_total", "Tasks that ended, by the state in which they did.", "state"),
		events:      counter("orchis_events_read_total", "Events that were read, by type.", "type"),
		takenOver:   counter("orchis_events_reclaimed_total", "Events that another orchestrator had read and not dealt with."),
		runTook:     histogram("orchis_run_duration_seconds", "How long runs took from their creation to their end.", work(), "recipe"),
		took:        histogram("orchis_attempt_duration_seconds", "How long handlers took, by the clock of the worker.", work(), "handler"),
		waited:      histogram("orchis_attempt_wait_seconds", "How long attempts waited from their publication to the start of their handler.", work(), "queue"),
	}
	single := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	o.stale = single("orchis_events_stale_total", "Events without effect: their publication was not the current one any more, or their run had ended. Fenced reports are among them.")
	o.conflicts = single("orchis_commit_conflicts_total", "Changes of runs that were refused since another orchestrator had been faster. They are made again.")
	o.dead = single("orchis_dead_letters_total", "Tasks that were given up and became dead letters.")
	o.tickets = single("orchis_tickets_published_total", "Tickets that were published.")
	commitTook := histogram("orchis_commit_duration_seconds", "How long a commit took, which is one call to Redis.", []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5})
	commitRuns := histogram("orchis_commit_runs", "How many runs a commit changed.", []float64{1, 2, 5, 10, 25, 50, 100, 200})
	m.registry.MustRegister(o.submissions, o.runsBegun, o.runsEnded, o.attempts, o.tasks, o.events, o.takenOver, o.runTook, o.took, o.waited, commitTook, commitRuns)
	o.commitTook, o.commitRuns = commitTook.WithLabelValues(), commitRuns.WithLabelValues()
	o.takenOver.WithLabelValues()
	for _, outcome := range []string{"accepted", "rejected"} {
		o.submissions.WithLabelValues(outcome)
	}
	for _, s := range run.TaskStates() {
		if s.Final() {
			o.tasks.WithLabelValues(string(s))
		}
	}
	return o
}

var _ orchestrator.Observer = (*Orchestrator)(nil)

// Read counts events.
func (o *Orchestrator) Read(events []wire.Event, takenOver bool) {
	for i := range events {
		o.events.WithLabelValues(known(events[i].Type)).Inc()
	}
	if takenOver {
		o.takenOver.WithLabelValues().Add(float64(len(events)))
	}
}

// known returns the label of an event's type. Anybody can write to a stream, so
// a type that no orchestrator or worker sends counts as other.
func known(t wire.EventType) string {
	if t.Info().Stream {
		return string(t)
	}
	return Other
}

// Answered counts submissions.
func (o *Orchestrator) Answered(accepted bool) {
	outcome := "rejected"
	if accepted {
		outcome = "accepted"
	}
	o.submissions.WithLabelValues(outcome).Inc()
}

// Stale counts events without effect.
func (o *Orchestrator) Stale(events int) { o.stale.Add(float64(events)) }

// Committed counts what has changed.
func (o *Orchestrator) Committed(c *orchestrator.Committed) {
	o.commitTook.Observe(c.Took.Seconds())
	o.commitRuns.Observe(float64(len(c.Effects)))
	o.conflicts.Add(float64(c.Conflicts))
	for _, fx := range c.Effects {
		if c.Created {
			recipe, _, isNew := o.recipes.fit(fx.Run.Recipe, "")
			o.runsBegun.WithLabelValues(recipe).Inc()
			for _, s := range run.States() {
				if isNew && s.Final() {
					o.runsEnded.WithLabelValues(recipe, string(s))
				}
			}
		}
		o.changed(fx)
		if o.tracer != nil {
			o.tracer.changed(fx)
		}
	}
}

func (o *Orchestrator) changed(fx *engine.Effects) {
	o.stale.Add(float64(fx.Stale))
	o.dead.Add(float64(len(fx.Dead)))
	o.tickets.Add(float64(len(fx.Tickets)))
	for i := range fx.Log {
		if ch := &fx.Log[i]; ch.Task != "" && ch.State.Final() {
			o.tasks.WithLabelValues(string(ch.State)).Inc()
		}
	}
	for i := range fx.Ended {
		o.attempt(&fx.Ended[i])
	}
	if fx.Run.State.Final() {
		recipe := o.recipes.one(fx.Run.Recipe)
		o.runsEnded.WithLabelValues(recipe, string(fx.Run.State)).Inc()
		o.runTook.WithLabelValues(recipe).Observe(seconds(fx.Run.Ended - fx.Run.Created))
	}
}

func (o *Orchestrator) attempt(a *engine.Attempt) {
	queue, handler, isNew := o.pairs.fit(a.Queue, a.Handler)
	if isNew { // a counter that begins at 1 has not risen for Prometheus
		for _, outcome := range engine.Outcomes() {
			o.attempts.WithLabelValues(queue, handler, outcome)
		}
	}
	o.attempts.WithLabelValues(queue, handler, a.Outcome).Inc()
	if a.Started == 0 {
		return
	}
	o.waited.WithLabelValues(o.queues.one(a.Queue)).Observe(seconds(a.Started - a.Queued))
	if a.Outcome == engine.OutcomeLost || a.Outcome == engine.OutcomeCancelled {
		return // nobody knows when the handler ended
	}
	o.took.WithLabelValues(o.handlers.one(a.Handler)).Observe(seconds(a.Ended - a.Started))
	o.typical.note(a.Queue, seconds(a.Ended-a.Started))
}

// Trace is the traceparent for the handler of an attempt.
func (o *Orchestrator) Trace(r *run.Run, task string, attempt int, first int64) string {
	if o.tracer == nil {
		return r.Trace
	}
	return o.tracer.parent(r, task, attempt, first)
}
