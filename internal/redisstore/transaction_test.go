package redisstore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// between does something between the two halves of a commit, at most so often.
type between struct {
	do   func()
	left atomic.Int64
}

// DialHook changes nothing.
func (*between) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook changes nothing.
func (*between) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook does it after the half that reads.
func (b *between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if cmds[0].Name() == "watch" && b.left.Add(-1) >= 0 {
			b.do()
		}
		return err
	}
}

// interfere opens a store whose first commits meet somebody else, on a run that
// has been committed once.
func interfere(t *testing.T, srv redistest.Server, times int64, do func(other *redisstore.Store, r string)) (*redisstore.Store, string) {
	t.Helper()
	s, other := open(t, srv), open(t, srv)
	r := runOf(s, "r")
	must[[]wire.CommitResult](t)(other.Commit(t.Context(), 0, []wire.Commit{aCommit(r, 0)}))
	hook := &between{do: func() { do(other, r) }}
	hook.left.Store(times)
	if c, is := s.Client().(*redis.ClusterClient); is { // its nodes have hooks of their own
		ok(t, c.ForEachMaster(t.Context(), func(_ context.Context, node *redis.Client) error {
			node.AddHook(hook)
			return nil
		}))
	} else {
		s.Client().AddHook(hook)
	}
	return s, r
}

// TestACommitNoticesWhatHappensWithinIt: of two who change a run of the same
// version, each having seen it, one writes.
func TestACommitNoticesWhatHappensWithinIt(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		ctx := t.Context()
		s, r := interfere(t, srv, 1, func(other *redisstore.Store, r string) {
			must[[]wire.CommitResult](t)(other.Commit(ctx, 0, []wire.Commit{{Run: r, Version: 1, Outputs: []wire.Output{{Task: "b", Value: []byte("theirs")}}}}))
		})
		free := runOf(s, "free")
		res := must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{{Run: r, Version: 1, Outputs: []wire.Output{{Task: "b", Value: []byte("ours")}}}, aCommit(free, 0)}))
		if !errors.Is(res[0].Err, wire.ErrConflict) || res[1].Err != nil {
			t.Errorf("the results are %+v", res)
		}
		stored := must[*wire.Stored](t)(s.Load(ctx, r))
		if stored.Run["version"] != "2" || stored.Outputs["b"] != "theirs" {
			t.Errorf("stored is %+v", stored)
		}
	})
}

// TestACommitEndsWithItsConnection: a connection that breaks between the halves
// has taken its watch with it; then nothing is written, whatever has happened.
func TestACommitEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	ctx := t.Context()
	s, r := interfere(t, srv, 1, func(other *redisstore.Store, r string) {
		must[[]wire.CommitResult](t)(other.Commit(ctx, 0, []wire.Commit{{Run: r, Version: 1, Outputs: []wire.Output{{Task: "b", Value: []byte("theirs")}}}}))
		ok(t, other.Client().Do(ctx, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	})
	if res, err := s.Commit(ctx, 0, []wire.Commit{{Run: r, Version: 1, Outputs: []wire.Output{{Task: "b", Value: []byte("ours")}}}}); !redisstore.IsRetryable(err) {
		t.Errorf("the commit gives %+v, %v", res, err)
	}
	stored := must[*wire.Stored](t)(s.Load(ctx, r))
	if stored.Run["version"] != "2" || stored.Outputs["b"] != "theirs" {
		t.Errorf("stored is %+v", stored)
	}
}

// TestTheSameRunTwiceInACommit: two changes of one run, made for the same
// version, are one change and one conflict.
func TestTheSameRunTwiceInACommit(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		r := runOf(s, "r")
		res := must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{aCommit(r, 0), aCommit(r, 0), aCommit(r, 1)}))
		if res[0].Err != nil || !errors.Is(res[1].Err, wire.ErrConflict) || res[2].Err != nil {
			t.Errorf("the results are %+v", res)
		}
		if n := must[int64](t)(s.Version(ctx, r)); n != 2 {
			t.Errorf("the version is %d", n)
		}
	})
}

