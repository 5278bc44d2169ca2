package worker_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

func TestOnlySignedTicketsAreWorkedOn(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		right, wrong := strings.Repeat("r", 32), strings.Repeat("w", 32)
		ran := make(chan string, 10)
		b := newBench(t, srv, func(c *worker.Config, jobs *job.Registry) {
			c.SigningKeys, c.SignedWithin = right, time.Hour
			job.Handle(jobs, "note", func(ctx context.Context, _ map[string]any) (any, error) {
				ran <- job.Info(ctx).Fence
				return nil, nil
			})
		})
		for _, offer := range []struct {
			fence, key string
			age        time.Duration
		}{{"unsigned", "", 0}, {"wrong", wrong, 0}, {"old", right, 2 * time.Hour}, {"right", right, 0}} {
			tk := wire.Ticket{
				Handler: "note", Run: "r", Task: "a", Queue: "default", Priority: wire.Normal, Fence: offer.fence,
				PublishedMs: time.Now().Add(-offer.age).UnixMilli(),
			}
			keys, err := wire.ParseKeys(offer.key)
			if err != nil {
				t.Fatal(err)
			}
			b.store.SignTickets(keys)
			b.publish(tk)
		}
		if e := b.event(); e.Type != wire.Succeeded || e.Fence != "right" {
			t.Errorf("what is reported is %+v", e)
		}
		redistest.Until(t, "the others are put away", func() bool {
			stats, err := b.store.QueueStats(t.Context())
			return err == nil && len(stats) == 1 && stats[0].Waiting+stats[0].InFlight == 0
		})
		if fence := <-ran; fence != "right" || len(ran) != 0 {
			t.Errorf("the ticket %q was worked on, and %d more", fence, len(ran))
		}
	})
}
