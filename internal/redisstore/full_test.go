package redisstore_test

import (
	"testing"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// TestAFullRedisIsWaitedOut: Redis that may use no more memory refuses whole
// transactions, also those that only read; that is no fault of the run.
func TestAFullRedisIsWaitedOut(t *testing.T) {
	t.Parallel()
	s := open(t, redistest.Real(t))
	id := runOf(s, "full")
	_, err := s.Commit(t.Context(), 0, []wire.Commit{{Run: id, Fields: []string{"state", "running"}, Active: 1}})
	ok(t, err)
	ok(t, s.Client().ConfigSet(t.Context(), "maxmemory", "1").Err())
	if _, err := s.Load(t.Context(), id); err != nil && !redisstore.IsRetryable(err) {
		t.Errorf("loading a run of a full Redis: %v is not waited out", err)
	}
	if err := s.Complete(t.Context(), 0, "w", []redisstore.Completion{{Event: wire.Event{Type: wire.Succeeded, Run: id}}}); !redisstore.IsRetryable(err) {
		t.Errorf("reporting to a full Redis: %v is not waited out", err)
	}
}
