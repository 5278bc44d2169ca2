package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// trips notes the first command of each pipeline.
type trips struct {
	between

	first []string
}

// ProcessPipelineHook notes it.
func (t *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		t.first = append(t.first, cmds[0].Name())
		return next(ctx, cmds)
	}
}

// change is a commit with a ticket and a result.
func change(r string, version int64, text string) wire.Commit {
	return wire.Commit{
		Run: r, Version: version, Fields: []string{"counts", fmt.Sprintf(`{"queued":%d}`, version)}, Tasks: []string{"a", "{}"}, Outputs: []wire.Output{{Task: "a", Value: []byte(`"` + text + `"`)}},
		Log: []byte(`[]`), Tickets: []wire.Ticket{{Run: r, Task: "a", Fence: "p", Attempt: 1, Handler: "noop", Queue: "default", Priority: wire.Normal}},
	}
}

// beside is a name for a run on the same side as "r".
func beside(name string) string {
	for wire.Side(name) != wire.Side("r") {
		name += "."
	}
	return name
}

// driving is a store that has committed a run three times and so knows it, and
// another.
func driving(t *testing.T, srv redistest.Server, hooks ...redis.Hook) (s, other *redisstore.Store, r string) {
	t.Helper()
	s, other = open(t, srv), open(t, srv)
	for _, h := range hooks { // a connection has those of when it was taken
		s.Client().AddHook(h)
	}
	r = runOf(s, "r")
	for v := range int64(3) {
		if res := must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, []wire.Commit{change(r, v, "ours")})); res[0].Err != nil {
			t.Fatal(res[0].Err)
		}
	}
	return s, other, r
}

// TestWhoDrivesAloneAsksForNothing: a commit is one round trip, also of a run
// that was created since, here or by somebody else.
func TestWhoDrivesAloneAsksForNothing(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	hook := &trips{}
	s, other, r := driving(t, srv, hook)
	hook.first = nil
	commit := func(c ...wire.Commit) {
		t.Helper()
		for _, res := range must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, c)) {
			if res.Err != nil {
				t.Errorf("the result is %v", res.Err)
			}
		}
	}
	commit(change(r, 3, "ours"))
	commit(aCommit(beside("new"), 0))
	must[[]wire.CommitResult](t)(other.Commit(t.Context(), 0, []wire.Commit{aCommit(beside("theirs"), 0)}))
	commit(change(r, 4, "ours"), change(beside("new"), 1, "ours"))
	if want := []string{"multi", "watch", "multi", "multi"}; fmt.Sprint(hook.first) != fmt.Sprint(want) {
		t.Errorf("the round trips were %v, want %v", hook.first, want)
	}
	commit(change(beside("theirs"), 1, "ours"))
	commit(change(beside("theirs"), 2, "ours"))
	if want := []string{"watch", "multi", "multi"}; fmt.Sprint(hook.first[4:]) != fmt.Sprint(want) {
		t.Errorf("the round trips for a run of somebody else's were %v, want %v", hook.first[4:], want)
	}
}