// TestACommitThatIsNeverLetThroughIsNoConflict: nothing is known of its runs,
// so nobody may take them for there.
func TestACommitThatIsNeverLetThroughIsNoConflict(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	ctx := t.Context()
	touched := 0
	s, r := interfere(t, srv, 100, func(other *redisstore.Store, r string) { // changes the run, and not its version
		touched++
		ok(t, other.Client().HSet(ctx, "orchis:{0}:run:"+r, "touched", touched).Err())
	})
	res, err := s.Commit(ctx, 0, []wire.Commit{{Run: r, Version: 1, Outputs: []wire.Output{{Task: "b", Value: []byte("ours")}}}, aCommit("small", 0)})
	if !redisstore.IsRetryable(err) {
		t.Errorf("the commit gives %+v, %v", res, err)
	}
	if _, err := s.Load(ctx, "small"); !errors.Is(err, wire.ErrNotFound) {
		t.Errorf("loading the other run gives %v", err)
	}
	if v := must[int64](t)(s.Version(ctx, r)); v != 1 || touched < 2 {
		t.Errorf("the version is %d after %d tries", v, touched)
	}
}

// TestARefusedCommitSaysWhy: not only that it was refused.
func TestARefusedCommitSaysWhy(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	ctx := t.Context()
	var classes []string
	s := must[*redisstore.Store](t)(redisstore.Open(ctx, redisstore.Config{URL: srv.URL, OnError: func(class string) { classes = append(classes, class) }}))
	t.Cleanup(func() { _ = s.Close() })
	srv.Do(t, "ACL", "SETUSER", "default", "-zadd")
	_, err := s.Commit(ctx, 0, []wire.Commit{aCommit("r", 0)})
	if advice, fatal := redisstore.IsFatal(err); !fatal || !strings.Contains(advice, "give the Redis user") {
		t.Errorf("without permission it says %v, %q", err, advice)
	}
	srv.Do(t, "ACL", "SETUSER", "default", "+zadd")
	srv.Do(t, "CONFIG", "SET", "maxmemory", "1mb")
	if _, err := s.Commit(ctx, 0, []wire.Commit{aCommit("r", 0)}); err == nil || !strings.Contains(err.Error(), "OOM") || !redisstore.IsRetryable(err) {
		t.Errorf("without memory it says %v", err)
	}
	if want := []string{"noperm", "oom"}; !slices.Equal(classes, want) {
		t.Errorf("told were %v, want %v", classes, want)
	}
}

// TestAWatchGoesWithItsCommit: the next who has its connection is not held to
// it. A script that does not end lets Redis take WATCH, and refuse what follows.
func TestAWatchGoesWithItsCommit(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	ctx := t.Context()
	s, other := open(t, srv), open(t, srv)
	must[[]wire.CommitResult](t)(other.Commit(ctx, 0, []wire.Commit{aCommit("r", 0)}))
	srv.Do(t, "CONFIG", "SET", "busy-reply-threshold", "1")
	var slow sync.WaitGroup
	slow.Go(func() { _ = other.Client().Eval(context.WithoutCancel(ctx), "while true do end", nil).Err() })
	redistest.Until(t, "Redis is busy", func() bool { return redisstore.Class(s.Client().Exists(ctx, "orchis:meta").Err()) == "busy" })
	_, err := s.Commit(ctx, 0, []wire.Commit{{Run: "r", Version: 1}})
	if err == nil || !strings.Contains(err.Error(), "BUSY") {
		t.Errorf("the commit gives %v", err)
	}
	srv.Do(t, "SCRIPT", "KILL")
	slow.Wait()
	if list := srv.Do(t, "CLIENT", "LIST"); strings.Contains(list, " watch=1 ") {
		t.Errorf("somebody still watches:\n%s", list)
	}
	must[[]wire.CommitResult](t)(other.Commit(ctx, 0, []wire.Commit{{Run: "r", Version: 1}}))
	var answers sync.WaitGroup
	for range 40 { // more than there are connections for pipelines
		answers.Go(func() {
			if err := s.AnswerControl(ctx, wire.AnswerTo{Entry: "1-1", Answer: wire.Answer{State: wire.Accepted, Run: "r"}}, time.Minute); err != nil {
				t.Errorf("an answer gives %v", err)
			}
		})
	}
	answers.Wait()
}
