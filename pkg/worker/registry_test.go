package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

// TestTheRegistrySaysSoonHowBusyAWorkerIs, sooner than its entry is renewed
// anyway, and so when the work is done.
func TestTheRegistrySaysSoonHowBusyAWorkerIs(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	b := newBench(t, redistest.Embedded(t), func(_ *worker.Config, jobs *job.Registry) {
		job.Handle(jobs, "waits", func(ctx context.Context, _ struct{}) (struct{}, error) {
			select {
			case <-gate:
			case <-ctx.Done():
			}
			return struct{}{}, nil
		})
	})
	busy := func(want int, within time.Duration) {
		t.Helper()
		ctx, stop := context.WithTimeout(t.Context(), within)
		defer stop()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			all, err := b.store.Workers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(all) == 1 && all[0].Busy == want {
				return
			}
			select {
			case <-ctx.Done():
				t.Fatalf("after %s the registry does not say that %d slots are taken: %+v", within, want, all)
			case <-tick.C:
			}
		}
	}
	busy(0, 20*time.Second)
	for range 2 {
		b.publish(wire.Ticket{Handler: "waits"})
		busy(1, 2800*time.Millisecond)
		gate <- struct{}{}
		busy(0, 2800*time.Millisecond)
	}
}