// TestWhoDrivesNoticesOthers: whatever somebody else has done since our last
// commit, we write nothing on top of what we have not seen.
func TestWhoDrivesNoticesOthers(t *testing.T) {
	t.Parallel()
	gone := func(t *testing.T, s *redisstore.Store, r string) {
		t.Helper()
		if keys := must[[]string](t)(s.Client().Keys(t.Context(), "*:run:"+r+"*").Result()); len(keys) > 0 {
			t.Errorf("left of the run is %v", keys)
		}
		if n := must[int64](t)(s.Client().XLen(t.Context(), "orchis:{0}:tickets:default").Result()); n > 3 {
			t.Errorf("%d tickets are there", n)
		}
	}
	for name, c := range map[string]struct {
		do   func(t *testing.T, other *redisstore.Store, r string)
		want error
		then func(t *testing.T, s *redisstore.Store, r string)
	}{
		"changed the run": {
			do: func(t *testing.T, other *redisstore.Store, r string) {
				t.Helper()
				must[[]wire.CommitResult](t)(other.Commit(t.Context(), 0, []wire.Commit{change(r, 3, "theirs")}))
			},
			want: wire.ErrConflict,
			then: func(t *testing.T, s *redisstore.Store, r string) {
				t.Helper()
				if stored := must[*wire.Stored](t)(s.Load(t.Context(), r)); stored.Outputs["a"] != `"theirs"` || stored.Run["version"] != "4" {
					t.Errorf("stored is %+v", stored)
				}
			},
		},
		"changed other runs": {do: func(t *testing.T, other *redisstore.Store, _ string) {
			t.Helper()
			for v := range int64(2) {
				must[[]wire.CommitResult](t)(other.Commit(t.Context(), 0, []wire.Commit{change(beside("else"), v, "theirs"), change("r1", v, "theirs")}))
			}
		}},
		"deleted the run": {
			do: func(t *testing.T, other *redisstore.Store, r string) {
				t.Helper()
				ok(t, other.DeleteRuns(t.Context(), 0, []string{r}))
			},
			want: wire.ErrConflict, then: gone,
		},
		"deleted the run and began it anew": {
			do: func(t *testing.T, other *redisstore.Store, r string) {
				t.Helper()
				ok(t, other.DeleteRuns(t.Context(), 0, []string{r}))
				must[[]wire.CommitResult](t)(other.Commit(t.Context(), 0, []wire.Commit{change(r, 0, "theirs")}))
			},
			want: wire.ErrConflict,
			then: func(t *testing.T, s *redisstore.Store, r string) {
				t.Helper()
				if stored := must[*wire.Stored](t)(s.Load(t.Context(), r)); stored.Outputs["a"] != `"theirs"` || stored.Run["version"] != "1" {
					t.Errorf("stored is %+v", stored)
				}
			},
		},
		"deleted the run by hand": {
			do: func(t *testing.T, other *redisstore.Store, r string) {
				t.Helper()
				ok(t, other.Client().Del(t.Context(), "orchis:{0}:run:"+r).Err())
			},
			want: wire.ErrConflict, then: gone,
		},
		"emptied Redis": {
			do: func(t *testing.T, other *redisstore.Store, _ string) {
				t.Helper()
				c := redis.NewClient(other.Client().(*redis.Client).Options()) // what a store sends is held against the documents
				defer func() { _ = c.Close() }()
				ok(t, c.FlushAll(t.Context()).Err())
			},
			want: wire.ErrConflict, then: gone,
		},
		"put back an older mark": {do: func(t *testing.T, other *redisstore.Store, _ string) { // as a replica that is behind does
			t.Helper()
			ok(t, other.Client().Set(t.Context(), fmt.Sprint("orchis:{0}:mark:", wire.Side("r")), "older", 0).Err())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, other, r := driving(t, redistest.Real(t))
			c.do(t, other, r)
			res, err := s.Commit(t.Context(), 0, []wire.Commit{change(r, 3, "ours")})
			if err != nil || !errors.Is(res[0].Err, c.want) {
				t.Fatalf("the commit gives %+v, %v", res, err)
			}
			if c.then != nil {
				c.then(t, s, r)
				return
			}
			if stored := must[*wire.Stored](t)(s.Load(t.Context(), r)); stored.Outputs["a"] != `"ours"` || stored.Run["version"] != "4" {
				t.Errorf("stored is %+v", stored)
			}
		})
	}
}

// TestAWatchThatBreaks: with the connection goes what was known.
func TestAWatchThatBreaks(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	s, other, r := driving(t, srv)
	ok(t, other.Client().Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	must[[]wire.CommitResult](t)(other.Commit(t.Context(), 0, []wire.Commit{change(r, 3, "theirs")}))
	if res, err := s.Commit(t.Context(), 0, []wire.Commit{change(r, 3, "ours")}); !redisstore.IsRetryable(err) {
		t.Errorf("the commit gives %+v, %v", res, err)
	}
	res := must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, []wire.Commit{change(r, 3, "ours")}))
	if !errors.Is(res[0].Err, wire.ErrConflict) {
		t.Errorf("the commit after it gives %+v", res)
	}
}

