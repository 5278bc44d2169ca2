// Package worker takes tickets from Redis, runs their handlers and reports the
// results. A program of your own becomes a worker with a registry of handlers:
//
//	jobs := job.NewRegistry()
//	job.Handle(jobs, "greet", greet)
//	w, err := worker.New(worker.Config{URL: "redis://localhost:6379"}, jobs)
//	err = w.Run(ctx)
package worker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/orchis-run/orchis/internal/artifact"
	"github.com/orchis-run/orchis/internal/fact"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/secret"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/job"
)

// Config says how a worker works. Only URL must be given.
type Config struct {
	// URL of Redis, and the Prefix of the keys ("orchis").
	URL, Prefix string
	// Partitions is used when Redis is still empty; 1, and 16 on a Cluster.
	Partitions int
	// TLS, if given, holds the certificates for a rediss:// URL.
	TLS *tls.Config
	// Name must be unique; the host's name and a random part by default.
	Name string
	// Queues it serves; "default".
	Queues []string
	// Slots is the number of attempts at once; the number of CPUs.
	Slots int
	// Lease is how long a ticket stays with a worker that gives no sign of
	// life; 10 s. All workers and orchestrators must agree on it.
	Lease time.Duration
	// Grace is how long a stopping worker lets its handlers finish; 20 s.
	Grace time.Duration
	// Poll is how long one read waits for tickets; 1 s. A shorter time lets an
	// idle worker stop sooner and asks Redis more often.
	Poll time.Duration
	// MaxResult bounds a result in bytes; 64 KiB.
	MaxResult int
	// SigningKeys are keys with commas between. A worker with keys works only on
	// tickets that an orchestrator with one of them signed, at most SignedWithin
	// (0: any time) ago; others become dead letters.
	SigningKeys  string
	SignedWithin time.Duration
	// Artifacts is where files are kept that jobs hand to one another: a folder
	// that all workers share, or s3://bucket/folder?endpoint=...&region=... ;
	// ".orchis/artifacts".
	Artifacts string
	// AllowPrivate lets files that runs are given by URL come from private
	// addresses.
	AllowPrivate bool
	// Secrets finds the value of a secret that a job may use; by default in the
	// environment variable ORCHIS_SECRET_<NAME>. Its errors must not hold values.
	Secrets func(name string) (value string, err error)
	// Hide lists values that must never stand in logs, errors and results, as
	// the secrets that a job uses do not. The password of URL is one anyway.
	Hide    []string
	Version string
	Logger  *zap.Logger
	// Observer, if given, is told what the worker does.
	Observer *Observer
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "worker"
		}
		c.Name = host + "-" + uuid.NewString()[:8]
	}
	if len(c.Queues) == 0 {
		c.Queues = []string{"default"}
	}
	if c.Slots <= 0 {
		c.Slots = runtime.NumCPU()
	}
	if c.Lease <= 0 {
		c.Lease = 10 * time.Second
	}
	if c.Grace <= 0 {
		c.Grace = 20 * time.Second
	}
	if c.Poll <= 0 {
		c.Poll = time.Second
	}
	if c.MaxResult <= 0 {
		c.MaxResult = 64 << 10
	}
	if c.Artifacts == "" {
		c.Artifacts = ".orchis/artifacts"
	}
	if c.Secrets == nil {
		c.Secrets = secret.From("")
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Observer == nil {
		c.Observer = &Observer{}
	}
	return c
}

// The causes with which a handler's context ends early.
var (
	ErrTimeout   = errors.New("the attempt took longer than its timeout")
	ErrHeartbeat = errors.New("the handler reported no progress for too long")
	ErrRevoked   = errors.New("the ticket was taken back")
	ErrLeaseLost = errors.New("no connection: Redis could not be reached for so long that the ticket may be with another worker")
	ErrDraining  = errors.New("the worker stops")
)

// Worker runs handlers.
type Worker struct {
	cfg    Config
	jobs   *job.Registry
	log    *zap.Logger
	store  *redisstore.Store
	slots  chan struct{} // taken ones
	idle   chan started  // to goroutines that have no attempt
	served *served
	out    []*outbox // of each partition
	// unreported counts attempts that gave back their slot before their outcome
	// was reported.
	unreported chan struct{}
	keys       wire.Keys
	files      artifact.Store
	mask       *secret.Mask // of what no attempt may tell
	started    time.Time

	mu       sync.Mutex
	hand     map[*attempt]bool
	running  int  // attempts in hand whose handler has not ended
	ready    bool // has been connected
	draining bool
	paused   map[string]bool // queues from which nothing is taken
	trouble  error
	empty    chan struct{} // closed when the hand is empty, while draining
	kill     chan struct{}
	killOnce sync.Once
}

// New returns a worker for the handlers of a registry.
func New(cfg Config, jobs *job.Registry) (*Worker, error) {
	if cfg.URL == "" {
		return nil, errors.New("make a worker: the URL of Redis is not given")
	}
	cfg = cfg.withDefaults()
	keys, err := wire.ParseKeys(cfg.SigningKeys)
	if err != nil {
		return nil, fmt.Errorf("make a worker: signing keys: %w", err)
	}
	kept, err := artifact.Open(cfg.Artifacts, cfg.Prefix)
	if err != nil {
		return nil, fmt.Errorf("make a worker: artifacts: %w", err)
	}
	return &Worker{
		keys: keys, files: kept,
		cfg: cfg, jobs: jobs, log: cfg.Logger.With(fact.Worker(cfg.Name)),
		mask: secret.NewMask(cfg.hidden()...), slots: make(chan struct{}, cfg.Slots), unreported: make(chan struct{}, unreportedPerSlot*cfg.Slots),
		served: newServed(), hand: map[*attempt]bool{}, kill: make(chan struct{}), idle: make(chan started),
	}, nil
}

