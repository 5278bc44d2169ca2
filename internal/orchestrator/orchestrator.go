// Package orchestrator drives runs: it takes submissions in, steps runs by the
// events of workers, and commits what follows. Any number of orchestrators may
// work on one Redis; one of them looks after each partition at a time.
package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/orchis-run/orchis/internal/artifact"
	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/pkg/flow"
)

// Config says how an orchestrator works. Zero fields mean the defaults.
type Config struct {
	// Name must be unique; the host's name and a random part.
	Name string
	// Version is that of the program, for the registry of orchestrators.
	Version string
	// Definitions says where recipes and flows are.
	Definitions flow.Options
	// Lease is how long a ticket stays with a silent worker; 10 s.
	Lease time.Duration
	// Ownership is how long a partition stays with a silent orchestrator; 5 s.
	Ownership time.Duration
	// WaitForHandlers accepts runs whose handlers no live worker has.
	WaitForHandlers bool
	// RetentionAge (7 days) and RetentionCount (10,000 a partition) say how
	// long ended runs are kept.
	RetentionAge   time.Duration
	RetentionCount int
	// RetentionBytes is how much memory of Redis the ended runs of a partition
	// may take; 0 is no such bound.
	RetentionBytes int64
	// Export is a folder: a run is written there before it is deleted.
	Export string
	// MemoryHigh is the share of Redis' maxmemory, in percent, above which
	// submissions are rejected; 0 is never.
	MemoryHigh int
	// Artifacts is the store whose files are removed when no run refers to them
	// and they were not put for ArtifactAge (24 h; less than 0: nothing is).
	Artifacts   artifact.Store
	ArtifactAge time.Duration
	Limits      engine.Limits
	// Poll is how long one read waits for something to do; 1 s. A shorter time
	// lets an idle orchestrator stop sooner and asks Redis more often.
	Poll time.Duration
	// Observer, if given, is told what is done.
	Observer Observer
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "orchestrator"
		}
		c.Name = host + "-" + uuid.NewString()[:8]
	}
	if c.Lease <= 0 {
		c.Lease = 10 * time.Second
	}
	if c.Ownership <= 0 {
		c.Ownership = 5 * time.Second
	}
	if c.Poll <= 0 {
		c.Poll = time.Second
	}
	if c.ArtifactAge == 0 {
		c.ArtifactAge = 24 * time.Hour
	}
	if c.Observer == nil {
		c.Observer = unobserved{}
	}
	if c.RetentionAge <= 0 {
		c.RetentionAge = 7 * 24 * time.Hour
	}
	if c.RetentionCount <= 0 {
		c.RetentionCount = 10_000
	}
	return c
}

// Orchestrator drives runs.
type Orchestrator struct {
	cfg    Config
	store  Store
	loader *flow.Loader
	log    *zap.Logger
	offset atomic.Int64 // of the clock of Redis, in nanoseconds

	// What is not the orchestrator's own doing; a simulation has another.
	clock func() time.Time
	sleep func(context.Context, time.Duration)
	nonce func() uint64
	turns turns

	times   timetable // the scheduler's own
	claimed time.Time // when submissions that were left behind were looked for
	aside   aside
	notices notices

	mu       sync.Mutex
	owned    map[int]bool
	newborn  map[int]*nursery // by partition
	trouble  map[string]error // of what is done, by its name
	pressure string           // why submissions are rejected now
	draining bool
	// concurrent lets a partition have commits and a read under way while it steps
	// runs.
	concurrent bool
	versions   versions // of handlers
}

// New returns an orchestrator on a store.
func New(store Store, cfg Config, log *zap.Logger) (*Orchestrator, error) {
	cfg = cfg.withDefaults()
	loader, err := flow.NewLoader(cfg.Definitions)
	if err != nil {
		return nil, fmt.Errorf("make an orchestrator: %w", err)
	}
	if log == nil {
		log = zap.NewNop()
	}
	o := &Orchestrator{
		cfg: cfg, store: store, loader: loader, owned: map[int]bool{},
		clock: time.Now, sleep: pause, nonce: rand.Uint64, turns: usualTurns(),
		log: log.With(zap.String("orchestrator", cfg.Name)), concurrent: true,
	}
	o.aside.accept = o.accept
	return o, nil
}

// Ready returns why the orchestrator is not working; nothing when it is.
func (o *Orchestrator) Ready(context.Context) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var reasons []string
	if o.draining {
		reasons = append(reasons, "draining")
	}
	if o.pressure != "" {
		reasons = append(reasons, o.pressure)
	}
	for _, what := range slices.Sorted(maps.Keys(o.trouble)) {
		reasons = append(reasons, what+": "+o.trouble[what].Error())
	}
	return reasons
}

