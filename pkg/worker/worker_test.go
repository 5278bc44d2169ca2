package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a Redis with one worker, and the test as its orchestrator.
type bench struct {
	t      *testing.T
	srv    redistest.Server
	store  *redisstore.Store
	jobs   *job.Registry
	worker *worker.Worker
	stop   context.CancelFunc
	done   chan error
	n      int64
	events []wire.Event // read and not returned
}

func newBench(t *testing.T, srv redistest.Server, change func(*worker.Config, *job.Registry)) *bench {
	t.Helper()
	b := &bench{t: t, srv: srv, jobs: job.NewRegistry(), done: make(chan error, 1)}
	store, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	b.store = store
	if err := store.Ensure(t.Context(), []string{"default"}); err != nil {
		t.Fatal(err)
	}
	cfg := worker.Config{URL: srv.URL, Name: "w", Slots: 4, Lease: 300 * time.Millisecond, Grace: 200 * time.Millisecond, Poll: 20 * time.Millisecond}
	change(&cfg, b.jobs)
	if b.worker, err = worker.New(cfg, b.jobs); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	b.stop = stop
	go func() { b.done <- b.worker.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-b.done; err != nil {
			t.Errorf("the worker ends with %v", err)
		}
	})
	return b
}

// publish offers a ticket and returns its reference.
func (b *bench) publish(tk wire.Ticket) wire.TicketRef {
	b.t.Helper()
	tk.Run, tk.Task, tk.Queue, tk.Priority = "r", "a", "default", wire.Normal
	if tk.Fence == "" {
		tk.Fence = "p1"
	}
	res, err := b.store.Commit(b.t.Context(), 0, []wire.Commit{{Run: "r", Version: b.n, Fields: []string{"state", "running"}, Tickets: []wire.Ticket{tk}}})
	if err != nil || res[0].Err != nil {
		b.t.Fatal(err, res)
	}
	b.n++
	return wire.TicketRef{Stream: wire.Stream{Queue: "default", Priority: wire.Normal}, ID: res[0].TicketIDs[0]}
}

// event waits for the next event that is not of a kind.
func (b *bench) event(but ...wire.EventType) wire.Event {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		for len(b.events) > 0 {
			e := b.events[0]
			b.events = b.events[1:]
			if !strings.Contains(strings.Join(texts(but), " "), string(e.Type)) {
				return e
			}
		}
		var err error
		if b.events, err = b.store.ReadEvents(ctx, 0, "test", 1, 50*time.Millisecond); err != nil {
			b.t.Fatal(err)
		}
	}
	b.t.Fatal("no event comes")
	return wire.Event{}
}

func texts(in []wire.EventType) []string {
	var out []string
	for _, e := range in {
		out = append(out, string(e))
	}
	return out
}

// empty checks that no ticket is left.
func (b *bench) empty() {
	b.t.Helper()
	stats, err := b.store.QueueStats(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, q := range stats {
		if q.Waiting != 0 || q.InFlight != 0 {
			b.t.Errorf("queue is %+v", q)
		}
	}
}

func TestAnAttemptReportsItsOutcome(t *testing.T) {
	t.Parallel()
	type result struct {
		Type      wire.EventType
		Result    string
		Code      string
		Permanent bool
		Version   string
	}
	tests := []struct {
		handler string
		ticket  wire.Ticket
		want    result
	}{
		{"echo", wire.Ticket{Inputs: []byte(`{"a":1}`)}, result{Type: wire.Succeeded, Result: `{"a":1}`, Version: "1.4"}},
		{"error", wire.Ticket{}, result{Type: wire.Failed, Code: "error"}},
		{"permanent", wire.Ticket{}, result{Type: wire.Failed, Code: "badInput", Permanent: true}},
		{"panic", wire.Ticket{}, result{Type: wire.Failed, Code: "panic"}},
		{"wait", wire.Ticket{TimeoutMs: 30}, result{Type: wire.Failed, Code: "timeout"}},
		{"wait", wire.Ticket{HeartbeatMs: 30}, result{Type: wire.Failed, Code: "heartbeat"}},
		{"large", wire.Ticket{}, result{Type: wire.Failed, Code: "tooLarge", Permanent: true}},
		{"nobody", wire.Ticket{}, result{Type: wire.Released, Code: "handler"}},
	}
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		b := newBench(t, srv, func(_ *worker.Config, jobs *job.Registry) {
			job.Handle(jobs, "echo", func(_ context.Context, in map[string]any) (map[string]any, error) { return in, nil }, job.Version("1.4"))
			job.Handle(jobs, "error", func(context.Context, map[string]any) (any, error) { return nil, errors.New("no") })
			job.Handle(jobs, "permanent", func(context.Context, map[string]any) (any, error) {
				return nil, job.Permanent(job.Code(errors.New("no"), "badInput"))
			})
			job.Handle(jobs, "panic", func(context.Context, map[string]any) (any, error) { panic("oh") })
			job.Handle(jobs, "wait", wait)
			job.Handle(jobs, "large", func(context.Context, map[string]any) (string, error) { return strings.Repeat("x", 100<<10), nil })
		})
		for _, test := range tests {
			test.ticket.Handler, test.ticket.Fence = test.handler, "fence-"+test.handler
			b.publish(test.ticket)
			e := b.event(wire.Started)
			got := result{Type: e.Type, Result: string(e.Result), Permanent: e.Permanent, Version: e.HandlerVersion}
			if e.Error != nil {
				got.Code = e.Error.Code
			}
			if diff := cmp.Diff(test.want, got); diff != "" || e.Fence != "fence-"+test.handler || e.Worker != "w" {
				t.Errorf("%s: %s %+v", test.handler, diff, e)
			}
		}
		b.empty()
	})
}