// Name is the worker's name in the registry.
func (w *Worker) Name() string { return w.cfg.Name }

// Kill ends a drain at once: what is still running is handed back.
func (w *Worker) Kill() { w.killOnce.Do(func() { close(w.kill) }) }

// Ready returns why the worker is not taking tickets; nothing when it is.
func (w *Worker) Ready(context.Context) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var reasons []string
	if w.draining {
		reasons = append(reasons, "draining")
	}
	if !w.ready {
		reasons = append(reasons, "not connected to Redis yet")
	}
	if w.trouble != nil {
		reasons = append(reasons, w.trouble.Error())
	}
	return reasons
}

// Run works until ctx ends. Then it takes no more tickets, lets handlers
// finish within the grace and hands back the rest. Ending ctx before the worker
// has started is no error.
func (w *Worker) Run(ctx context.Context) error {
	store, err := w.begin(ctx)
	if store != nil {
		defer func() { _ = store.Close() }()
	}
	if ctx.Err() != nil && err != nil {
		return nil // stopped before it had started
	}
	if err != nil {
		return fmt.Errorf("start worker %s: %w", w.cfg.Name, err)
	}
	w.log.Info("worker is ready", zap.Strings("queues", w.cfg.Queues), zap.Int("slots", w.cfg.Slots))

	// Work and heartbeats outlive ctx: they end when the hand is empty.
	alive, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var upkeep errgroup.Group
	upkeep.Go(func() error { w.heartbeats(alive); return nil })
	upkeep.Go(func() error { w.register(alive); return nil })
	upkeep.Go(func() error { w.watchPauses(ctx); return nil })
	var claims, reports errgroup.Group
	for p := range store.Partitions() {
		out := newOutbox(alive, w, p)
		w.out = append(w.out, out)
		reports.Go(func() error { out.run(alive); return nil })
	}
	for p := range store.Partitions() {
		claims.Go(func() error { newClaimer(w, p, store.Partitions()).run(ctx, alive); return nil })
	}
	_ = claims.Wait()
	w.drain(alive)
	stop()
	_ = reports.Wait()
	_ = upkeep.Wait()
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := store.RemoveWorker(leave, w.cfg.Name, wire.LanesOf(w.cfg.Queues...)); err != nil {
		w.log.Warn("the worker stays in the registry until it is forgotten", zap.Error(err))
	}
	w.log.Info("worker has stopped")
	return nil
}

// begin connects, and hands back what a worker of this name held when it died.
func (w *Worker) begin(ctx context.Context) (*redisstore.Store, error) {
	store, err := redisstore.Open(ctx, redisstore.Config{URL: w.cfg.URL, TLS: w.cfg.TLS, Prefix: w.cfg.Prefix, Partitions: w.cfg.Partitions, Name: "orchis-worker-" + w.cfg.Name, OnError: w.cfg.Observer.RedisError})
	if err != nil {
		return nil, err
	}
	w.store, w.started = store, time.Now()
	if err := store.Ensure(ctx, w.cfg.Queues); err != nil {
		return store, err
	}
	w.mu.Lock()
	w.ready = true
	w.mu.Unlock()
	w.served.set(wire.LanesOf(w.cfg.Queues...))
	w.lookForPauses(ctx)
	return store, w.handBackOld(ctx)
}

// handBackOld hands back what a worker of this name held when it died. It
// counts as lost: the job may be what kills the worker.
func (w *Worker) handBackOld(ctx context.Context) error {
	for p := range w.store.Partitions() {
		old, err := w.store.OwnTickets(ctx, p, wire.LanesOf(w.cfg.Queues...), w.cfg.Name)
		if err != nil {
			return err
		}
		var done []redisstore.Completion
		for _, t := range old {
			ev := wire.Event{Type: wire.Lost, Run: t.Run, Task: t.Task, Fence: t.Fence, Worker: w.cfg.Name, At: time.Now().UnixMilli()}
			done = append(done, redisstore.Completion{Ticket: t, Event: ev})
		}
		if len(done) == 0 { // mutant: predecessor-tickets-released (true)
			continue
		}
		w.log.Info("handing back what was held before", zap.Int("tickets", len(done)))
		if err := w.store.Complete(ctx, p, w.cfg.Name, done); err != nil {
			return err
		}
	}
	return nil
}

// drain waits until nothing is in hand, at most for the grace.
func (w *Worker) drain(context.Context) {
	w.mu.Lock()
	w.draining = true
	empty := make(chan struct{})
	if len(w.hand) == 0 {
		close(empty)
	} else {
		w.empty = empty
	}
	n := len(w.hand)
	w.mu.Unlock()
	if n > 0 {
		w.log.Info("draining: no more tickets are taken", zap.Int("running", n), zap.Duration("grace", w.cfg.Grace))
	}
	grace := time.NewTimer(w.cfg.Grace)
	defer grace.Stop()
	select {
	case <-empty:
		return
	case <-grace.C:
	case <-w.kill:
	}
	for _, a := range w.inHand() {
		a.cancel(ErrDraining) // mutant: shutdown-cancels (skip)
	}
	// Handlers have a moment to end; what does not is found by its lease.
	last := time.NewTimer(8 * time.Second)
	defer last.Stop()
	select {
	case <-empty:
	case <-last.C:
		w.log.Warn("some handlers did not end; their tickets will be given to others", zap.Int("running", len(w.inHand())))
	}
}
