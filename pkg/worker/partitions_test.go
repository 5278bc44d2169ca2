package worker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

// TestAllSlotsServeOnePartition: with more partitions than slots, those that
// wait for a ticket take no slot from one that has some. The four handlers end
// only when all are at work together.
func TestAllSlotsServeOnePartition(t *testing.T) {
	t.Parallel()
	srv := redistest.Embedded(t)
	store, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL, Partitions: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if err := store.Ensure(t.Context(), []string{"default"}); err != nil {
		t.Fatal(err)
	}
	var together sync.WaitGroup
	together.Add(4)
	jobs := job.NewRegistry()
	job.Handle(jobs, "meet", func(context.Context, map[string]any) (any, error) {
		together.Done()
		together.Wait()
		return nil, nil
	})
	w, err := worker.New(worker.Config{URL: srv.URL, Name: "w", Slots: 4, Poll: time.Second}, jobs)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	const p = 5
	var tickets []wire.Ticket
	for n := range 4 {
		tickets = append(tickets, wire.Ticket{Run: "r", Task: fmt.Sprint("t", n), Queue: "default", Fence: fmt.Sprint("p", n), Handler: "meet", Attempt: 1})
	}
	redistest.Until(t, "the worker is ready", func() bool { return len(w.Ready(t.Context())) == 0 })
	if _, err := store.Commit(t.Context(), p, []wire.Commit{{Run: "r", Fields: []string{"state", "running"}, Tickets: tickets}}); err != nil {
		t.Fatal(err)
	}
	succeeded := 0
	redistest.Until(t, "all four are done", func() bool {
		events, err := store.ReadEvents(t.Context(), p, "o", 10, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range events {
			if ev.Type == wire.Succeeded {
				succeeded++
			}
		}
		return succeeded == 4
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
