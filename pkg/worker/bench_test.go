package worker_test

import (
	"context"
	"strconv"
	"syscall"
	"testing"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

// BenchmarkWorker does tickets that wait in a stream, by a handler that does
// nothing or that needs some stack. It ends when all are reported.
func BenchmarkWorker(b *testing.B) {
	for name, fn := range map[string]func(int) int{"noop": func(int) int { return 0 }, "deep": deep} {
		b.Run(name, func(b *testing.B) {
			srv := redistest.Real(b)
			store, err := redisstore.Open(b.Context(), redisstore.Config{URL: srv.URL})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = store.Close() }()
			if err := store.Ensure(b.Context(), []string{"default"}); err != nil {
				b.Fatal(err)
			}
			fill(b, store, b.N)
			done, n := make(chan struct{}), 0
			jobs := job.NewRegistry()
			job.Handle(jobs, "work", func(context.Context, map[string]any) (int, error) { return fn(64), nil })
			w, err := worker.New(worker.Config{URL: srv.URL, Name: "w", Slots: 50}, jobs)
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			b.ReportAllocs()
			b.ResetTimer()
			used := cpu()
			go func() { defer close(done); _ = w.Run(ctx) }()
			for n < b.N {
				events, err := store.ReadEvents(b.Context(), 0, "bench", 1000, 50e6)
				if err != nil {
					b.Fatal(err)
				}
				n += len(events)
			}
			b.StopTimer()
			b.ReportMetric(float64(cpu()-used)/float64(b.N), "cpu-ns/op")
			stop()
			<-done
		})
	}
}

// cpu is the processor time of this process in nanoseconds, which depends less
// on what else runs on the machine.
func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// deep needs about 100 bytes of stack for each level.
func deep(n int) int {
	var room [12]int
	room[n%12] = n
	if n == 0 {
		return 0
	}
	return room[(n+1)%12] + deep(n-1)
}

func fill(b *testing.B, store *redisstore.Store, n int) {
	b.Helper()
	for version := int64(0); n > 0; version++ {
		var some []wire.Ticket
		for range min(n, 300) {
			some = append(some, wire.Ticket{Run: "r", Task: "a", Queue: "default", Priority: wire.Normal, Fence: strconv.Itoa(n), Handler: "work", Attempt: 1, Inputs: []byte(`{"a":1}`)})
			n--
		}
		if _, err := store.Commit(b.Context(), 0, []wire.Commit{{Run: "r", Version: version, Fields: []string{"state", "running"}, Tickets: some}}); err != nil {
			b.Fatal(err)
		}
	}
}
