package telemetry

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchis-run/orchis/internal/wire"
)

// figuresEvery is how old figures may be that are shown again: Redis is asked no
// more often, however many ask for metrics.
const figuresEvery = 3 * time.Second

// Store is asked when somebody asks for metrics.
type Store interface {
	Figures(ctx context.Context, partitions []int) (wire.Figures, error)
	Workers(ctx context.Context) ([]wire.Worker, error)
	Memory(ctx context.Context) (used, most int64, err error)
	Now(ctx context.Context) (time.Time, error)
}

// figures are measured when they are asked for. Each orchestrator tells of its
// own partitions, and the one that has the first of the installation as a whole,
// so that sums over all are right.
type figures struct {
	store   Store
	owned   func() []int
	typical *typical
	target  float64
	queues  bounded

	mu    sync.Mutex
	at    time.Time
	shown []prometheus.Metric

	partitions, active, kept, timers, events, dead *prometheus.Desc
	depth, inFlight, oldest, wanted                *prometheus.Desc
	workers, slots, busy, used, bound              *prometheus.Desc
}

// Figures adds what stands in Redis. Owned says which partitions are this
// orchestrator's; target is the time in which a queue should be worked off.
func (m *Metrics) Figures(o *Orchestrator, store Store, owned func() []int, target time.Duration) {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m.registry.MustRegister(&figures{
		store: store, owned: owned, typical: &o.typical, target: target.Seconds(),
		partitions: d("orchis_partitions_owned", "Partitions that this orchestrator looks after."),
		active:     d("orchis_runs_active", "Runs that have not ended."),
		kept:       d("orchis_runs_kept", "Runs that have ended and are kept."),
		timers:     d("orchis_timers", "Retries, delays and timeouts that are to come."),
		events:     d("orchis_events_waiting", "Events that are not dealt with yet."),
		dead:       d("orchis_dead_letters", "Dead letters that are kept."),
		depth:      d("orchis_queue_depth", "Tickets that wait for a worker.", "queue"),
		inFlight:   d("orchis_queue_in_flight", "Tickets that workers have.", "queue"),
		oldest:     d("orchis_queue_oldest_seconds", "Age of the ticket that has been waiting longest; 0 when none waits.", "queue"),
		wanted:     d("orchis_queue_workers_wanted", "How many workers would work the queue off in ORCHIS_TARGET_LATENCY.", "queue"),
		workers:    d("orchis_workers", "Workers that gave a sign of life in the last 15 seconds."),
		slots:      d("orchis_slots", "Slots of these workers: attempts that they can make at once."),
		busy:       d("orchis_slots_busy", "Slots that were taken when their workers last told: when that changes, a second later at most; workers in Python and Node, 3 seconds."),
		used:       d("orchis_redis_memory_used_bytes", "Memory that Redis uses; of a Cluster, the fullest node."),
		bound:      d("orchis_redis_memory_max_bytes", "What Redis may use (maxmemory); 0 is no bound."),
	})
}

// Describe sends all descriptions.
func (f *figures) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		f.partitions, f.active, f.kept, f.timers, f.events, f.dead, f.depth, f.inFlight, f.oldest, f.wanted,
		f.workers, f.slots, f.busy, f.used, f.bound,
	} {
		to <- d
	}
}

// Collect sends figures that are a few seconds old at most. Where Redis does not
// answer there are none.
func (f *figures) Collect(to chan<- prometheus.Metric) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) > figuresEvery {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		f.shown, _ = f.measure(ctx) // errors of Redis are counted already
		f.at = time.Now()
	}
	for _, m := range f.shown {
		to <- m
	}
}

func (f *figures) measure(ctx context.Context) ([]prometheus.Metric, error) {
	owned := f.owned()
	out := gauges{}
	out.add(f.partitions, float64(len(owned)))
	if len(owned) == 0 {
		return out, nil
	}
	now, err := f.store.Figures(ctx, owned)
	if err != nil {
		return out, err
	}
	out.add(f.active, float64(now.Active))
	out.add(f.kept, float64(now.Kept))
	out.add(f.timers, float64(now.Timers))
	out.add(f.events, float64(now.Events))
	out.add(f.dead, float64(now.Dead))
	workers, err := f.alive(ctx)
	if err != nil {
		return out, err
	}
	f.queue(&out, now.Queues, workers)
	if slices.Contains(owned, 0) {
		f.whole(ctx, &out, workers)
	}
	return out, nil
}

// queue tells of the queues. What does not fit into the bound of the label
// counts together.
func (f *figures) queue(out *gauges, queues map[string]wire.Depth, workers []wire.Worker) {
	type sum struct{ waiting, inFlight, oldest, wanted float64 }
	sums := map[string]sum{}
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		d := queues[name]
		label := f.queues.one(name)
		s := sums[label]
		s.waiting += float64(d.Waiting)
		s.inFlight += float64(d.InFlight)
		s.oldest = max(s.oldest, d.Oldest.Seconds())
		s.wanted += Wanted(d.Waiting+d.InFlight, f.typical.median(name), f.target, slotsEach(workers, name))
		sums[label] = s
	}
	for label, s := range sums {
		out.add(f.depth, s.waiting, label)
		out.add(f.inFlight, s.inFlight, label)
		out.add(f.oldest, s.oldest, label)
		out.add(f.wanted, s.wanted, label)
	}
}

// Wanted is how many workers work off a backlog in a time, when an attempt takes
// so long and a worker has so many slots: at least one while there is a backlog.
func Wanted(backlog int64, took, target, slots float64) float64 {
	return math.Ceil(float64(backlog) * max(took, 0.001) / target / slots)
}

// slotsEach is how many slots a worker of a queue has; 1 when there is none.
func slotsEach(workers []wire.Worker, queue string) float64 {
	n, slots := 0, 0
	for _, w := range workers {
		if slices.Contains(w.Queues, queue) {
			n, slots = n+1, slots+w.Slots
		}
	}
	if slots == 0 {
		return 1
	}
	return float64(slots) / float64(n)
}

func (f *figures) alive(ctx context.Context) ([]wire.Worker, error) {
	now, err := f.store.Now(ctx)
	if err != nil {
		return nil, err
	}
	all, err := f.store.Workers(ctx)
	return slices.DeleteFunc(all, func(w wire.Worker) bool { return !w.Alive(now) }), err
}

// whole tells of the installation.
func (f *figures) whole(ctx context.Context, out *gauges, workers []wire.Worker) {
	slots, busy := 0, 0
	for _, w := range workers {
		slots += w.Slots
		busy += min(w.Busy, w.Slots)
	}
	out.add(f.workers, float64(len(workers)))
	out.add(f.slots, float64(slots))
	out.add(f.busy, float64(busy))
	if used, bound, err := f.store.Memory(ctx); err == nil { // else this user may not ask
		out.add(f.used, float64(used))
		out.add(f.bound, float64(bound))
	}
}

type gauges []prometheus.Metric

func (g *gauges) add(d *prometheus.Desc, value float64, labels ...string) {
	*g = append(*g, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...))
}