// TestAWatchThatBrokeUnseen: a connection that was idle, and has been closed, is
// not what a commit fails for.
func TestAWatchThatBrokeUnseen(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	s, _, r := driving(t, srv)
	srv.Do(t, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	redisstore.Idle(s)
	for v := range int64(2) {
		if res := must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, []wire.Commit{change(r, 3+v, "ours")})); res[0].Err != nil {
			t.Errorf("the commit gives %+v", res)
		}
		redisstore.Idle(s)
	}
}

// TestAWatchThatIsRefused: when Redis does not take the watch behind a commit,
// and answers what follows it, nothing is known.
func TestAWatchThatIsRefused(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	hook := &afterCommit{}
	s, other, r := driving(t, srv, hook)
	permit := func(rule string) { srv.Do(t, "ACL", "SETUSER", "default", rule) }
	hook.do, hook.watched = func() { permit("-watch") }, func() { permit("+watch") }
	hook.armed.Store(true)
	if res := must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, []wire.Commit{change(r, 3, "ours")})); res[0].Err != nil {
		t.Fatal(res[0].Err)
	}
	must[[]wire.CommitResult](t)(other.Commit(t.Context(), 0, []wire.Commit{change(r, 4, "theirs")}))
	res := must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, []wire.Commit{change(r, 4, "ours")}))
	stored := must[*wire.Stored](t)(s.Load(t.Context(), r))
	if !errors.Is(res[0].Err, wire.ErrConflict) || stored.Outputs["a"] != `"theirs"` {
		t.Errorf("the commit gives %+v, stored is %+v", res, stored)
	}
}

// TestManyWhoDrive: of many who change the same runs, each change that counts
// was made on what was there.
func TestManyWhoDrive(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	const stores, rounds, runs = 3, 150, 4
	var counted [runs]atomic.Int64
	for i := range runs {
		must[[]wire.CommitResult](t)(open(t, srv).Commit(t.Context(), 0, []wire.Commit{{Run: fmt.Sprint("r", i), Outputs: []wire.Output{{Task: "n", Value: []byte("0")}}}}))
	}
	var all sync.WaitGroup
	for n := range stores {
		s := open(t, srv)
		for k := range 2 {
			all.Go(func() {
				r := rand.New(rand.NewPCG(uint64(n), uint64(k)))
				for i := range rounds {
					which := r.IntN(runs)
					id := fmt.Sprint("r", which)
					v, err := s.Version(t.Context(), id)
					if err != nil {
						t.Error(err)
						return
					}
					if i%10 == 0 {
						err = errors.Join(err, s.DeleteRuns(t.Context(), 0, []string{"nobody"}))
					}
					res, err2 := s.Commit(t.Context(), 0, []wire.Commit{{Run: id, Version: v, Outputs: []wire.Output{{Task: "n", Value: []byte(strconv.FormatInt(v, 10))}}}, {Run: fmt.Sprint("born", n, k, i)}})
					switch {
					case err2 != nil && strings.Contains(err2.Error(), "TRYAGAIN"):
					case errors.Join(err, err2) != nil:
						t.Error(err, err2)
						return
					case res[0].Err == nil:
						counted[which].Add(1)
					}
				}
			})
		}
	}
	all.Wait()
	s := open(t, srv)
	for i := range runs {
		stored := must[*wire.Stored](t)(s.Load(t.Context(), fmt.Sprint("r", i)))
		n := counted[i].Load()
		if stored.Run["version"] != strconv.FormatInt(n+1, 10) || stored.Outputs["n"] != strconv.FormatInt(n, 10) || n < 2 {
			t.Errorf("run %d: %d changes counted, stored is %v %v", i, n, stored.Run, stored.Outputs)
		}
	}
}