// Run works until ctx ends; then it commits what it is at and gives its
// partitions back; what it has read beyond that is left to the next owner. It returns an error only when waiting cannot help.
func (o *Orchestrator) Run(ctx context.Context) error {
	defer func() { _ = o.loader.Close() }()
	o.setClock(ctx)
	o.putLimits(ctx)
	o.log.Info("orchestrator is ready", zap.Int("partitions", o.store.Partitions()))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { o.register(ctx); return nil })
	g.Go(func() error { return o.forever(ctx, "take submissions", o.submissions) })
	g.Go(func() error { return o.forever(ctx, "pass on control", o.control) })
	for p := range o.store.Partitions() {
		part := newPartition(o, p)
		g.Go(func() error {
			defer part.giveBack(context.WithoutCancel(ctx))
			return o.forever(ctx, "drive runs", part.round)
		})
		g.Go(func() error { return o.every(ctx, o.cfg.Lease/2, "look for lost workers", part.reap) })
	}
	g.Go(func() error { return o.every(ctx, 5*time.Second, "delete old runs", o.retire) })
	g.Go(func() error { return o.every(ctx, time.Minute, "tidy up", o.tidy) })
	if o.cfg.Artifacts != nil && o.cfg.ArtifactAge > 0 {
		g.Go(func() error { return o.every(ctx, min(o.cfg.ArtifactAge/2, time.Hour), "remove artifacts", o.collect) })
	}
	g.Go(func() error { return o.every(ctx, 2*o.cfg.Lease, "look for slots that were left behind", o.unleak) })
	g.Go(func() error { return o.every(ctx, time.Second, "start what is due", o.schedule) })
	g.Go(func() error { return o.every(ctx, time.Second, "look at the memory of Redis", o.measure) })
	g.Go(func() error { return o.every(ctx, 5*time.Second, "look for an emptied Redis", o.emptied) })
	g.Go(func() error {
		<-ctx.Done()
		o.mu.Lock()
		defer o.mu.Unlock()
		o.draining = true
		return nil
	})
	err := g.Wait()
	o.aside.all.Wait()
	o.notices.all.Wait()
	o.log.Info("orchestrator has stopped")
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// putLimits stores the limits of the installation, for those who explain what a
// run waits for.
func (o *Orchestrator) putLimits(ctx context.Context) {
	raw, err := json.Marshal(o.cfg.Limits)
	if err == nil {
		err = o.store.PutLimits(ctx, raw)
	}
	if err != nil {
		o.log.Warn("the limits could not be stored: orchis why assumes the usual ones", zap.Error(err))
	}
}

// setClock measures how far the clock of Redis is from ours.
func (o *Orchestrator) setClock(ctx context.Context) {
	before := o.clock()
	now, err := o.store.Now(ctx)
	if err == nil {
		o.offset.Store(int64(now.Sub(before.Add(o.clock().Sub(before) / 2))))
	}
}

// now is the time by the clock of Redis.
func (o *Orchestrator) now() time.Time { return o.clock().Add(time.Duration(o.offset.Load())) }

// forever does a thing again and again until ctx ends. Errors are waited out,
// longer each time, and logged now and then.
func (o *Orchestrator) forever(ctx context.Context, what string, do func(context.Context) error) error {
	tries := 0
	var logged time.Time
	for ctx.Err() == nil {
		err := do(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // an error at the end is the end
		}
		o.noteTrouble(what, err)
		if err == nil {
			tries = 0
			continue
		}
		if advice, fatal := o.store.Fatal(err); fatal {
			return fmt.Errorf("%s: %w: %s", what, err, advice)
		}
		if time.Since(logged) > 10*time.Second {
			logged = time.Now()
			o.log.Warn("Redis does not do what it should", zap.String("action", what), zap.Error(err))
		}
		ceiling := min(50*time.Millisecond<<min(tries, 6), 2*time.Second)
		tries++
		pause(ctx, rand.N(ceiling)+10*time.Millisecond)
	}
	return nil
}

func (o *Orchestrator) noteTrouble(what string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		delete(o.trouble, what)
		return
	}
	if o.trouble == nil {
		o.trouble = map[string]error{}
	}
	o.trouble[what] = err
}

// every does a thing at an interval until ctx ends.
func (o *Orchestrator) every(ctx context.Context, d time.Duration, what string, do func(context.Context) error) error {
	return o.forever(ctx, what, func(ctx context.Context) error {
		o.sleep(ctx, d)
		return do(ctx)
	})
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// owns reports whether this orchestrator looks after a partition.
func (o *Orchestrator) owns(p int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.owned[p]
}

// emptied notices that Redis came back empty, says so, and creates what must be
// there.
func (o *Orchestrator) emptied(ctx context.Context) error {
	now, opened, err := o.store.Epoch(ctx)
	if err != nil || now == opened {
		return err
	}
	o.log.Error("Redis came back empty: runs that were under way are gone", zap.String("epoch", opened))
	return o.store.Recover(ctx)
}

// forgetAfter is how long a worker or an orchestrator may be silent before its
// name is forgotten.
const forgetAfter = time.Hour

// retire deletes runs whose time is over.
func (o *Orchestrator) retire(ctx context.Context) error {
	for p := range o.store.Partitions() {
		if !o.owns(p) {
			continue
		}
		if err := o.retain(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// tidy measures the clock and forgets consumers and workers that are gone.
func (o *Orchestrator) tidy(ctx context.Context) error {
	o.setClock(ctx)
	for p := range o.store.Partitions() {
		if !o.owns(p) {
			continue
		}
		if err := o.store.ForgetConsumers(ctx, p, forgetAfter); err != nil {
			return err
		}
	}
	return errors.Join(o.store.ForgetWorkers(ctx, o.now().Add(-forgetAfter)), o.store.ForgetOrchestrators(ctx, o.now().Add(-forgetAfter)))
}
