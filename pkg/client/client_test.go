package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

func TestASubmissionThatNobodyAnswersEndsWithTheCause(t *testing.T) {
	t.Parallel()
	c, err := client.Open(t.Context(), client.Config{URL: redistest.Embedded(t).URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	entry, err := c.Submit(t.Context(), client.Request{Recipe: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	nobody := errors.New("nobody answers")
	for range 20 { // the time runs out in a pause between two questions, or in a question
		ctx, stop := context.WithTimeoutCause(t.Context(), 11*time.Millisecond, nobody)
		_, err = c.Accepted(ctx, entry)
		stop()
		if !errors.Is(err, nobody) {
			t.Fatalf("it ends with %v", err)
		}
	}
	ended, end := context.WithCancelCause(t.Context())
	end(nobody)
	if _, err = c.Accepted(ended, entry); !errors.Is(err, nobody) {
		t.Errorf("when the time is over at the beginning, it ends with %v", err)
	}
}

// both are a store and a client on the same Redis.
func both(t *testing.T, srv redistest.Server) (*redisstore.Store, *client.Client) {
	t.Helper()
	s, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c, err := client.Open(t.Context(), client.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return s, c
}

// TestARunThatHasEndedIsOver for who watches it, whatever became of its log.
func TestARunThatHasEndedIsOver(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		ctx := t.Context()
		s, c := both(t, srv)
		commit := func(version int64, state run.State, log string) {
			t.Helper()
			res, err := s.Commit(ctx, 0, []wire.Commit{{Run: "r", Version: version, Fields: []string{"state", string(state)}, Log: []byte(log)}})
			if err != nil || res[0].Err != nil {
				t.Fatal(res, err)
			}
		}
		over := func(after string, want bool) {
			t.Helper()
			if got, err := c.Over(ctx, "r", after); got != want || err != nil {
				t.Errorf("after %q it is over: %v, %v", after, got, err)
			}
		}
		watched := func() (told int) {
			t.Helper()
			err := c.Watch(ctx, "r", func(changes []run.Change) error { told += len(changes); return nil })
			if err != nil {
				t.Errorf("watching ends with %v", err)
			}
			return told
		}
		if _, err := c.Over(ctx, "r", ""); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("of no run it says %v", err)
		}
		commit(0, run.Running, `[5,{"run":"running"}]`)
		over("1", false)
		commit(1, run.Succeeded, `[6,{"task":"a","state":"succeeded"},{"run":"succeeded","attempt":0}]`)
		over("1", false)
		over("2", true)
		if told := watched(); told != 3 {
			t.Errorf("told were %d changes", told)
		}
		srv.Do(t, "DEL", "orchis:{0}:run:r:changes") // as of a run of an older build
		over("1", true)
		if told := watched(); told != 0 {
			t.Errorf("of no log %d changes are told", told)
		}
	})
}

// TestALongHistoryIsWhole: a page of the log is short, a history is not.
func TestALongHistoryIsWhole(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		ctx := t.Context()
		s, c := both(t, srv)
		for v := range int64(250) {
			if res, err := s.Commit(ctx, 0, []wire.Commit{{Run: "r", Version: v, Log: []byte(`[5,{"task":"a","state":"queued"}]`)}}); err != nil || res[0].Err != nil {
				t.Fatal(res, err)
			}
		}
		for _, want := range []struct {
			after      string
			most, many int
			last       string
		}{{"", 1000, 250, "250"}, {"", 120, 120, "120"}, {"30", 1000, 220, "250"}, {"250", 1000, 0, ""}} {
			got, err := c.History(ctx, "r", want.after, want.most)
			if err != nil || len(got) != want.many || len(got) > 0 && got[len(got)-1].ID != want.last {
				t.Errorf("after %q, at most %d: %d entries, %v", want.after, want.most, len(got), err)
			}
		}
	})
}
