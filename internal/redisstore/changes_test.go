package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// logKey is where the log of a run of partition 0 stands.
func logKey(srv redistest.Server, id string) string {
	prefix := srv.Prefix
	if prefix == "" {
		prefix = "orchis"
	}
	return prefix + ":{0}:run:" + id + ":changes"
}

// written writes a log with entries of these versions, as commits of so many
// versions would, and returns its run.
func written(t *testing.T, s *redisstore.Store, srv redistest.Server, name string, version int, entries ...int) string {
	t.Helper()
	id := runOf(s, name)
	pipe := s.Client().Pipeline()
	for _, v := range entries {
		pipe.RPush(t.Context(), logKey(srv, id), fmt.Sprintf(`%d [%d,{"task":"t%d"}]`, v, v, v))
	}
	pipe.HSet(t.Context(), strings.TrimSuffix(logKey(srv, id), ":changes"), "state", "running", "version", version)
	_, err := pipe.Exec(t.Context())
	ok(t, err)
	return id
}

// upTo are the numbers from one to another, but for those that are left out.
func upTo(from, to int, without ...func(int) bool) (all []int) {
	for v := from; v <= to; v++ {
		if !slices.ContainsFunc(without, func(out func(int) bool) bool { return out(v) }) {
			all = append(all, v)
		}
	}
	return all
}

// pages reads a log to its end, and checks what each entry says.
func pages(t *testing.T, s *redisstore.Store, id, after string, count int) (versions []int) {
	t.Helper()
	for {
		got := must[[]wire.LogEntry](t)(s.Log(t.Context(), id, after, count, 0))
		if len(got) == 0 {
			return versions
		}
		if len(got) > count {
			t.Fatalf("%d entries, want %d", len(got), count)
		}
		for _, e := range got {
			v := must[int](t)(strconv.Atoi(e.ID))
			if len(e.Changes) != 1 || e.Changes[0].At != int64(v) || e.Changes[0].Task != "t"+e.ID || e.Changes[0].Attempt != 1 {
				t.Fatalf("entry %s is %+v", e.ID, e.Changes)
			}
			versions, after = append(versions, v), e.ID
		}
	}
}

// TestPagesOfALogLeaveNothingOut, wherever they begin, with commits that have no
// entry, in a log that was cut, and at most so many at once.
func TestPagesOfALogLeaveNothingOut(t *testing.T) {
	t.Parallel()
	between := func(from, to int) func(int) bool { return func(v int) bool { return v >= from && v <= to } }
	each := func(n int) func(int) bool { return func(v int) bool { return v%n == 0 } }
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s := open(t, srv)
		for name, test := range map[string]struct {
			version int
			entries []int
		}{
			"none":            {5, nil},
			"one":             {1, []int{1}},
			"one-of-many":     {1000, []int{500}},
			"all":             {250, upTo(1, 250)},
			"some":            {400, upTo(1, 390, each(3))},
			"few":             {2000, upTo(1, 2000, func(v int) bool { return v%97 > 0 })},
			"hole":            {900, upTo(1, 900, between(100, 700))},
			"begins-late":     {900, upTo(500, 900)},
			"cut":             {3000, upTo(2000, 2900)},
			"cut-with-a-hole": {3000, upTo(2000, 3000, between(2300, 2700), each(5))},
		} {
			id := written(t, s, srv, name, test.version, test.entries...)
			for _, count := range []int{1, 3, 100} {
				if count == 1 && len(test.entries) > 300 {
					continue
				}
				if got := pages(t, s, id, "", count); !slices.Equal(got, test.entries) {
					t.Errorf("%s by %d: %v", name, count, got)
				}
			}
			for after := 0; after <= test.version; after += max(1, test.version/61) {
				at, there := slices.BinarySearch(test.entries, after)
				if there {
					at++
				}
				want := test.entries[at:]
				want = want[:min(len(want), 7)]
				var got []int
				for _, e := range must[[]wire.LogEntry](t)(s.Log(t.Context(), id, strconv.Itoa(after), 7, 0)) {
					got = append(got, must[int](t)(strconv.Atoi(e.ID)))
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s after %d: %v, want %v", name, after, got, want)
				}
			}
		}
	})
}

