package redisstore_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// afterCommit does something once, when a commit has been answered.
type afterCommit struct {
	between

	armed   atomic.Bool
	watched func() // what to do after the watch, if anything
}

// ProcessPipelineHook does it before the answer is told.
func (a *afterCommit) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() != "multi" || !a.armed.CompareAndSwap(true, false) {
			return next(ctx, cmds)
		}
		for i, c := range cmds { // EXEC, then the watch: others may come between
			if c.Name() == "exec" {
				err := next(ctx, cmds[:i+1])
				a.do()
				if i+1 == len(cmds) {
					return err
				}
				if a.watched == nil {
					return errors.Join(err, next(ctx, cmds[i+1:]))
				}
				err = errors.Join(err, next(ctx, cmds[i+1:i+2]))
				a.watched()
				return errors.Join(err, next(ctx, cmds[i+2:]))
			}
		}
		return next(ctx, cmds)
	}
}

// TestBetweenACommitAndItsWatch: who changes a run after our commit, and before
// the mark is watched again, is noticed too.
func TestBetweenACommitAndItsWatch(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	hook := &afterCommit{}
	s, other, r := driving(t, srv, hook)
	hook.do = func() {
		must[[]wire.CommitResult](t)(other.Commit(t.Context(), 0, []wire.Commit{change(r, 4, "theirs")}))
	}
	hook.armed.Store(true)
	if res := must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, []wire.Commit{change(r, 3, "ours")})); res[0].Err != nil {
		t.Fatal(res[0].Err)
	}
	res := must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, []wire.Commit{change(r, 4, "ours")}))
	stored := must[*wire.Stored](t)(s.Load(t.Context(), r))
	if !errors.Is(res[0].Err, wire.ErrConflict) || stored.Outputs["a"] != `"theirs"` {
		t.Errorf("the commit gives %+v, stored is %+v", res, stored)
	}
}

// TestBornBeforeTheWatch: a run that we created, and of which we hear late, is
// known only if the mark has been watched all the time since.
func TestBornBeforeTheWatch(t *testing.T) {
	t.Parallel()
	for name, watched := range map[string]bool{"a watch begins": false, "a watch is lost and begins again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Real(t)
			hook := &afterCommit{}
			s, other := open(t, srv), open(t, srv)
			s.Client().AddHook(hook)
			must[[]wire.CommitResult](t)(other.Commit(t.Context(), 0, []wire.Commit{change("r", 0, "theirs")}))
			for v := range int64(2) {
				if watched {
					must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, []wire.Commit{change(beside("mine"), v, "ours")}))
				}
			}
			hook.do = func() { // the child is there; somebody changes it, then we watch, then we hear of it
				must[[]wire.CommitResult](t)(other.Commit(t.Context(), 0, []wire.Commit{change(beside("child"), 1, "theirs")}))
				must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, []wire.Commit{change("r", 1, "ours")}))
			}
			hook.armed.Store(true)
			must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, []wire.Commit{change(beside("child"), 0, "ours")}))
			isTheirs(t, s)
		})
	}
}

// isTheirs expects that the child, in which somebody else was faster, is not
// taken for ours.
func isTheirs(t *testing.T, s *redisstore.Store) {
	t.Helper()
	res := must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, []wire.Commit{change(beside("child"), 1, "ours")}))
	stored := must[*wire.Stored](t)(s.Load(t.Context(), beside("child")))
	if !errors.Is(res[0].Err, wire.ErrConflict) || stored.Outputs["a"] != `"theirs"` {
		t.Errorf("the commit gives %+v, stored is %+v", res, stored)
	}
}

// TestBornBeforeTheWatchWithinACommit: the run is created, and changed by
// somebody else, while the commit that begins to watch is on its way.
func TestBornBeforeTheWatchWithinACommit(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	s, other := open(t, srv), open(t, srv)
	must[[]wire.CommitResult](t)(other.Commit(t.Context(), 0, []wire.Commit{change("r", 0, "theirs")}))
	changed, kept, born := make(chan struct{}), make(chan struct{}), make(chan struct{})
	created := &afterCommit{}
	created.do = func() {
		must[[]wire.CommitResult](t)(other.Commit(t.Context(), 0, []wire.Commit{change(beside("child"), 1, "theirs")}))
		close(changed)
		<-kept
	}
	seen := &between{do: func() {
		created.armed.Store(true)
		go func() {
			defer close(born)
			if _, err := s.Commit(t.Context(), 0, []wire.Commit{change(beside("child"), 0, "ours")}); err != nil {
				t.Errorf("the creation gives %v", err)
			}
		}()
		<-changed
	}}
	seen.left.Store(1)
	s.Client().AddHook(seen)
	s.Client().AddHook(created)
	must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, []wire.Commit{change("r", 1, "ours")}))
	close(kept)
	select {
	case <-born:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was created within the commit")
	}
	isTheirs(t, s)
}
