package orchestrator

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/run"
	"github.com/orchis-run/orchis/pkg/worker"
)

// site is a Redis with orchestrators and workers inside the test.
type site struct {
	t     *testing.T
	srv   redistest.Server
	store *redisstore.Store
	lease time.Duration
	calls sync.Map // task -> *atomic.Int64
}

func newSite(t *testing.T, srv redistest.Server) *site {
	t.Helper()
	s := &site{t: t, srv: srv, lease: 300 * time.Millisecond}
	s.store = s.open()
	return s
}

func (s *site) open() *redisstore.Store {
	s.t.Helper()
	store, err := redisstore.Open(s.t.Context(), redisstore.Config{URL: s.srv.URL, Prefix: s.srv.Prefix})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = store.Close() })
	return store
}

func (s *site) config(name string) Config {
	return Config{
		Name: name, Definitions: flow.Options{Root: s.t.TempDir(), Retries: 1}, Lease: s.lease,
		Ownership: 300 * time.Millisecond, WaitForHandlers: true, Poll: 50 * time.Millisecond,
	}
}

// orchestrator makes one that is not running yet.
func (s *site) orchestrator(name string) *Orchestrator {
	s.t.Helper()
	o, err := New(s.open(), s.config(name), zaptest.NewLogger(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	return o
}

// start runs something until the test ends or stop is called.
func (s *site) start(what func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- what(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("it ends with %v", err)
		}
	})
	s.t.Cleanup(stop)
	return stop
}

// handlers are those of the test's workers; work counts its calls.
func (s *site) handlers() *job.Registry {
	jobs := job.NewRegistry()
	job.Handle(jobs, "work", func(ctx context.Context, in map[string]any) (map[string]any, error) {
		n, _ := s.calls.LoadOrStore(job.Info(ctx).IdempotencyKey, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		return in, nil
	})
	job.Handle(jobs, "fail", func(context.Context, map[string]any) (any, error) { return nil, errors.New("no") })
	job.Handle(jobs, "wait", func(ctx context.Context, _ map[string]any) (any, error) { <-ctx.Done(); return nil, context.Cause(ctx) })
	return jobs
}

func (s *site) newWorker(name string) *worker.Worker {
	s.t.Helper()
	w, err := worker.New(worker.Config{URL: s.srv.URL, Prefix: s.srv.Prefix, Name: name, Slots: 8, Lease: s.lease, Grace: 100 * time.Millisecond, Poll: 20 * time.Millisecond}, s.handlers())
	if err != nil {
		s.t.Fatal(err)
	}
	return w
}

func (s *site) worker(name string) (stop func()) {
	s.t.Helper()
	return s.start(s.newWorker(name).Run)
}

// persist starts something again whenever it ends too early, as systemd does.
func (s *site) persist(what func(context.Context) error) {
	s.start(func(ctx context.Context) error {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if err := what(ctx); err != nil {
				s.t.Logf("started again after %v", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		return nil
	})
}

// driveRuns is the life of an orchestrator with a connection of its own.
func (s *site) driveRuns(ctx context.Context) error {
	store, err := redisstore.Open(ctx, redisstore.Config{URL: s.srv.URL, Prefix: s.srv.Prefix})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	o, err := New(store, s.config("o"), zap.NewNop())
	if err != nil {
		return err
	}
	return o.Run(ctx)
}

// submit sends a definition and returns the run's id.
func (s *site) submit(definition string) string {
	s.t.Helper()
	entry, err := s.store.Submit(s.t.Context(), wire.Submission{Definition: definition})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.accepted(entry)
}

// accepted waits for the run of a submission.
func (s *site) accepted(entry string) string {
	s.t.Helper()
	var a wire.Answer
	var err error
	s.until("the submission is answered", func() bool {
		a, err = s.store.Answer(s.t.Context(), entry)
		return err == nil
	})
	if a.State != wire.Accepted {
		s.t.Fatal(a.Error)
	}
	return a.Run
}

func (s *site) until(what string, is func() bool) {
	s.t.Helper()
	s.srv.Until(s.t, what, is)
}

// ended waits until a run has ended and checks that its log ends each task once.
func (s *site) ended(id string, want run.State) run.Run {
	s.t.Helper()
	var r run.Run
	s.until("run "+id+" ends", func() bool {
		var err error
		r, err = s.store.Run(s.t.Context(), id)
		return err == nil && r.State.Final()
	})
	if r.State != want {
		s.t.Errorf("run is %s (%v), want %s", r.State, r.Error, want)
	}
	entries, err := s.store.Log(s.t.Context(), id, "", 10_000, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	ends, runEnds := map[string]int{}, 0
	for _, e := range entries {
		for _, c := range e.Changes {
			if c.Task != "" && c.State.Final() {
				ends[c.Task]++
			}
			if c.Run.Final() {
				runEnds++
			}
		}
	}
	for task, n := range ends {
		if n != 1 {
			s.t.Errorf("task %s ended %d times", task, n)
		}
	}
	if runEnds != 1 {
		s.t.Errorf("the run ended %d times", runEnds)
	}
	return r
}

// quiet checks that nothing is left to do.
func (s *site) quiet() {
	s.t.Helper()
	s.until("the queues are empty", func() bool {
		stats, err := s.store.QueueStats(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, q := range stats {
			if q.Waiting+q.InFlight > 0 {
				return false
			}
		}
		due, _, err := s.store.DueTimers(s.t.Context(), 0, time.Now().Add(time.Hour), 10)
		return err == nil && len(due) == 0
	})
}
