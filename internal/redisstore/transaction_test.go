package redisstore_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// between does something, once, between the two halves of a commit.
type between struct {
	do   func()
	done atomic.Bool
}

// DialHook changes nothing.
func (*between) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook changes nothing.
func (*between) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook does it after the half that reads.
func (b *between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if cmds[0].Name() == "watch" && b.done.CompareAndSwap(false, true) {
			b.do()
		}
		return err
	}
}

// interfere opens a store whose first commit meets somebody else, on a run that
// has been committed once.
func interfere(t *testing.T, srv redistest.Server, do func(other *redisstore.Store, r string)) (*redisstore.Store, string) {
	t.Helper()
	s, other := open(t, srv), open(t, srv)
	r := runOf(s, "r")
	must[[]wire.CommitResult](t)(other.Commit(t.Context(), 0, []wire.Commit{aCommit(r, 0)}))
	hook := &between{do: func() { do(other, r) }}
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
		s, r := interfere(t, srv, func(other *redisstore.Store, r string) {
			must[[]wire.CommitResult](t)(other.Commit(ctx, 0, []wire.Commit{{Run: r, Version: 1, Outputs: []string{"b", "theirs"}}}))
		})
		free := runOf(s, "free")
		res := must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{{Run: r, Version: 1, Outputs: []string{"b", "ours"}}, aCommit(free, 0)}))
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
	s, r := interfere(t, srv, func(other *redisstore.Store, r string) {
		must[[]wire.CommitResult](t)(other.Commit(ctx, 0, []wire.Commit{{Run: r, Version: 1, Outputs: []string{"b", "theirs"}}}))
		ok(t, other.Client().Do(ctx, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	})
	if res, err := s.Commit(ctx, 0, []wire.Commit{{Run: r, Version: 1, Outputs: []string{"b", "ours"}}}); !redisstore.IsRetryable(err) {
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