func TestALogBeginsWhereItsReaderSays(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s := open(t, srv)
		id := written(t, s, srv, "r", 12, upTo(3, 10)...)
		for _, test := range []struct {
			after string
			first int // 0 is none, -1 an error
		}{
			{"", 3},
			{"0", 3},
			{"2", 3},
			{"3", 4},
			{"9", 10},
			{"0009", 10},
			{"10", 0},
			{"12", 0},
			// What the run has not come to: of older builds, of another life of Redis.
			{"13", 3},
			{"1795617317332", 3},
			{"99999999999999999999", 3},
			{"1795617317332-0", 3},
			{"5-1", 3},
			{"0-0", 3},
			{"x", -1},
			{"-", -1},
			{"5-", -1},
			{"-5", -1},
			{"5-x", -1},
			{"1-2-3", -1},
			{"$", -1},
			{"+", -1},
			{"1.5", -1},
			{" 5", -1},
			{"٣", -1},
		} {
			got, err := s.Log(t.Context(), id, test.after, 5, 0)
			first := 0
			switch {
			case err != nil:
				first = -1
			case len(got) > 0:
				first = must[int](t)(strconv.Atoi(got[0].ID))
			}
			if first != test.first {
				t.Errorf("after %q it begins with %d (%v), want %d", test.after, first, err, test.first)
			}
		}
		if got, err := s.Log(t.Context(), runOf(s, "nobody"), "5", 5, 0); err != nil || len(got) > 0 {
			t.Errorf("of no run there are %v, %v", got, err)
		}
		ok(t, s.Client().RPush(t.Context(), logKey(srv, id), "11 {").Err())
		if got, err := s.Log(t.Context(), id, "10", 5, 0); err == nil || !strings.Contains(err.Error(), "entry 11") {
			t.Errorf("a damaged entry is %v, %v", got, err)
		}
	})
}

// TestALongLogIsCut: not with each commit, and nobody reads it as a whole.
func TestALongLogIsCut(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		id := written(t, s, srv, "r", 10_998, upTo(1, 10_998)...)
		for _, step := range []struct{ version, length int64 }{{10_998, 10_999}, {10_999, 10_000}, {11_000, 10_001}} {
			c := wire.Commit{Run: id, Version: step.version, Log: fmt.Appendf(nil, `[%d,{"task":"t%d"}]`, step.version+1, step.version+1)}
			ok(t, must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{c}))[0].Err)
			if n := must[int64](t)(s.Client().LLen(ctx, logKey(srv, id)).Result()); n != step.length {
				t.Errorf("after version %d there are %d entries, want %d", step.version+1, n, step.length)
			}
		}
		var got []int
		took := count(t, srv, func(s *redisstore.Store) { got = pages(t, s, id, "5", 100) })
		if !slices.Equal(got, upTo(1001, 11_001)) {
			t.Errorf("%d entries from %v on", len(got), got[:min(3, len(got))])
		}
		if took.most > 201 || took.commands["LRANGE"] != 101 || took.commands["LINDEX"] != 102 {
			t.Errorf("a reply has %d elements, sent were %v", took.most, took.commands)
		}
	})
}

// cutting cuts a log before somebody reads what he has looked for.
type cutting struct {
	do func()
}

