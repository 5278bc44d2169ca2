package orchestrator

import (
	"errors"
	"fmt"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// TestRunsEndThoughMastersAreLost kills masters and moves slots while runs go on.
// A failover takes back what the new master had not heard of: a job may run
// again, a whole run may be gone and is submitted again by its id. Nothing is
// recorded twice, and nothing waits for ever.
func TestRunsEndThoughMastersAreLost(t *testing.T) {
	t.Parallel()
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		c := redistest.NewCluster(t, true)
		runsEnd(t, c.Server, func(n int) error {
			if n%2 == 0 {
				return c.MoveSlot(fmt.Sprintf("orchis:{%d}:events", n))
			}
			return c.Failover(fmt.Sprintf("orchis:{%d}:events", n))
		})
	})
	t.Run("sentinels", func(t *testing.T) {
		t.Parallel()
		srv := redistest.NewSentinels(t)
		runsEnd(t, srv.Server, func(int) error { return srv.Failover() })
	})
}

func runsEnd(t *testing.T, srv redistest.Server, fault func(n int) error) {
	t.Helper()
	s := newSite(t, srv)
	for range 2 {
		s.persist(s.driveRuns)
	}
	for n := range 3 {
		s.persist(s.newWorker(fmt.Sprint("w", n)).Run)
	}
	send := func(id string) {
		s.until("the submission is taken", func() bool {
			_, err := s.store.Submit(t.Context(), wire.Submission{ID: id, Definition: diamond})
			return err == nil
		})
	}
	var ids []string
	for n := range 12 {
		ids = append(ids, fmt.Sprint("run-", n))
		send(ids[n])
		if n == 4 || n == 9 {
			if err := fault(n); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, id := range ids {
		tries := 0
		s.until("run "+id+" is there", func() bool {
			_, err := s.store.Run(t.Context(), id)
			if tries++; errors.Is(err, wire.ErrNotFound) && tries%300 == 0 {
				t.Logf("run %s was rolled back and is submitted again", id)
				send(id)
			}
			return err == nil
		})
		if r := s.ended(id, run.Succeeded); string(r.Outputs) != "230" {
			t.Errorf("outputs of %s are %s", id, r.Outputs)
		}
	}
	s.quiet()
}
