package redisstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// TestADefinitionStaysForWhoBeginsWithIt deletes the last run of a definition
// while another one begins with the same.
func TestADefinitionStaysForWhoBeginsWithIt(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		begin := func(id string) error {
			_, err := s.Commit(t.Context(), 0, []wire.Commit{{Run: id, Digest: "d", Definition: []byte("x"), Fields: []string{"state", "running", "definition", "d"}}})
			return err
		}
		if err := begin("r0"); err != nil {
			t.Fatal(err)
		}
		for n := range 300 {
			var errs [2]error
			var both sync.WaitGroup
			both.Go(func() { errs[0] = s.DeleteRuns(t.Context(), 0, []string{fmt.Sprint("r", n)}) })
			both.Go(func() { errs[1] = begin(fmt.Sprint("r", n+1)) })
			both.Wait()
			if _, err := s.Definition(t.Context(), 0, "d"); err != nil || errors.Join(errs[:]...) != nil {
				t.Fatalf("after %d runs: %v, %v", n+1, err, errs)
			}
		}
		if err := s.DeleteRuns(t.Context(), 0, []string{"r300"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Definition(t.Context(), 0, "d"); !errors.Is(err, wire.ErrNotFound) {
			t.Errorf("without a run the definition is there: %v", err)
		}
	})
}

// TestOthersGoOnWhileARedisIsRecovered is for the race detector.
func TestOthersGoOnWhileARedisIsRecovered(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL, Partitions: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		srv.Do(t, "FLUSHALL")
		var all sync.WaitGroup
		all.Go(func() {
			if err := s.Recover(t.Context()); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			for range 100 {
				_ = s.PartitionOf("r") + s.Partitions()
				if _, _, err := s.Epoch(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		all.Wait()
		if now, opened, err := s.Epoch(t.Context()); err != nil || now != opened || s.Partitions() != 2 {
			t.Errorf("epochs are %q and %q with %d partitions, %v", now, opened, s.Partitions(), err)
		}
		srv.Do(t, "HSET", "orchis:meta", "partitions", "3", "epoch", "other")
		if err := s.Recover(t.Context()); err == nil || s.Partitions() != 2 {
			t.Errorf("with other partitions: %v", err)
		}
	})
}