// DialHook changes nothing.
func (*cutting) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook does it once.
func (c *cutting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if do := c.do; cmd.Name() == "lrange" && do != nil {
			c.do = nil
			do()
		}
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook changes nothing.
func (*cutting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestALogThatIsCutMeanwhileIsReadWell: what was there before and after comes.
func TestALogThatIsCutMeanwhileIsReadWell(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, other, ctx := open(t, srv), open(t, srv), t.Context()
		hook := &cutting{}
		s.Client().AddHook(hook)
		for _, test := range []struct{ after, left, first int }{
			{100, 250, 101}, // the place moves
			{100, 150, 151}, // it is cut off itself
			{100, 3, 298},   // nothing is where it was
		} {
			id := written(t, s, srv, fmt.Sprint("r", test.left), 300, upTo(1, 300)...)
			hook.do = func() { ok(t, other.Client().LTrim(ctx, logKey(srv, id), int64(-test.left), -1).Err()) }
			got := must[[]wire.LogEntry](t)(s.Log(ctx, id, strconv.Itoa(test.after), 10, 0))
			if len(got) == 0 || got[0].ID != strconv.Itoa(test.first) {
				t.Errorf("cut to %d, after %d come %+v", test.left, test.after, got)
			}
		}
	})
}

func TestWhoWatchesALogWaits(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		r := runOf(s, "r")
		watch := func(after string, block time.Duration, do func()) ([]wire.LogEntry, time.Duration, error) {
			var side sync.WaitGroup
			side.Go(func() {
				<-time.After(30 * time.Millisecond)
				do()
			})
			defer side.Wait()
			begin := time.Now()
			got, err := s.Log(ctx, r, after, 10, block)
			return got, time.Since(begin), err
		}
		commit := func(c wire.Commit) {
			if res, err := s.Commit(context.WithoutCancel(ctx), 0, []wire.Commit{c}); err != nil || res[0].Err != nil {
				t.Errorf("the commit gives %v, %v", res, err)
			}
		}
		got, took, err := watch("", time.Minute, func() { commit(aCommit(r, 0)) })
		if err != nil || len(got) != 1 || got[0].ID != "1" || took > 10*time.Second {
			t.Errorf("who waits for a run gets %+v after %v, %v", got, took, err)
		}
		got, took, err = watch("1", 300*time.Millisecond, func() { commit(wire.Commit{Run: r, Version: 1}) })
		if err != nil || len(got) != 0 || took < 300*time.Millisecond {
			t.Errorf("of a commit that tells nothing there are %+v after %v, %v", got, took, err)
		}
		got, _, err = watch("1", time.Minute, func() { commit(aCommit(r, 2)) })
		if err != nil || len(got) != 1 || got[0].ID != "3" {
			t.Errorf("the next are %+v, %v", got, err)
		}
		got, took, err = watch("3", 300*time.Millisecond, func() {
			if err := s.DeleteRuns(ctx, 0, []string{r}); err != nil {
				t.Error(err)
			}
		})
		if err != nil || len(got) != 0 || took < 300*time.Millisecond {
			t.Errorf("of a run that is deleted there are %+v after %v, %v", got, took, err)
		}
		got, _, err = watch("3", time.Minute, func() { commit(aCommit(r, 0)) })
		if err != nil || len(got) != 1 || got[0].ID != "1" {
			t.Errorf("of one that begins again there are %+v, %v", got, err)
		}
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		if _, _, err := watch("1", time.Minute, stop); !errors.Is(err, context.Canceled) {
			t.Errorf("whose time is over gets %v", err)
		}
	})
}

// TestWatchingIsCheap: who waits asks for a number, ten times a second.
func TestWatchingIsCheap(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	id := written(t, open(t, srv), srv, "r", 300, upTo(1, 300)...)
	took := count(t, srv, func(s *redisstore.Store) {
		if got, err := s.Log(t.Context(), id, "300", 10, 500*time.Millisecond); err != nil || len(got) > 0 {
			t.Errorf("there are %v, %v", got, err)
		}
	})
	if n := took.commands["HGET"]; n < 3 || n > 12 || took.commands["LRANGE"] > 0 || took.commands["XREAD"] > 0 {
		t.Errorf("sent were %v", took.commands)
	}
}