// wait waits for the end of its context.
func wait(ctx context.Context, _ map[string]any) (any, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func TestALongAttemptIsReportedAsStarted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		release := make(chan struct{})
		b := newBench(t, srv, func(_ *worker.Config, jobs *job.Registry) {
			job.Handle(jobs, "long", func(ctx context.Context, _ map[string]any) (string, error) {
				<-release
				job.Progress(ctx, 50, "half")
				return "done", nil
			})
		})
		b.publish(wire.Ticket{Handler: "long"})
		if e := b.event(); e.Type != wire.Started || e.Started == 0 {
			t.Errorf("first comes %+v", e)
		}
		close(release)
		if e := b.event(); e.Type != wire.Progress || e.Progress != 50 || e.Note != "half" {
			t.Errorf("then comes %+v", e)
		}
		if e := b.event(); e.Type != wire.Succeeded || string(e.Result) != `"done"` {
			t.Errorf("then comes %+v", e)
		}
	})
}

func TestWorkStopsWhenTheTicketIsTakenBack(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		causes := make(chan error, 1)
		b := newBench(t, srv, func(_ *worker.Config, jobs *job.Registry) {
			job.Handle(jobs, "wait", func(ctx context.Context, _ map[string]any) (any, error) {
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return nil, context.Cause(ctx)
			})
		})
		ref := b.publish(wire.Ticket{Handler: "wait"})
		if e := b.event(); e.Type != wire.Started {
			t.Errorf("first comes %+v", e)
		}
		if _, err := b.store.Commit(t.Context(), 0, []wire.Commit{{Run: "r", Version: b.n, Fields: []string{"state", "running"}, Revokes: []wire.TicketRef{ref}}}); err != nil {
			t.Fatal(err)
		}
		if err := <-causes; !errors.Is(err, worker.ErrRevoked) {
			t.Errorf("the cause is %v", err)
		}
		b.stop()
		if err := <-b.done; err != nil {
			t.Error(err)
		}
		b.done <- nil
		if events, err := b.store.ReadEvents(t.Context(), 0, "test", 10, 0); err != nil || len(events) != 0 {
			t.Errorf("it still reports %+v, %v", events, err)
		}
	})
}

func TestAStoppingWorkerHandsBackWhatItCannotFinish(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		begun, causes := make(chan struct{}, 2), make(chan error, 1)
		release := make(chan struct{})
		b := newBench(t, srv, func(_ *worker.Config, jobs *job.Registry) {
			job.Handle(jobs, "wait", func(ctx context.Context, in map[string]any) (any, error) {
				begun <- struct{}{}
				defer func() { causes <- context.Cause(ctx) }()
				return wait(ctx, in)
			})
			job.Handle(jobs, "quick", func(context.Context, map[string]any) (string, error) {
				begun <- struct{}{}
				<-release
				return "ok", nil
			})
		})
		b.publish(wire.Ticket{Handler: "wait", Fence: "slow"})
		b.publish(wire.Ticket{Handler: "quick", Fence: "quick"})
		<-begun
		<-begun
		b.stop()
		close(release)
		if err := <-b.done; err != nil {
			t.Error(err)
		}
		b.done <- nil
		if err := <-causes; !errors.Is(err, worker.ErrDraining) {
			t.Errorf("the cause is %v", err)
		}
		got := map[string]wire.EventType{}
		for range 2 {
			e := b.event(wire.Started)
			got[e.Fence] = e.Type
		}
		if diff := cmp.Diff(map[string]wire.EventType{"slow": wire.Released, "quick": wire.Succeeded}, got); diff != "" {
			t.Error(diff)
		}
		b.empty()
		if workers, err := b.store.Workers(t.Context()); err != nil || len(workers) != 0 {
			t.Errorf("registered are %+v, %v", workers, err)
		}
	})
}

func TestWorkStopsWhenRedisIsGoneForTooLong(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	causes, begun := make(chan error, 1), make(chan struct{})
	b := newBench(t, srv, func(_ *worker.Config, jobs *job.Registry) {
		job.Handle(jobs, "wait", func(ctx context.Context, _ map[string]any) (any, error) {
			close(begun)
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil, context.Cause(ctx)
		})
	})
	b.publish(wire.Ticket{Handler: "wait"})
	<-begun
	srv.Kill()
	if err := <-causes; !errors.Is(err, worker.ErrLeaseLost) {
		t.Errorf("the cause is %v", err)
	}
}

func TestAWorkerHandsBackWhatItsPredecessorHeld(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		store, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		if err := store.Ensure(t.Context(), []string{"default"}); err != nil {
			t.Fatal(err)
		}
		tk := wire.Ticket{Run: "r", Task: "a", Queue: "default", Fence: "old", Handler: "x"}
		if _, err := store.Commit(t.Context(), 0, []wire.Commit{{Run: "r", Fields: []string{"state", "running"}, Tickets: []wire.Ticket{tk}}}); err != nil {
			t.Fatal(err)
		}
		if got, err := store.ReadTickets(t.Context(), 0, []string{"default"}, "w", 1, 0); err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		b := newBench(t, srv, func(*worker.Config, *job.Registry) {})
		if e := b.event(); e.Type != wire.Lost || e.Fence != "old" {
			t.Errorf("event is %+v", e)
		}
		b.empty()
	})
}

func TestAWorkerMayBeStoppedBeforeItHasStarted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		w, err := worker.New(worker.Config{URL: srv.URL}, job.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Run(ctx); err != nil {
			t.Errorf("it ends with %v", err)
		}
	})
}
