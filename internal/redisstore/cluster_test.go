package redisstore_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// keyOf is a key in the slot of partition 0.
const keyOf = "orchis:{0}:events"

// TestACommitIsWholeWhileItsSlotMoves carries the keys of a slot to another node
// one after another, and tries to commit at every stage. A commit may be
// refused for now; it must never be made half.
func TestACommitIsWholeWhileItsSlotMoves(t *testing.T) {
	t.Parallel()
	c := redistest.NewCluster(t, false)
	s, ctx := open(t, c.Server), t.Context()
	r := runOf(s, "r")
	ok(t, s.Ensure(ctx, []string{"default"}))
	must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{aCommit(r, 0)}))
	move, err := c.BeginMove(keyOf)
	ok(t, err)
	version, tickets, refused, carried := int64(1), 1, 0, 0
	try := func() error {
		res, err := s.Commit(ctx, 0, []wire.Commit{aCommit(r, version)})
		if err == nil && res[0].Err != nil {
			err = res[0].Err
		}
		if err == nil {
			version++
			tickets++
		}
		return err
	}
	for {
		if err := try(); err != nil {
			refused++
			if !redisstore.IsRetryable(err) {
				t.Errorf("after %d keys the commit gives %v", carried, err)
			}
			if errors.Is(err, wire.ErrConflict) {
				t.Errorf("after %d keys a version is read where there is none", carried)
			}
		}
		n, err := move.Carry(1)
		ok(t, err)
		if n == 0 {
			break
		}
		carried++
	}
	if refused == 0 {
		t.Error("no commit met a slot half moved")
	}
	ok(t, move.End())
	ok(t, try())
	stored := must[*wire.Stored](t)(s.Load(ctx, r))
	if got := stored.Run["version"]; got != strconv.FormatInt(version, 10) {
		t.Errorf("the version is %s after %d commits", got, version)
	}
	if got := must[[]wire.Ticket](t)(s.ScanTickets(ctx, 0, wire.Stream{Queue: "default", Priority: wire.Normal}, "", 100)); len(got) != tickets {
		t.Errorf("%d tickets, want %d", len(got), tickets)
	}
	if got := must[[]wire.LogEntry](t)(s.Log(ctx, r, "", 100, 0)); len(got) != tickets {
		t.Errorf("%d log entries, want %d", len(got), tickets)
	}
	t.Logf("%d keys carried, %d commits made, %d refused", carried, version, refused)
}

// TestSubmissionsSurviveAMovingSlotAndALostMaster: what was answered with an
// entry id and not rolled back is there, and nothing is there twice.
func TestSubmissionsSurviveAMovingSlotAndALostMaster(t *testing.T) {
	t.Parallel()
	c := redistest.NewCluster(t, true)
	s, ctx := open(t, c.Server), t.Context()
	var sent sync.Map // number -> its entry
	work, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		for n := 0; work.Err() == nil; n++ {
			id, err := s.Submit(ctx, wire.Submission{Recipe: strconv.Itoa(n)})
			if err == nil {
				sent.Store(strconv.Itoa(n), id)
			} else if !redisstore.IsRetryable(err) {
				t.Errorf("submit %d gives %v", n, err)
				return
			}
			if _, err := s.Now(ctx); err != nil && !redisstore.IsRetryable(err) {
				t.Errorf("the clock gives %v", err)
			}
		}
	})
	ok(t, c.MoveSlot("orchis:submit"))
	began := time.Now()
	ok(t, c.Failover("orchis:submit"))
	redistest.Until(t, "submissions are taken again", func() bool {
		_, err := s.Submit(ctx, wire.Submission{Recipe: "after"})
		return err == nil
	})
	t.Logf("taken again %s after the master was killed", time.Since(began).Round(time.Millisecond))
	stop()
	wait.Wait()
	count := map[string]int{}
	for {
		got := must[[]wire.Submission](t)(s.ReadSubmissions(ctx, "o", 1000, 0))
		if len(got) == 0 {
			break
		}
		for _, sub := range got {
			count[sub.Recipe]++
		}
	}
	accepted, lost := 0, 0
	sent.Range(func(n, _ any) bool {
		accepted++
		if count[n.(string)] == 0 {
			lost++
		}
		return true
	})
	for n, times := range count {
		if times > 1 && n != "after" {
			t.Errorf("submission %s is there %d times", n, times)
		}
	}
	if accepted == 0 {
		t.Error("nothing was submitted")
	}
	t.Logf("%d submissions acknowledged, %d rolled back by the failover", accepted, lost)
}

func TestSentinelsLeadToTheNewMaster(t *testing.T) {
	t.Parallel()
	srv := redistest.NewSentinels(t)
	s, ctx := open(t, srv.Server), t.Context()
	must[string](t)(s.Submit(ctx, wire.Submission{Recipe: "before"}))
	ok(t, srv.Failover())
	redistest.Until(t, "submissions are taken again", func() bool {
		_, err := s.Submit(ctx, wire.Submission{Recipe: "after"})
		if err != nil && !redisstore.IsRetryable(err) {
			t.Fatalf("submit gives %v", err)
		}
		return err == nil
	})
}

func TestAWrongKindOfURLIsTold(t *testing.T) {
	t.Parallel()
	c, single := redistest.NewCluster(t, false), redistest.NewSentinels(t)
	node := strings.Split(strings.TrimPrefix(c.URL, "redis+cluster://"), ",")[0]
	master := must[*redistest.Node](t)(single.Master())
	for url, want := range map[string]string{
		"redis://" + node:                                   "write redis+cluster://",
		"redis+cluster://" + master.Addr():                  "write redis://",
		strings.Replace(single.URL, "/orchis", "/other", 1): `none knows the master "other"`,
		"redis://" + strings.Split(strings.TrimPrefix(single.URL, "redis+sentinel://"), ",")[0]: "a Sentinel is named as redis+sentinel://",
	} {
		_, err := redisstore.Open(t.Context(), redisstore.Config{URL: url})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, want %s", url, err, want)
		}
	}
}
