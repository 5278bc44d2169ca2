package redisstore_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// ended is a commit that ends a run at a time.
func ended(id string, at int64, files ...wire.Artifact) wire.Commit {
	rec := run.Run{State: run.Succeeded, Recipe: "r", Definition: "sha256:d", Inputs: []byte("{}"), Ended: at}
	return wire.Commit{Run: id, Fields: rec.Fields(), Digest: "sha256:d", Definition: []byte("{}"), Done: at, Artifacts: files}
}

func TestARetentionOfItsOwnGoesBeforeTheServers(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		plain, brief, long := runOf(s, "plain"), runOf(s, "brief"), runOf(s, "long")
		for id, keep := range map[string]int64{plain: 0, brief: 100, long: 10_000} {
			c := ended(id, 1000)
			c.RetainFor = keep
			must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{c}))
		}
		at := func(now, before int64, keep int) []string {
			return must[[]string](t)(s.EndedRuns(ctx, 0, time.UnixMilli(now), time.UnixMilli(before), keep, 10))
		}
		for _, test := range []struct {
			now, before int64
			keep        int
			want        []string
		}{
			{1050, 500, 10, nil},
			{1150, 500, 10, []string{brief}},
			{1050, 1000, 10, []string{plain, brief}[:1]},
			{20_000, 500, 10, []string{brief, long}},
		} {
			got := at(test.now, test.before, test.keep)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("at %d: %s", test.now, diff)
			}
		}
		ok(t, s.DeleteRuns(ctx, 0, []string{plain, brief}))
		if got := at(1150, 1000, 10); len(got) != 0 {
			t.Errorf("after the others are deleted: %v", got)
		}
		if got := at(1150, 1000, 0); !slices.Equal(got, []string{long}) {
			t.Errorf("beyond the count are %v", got)
		}
	})
}

func TestArtifactsAreHeldByRunsAndTimes(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		r1, r2 := runOf(s, "r1"), runOf(s, "r2")
		names := map[string]string{}
		digest := func(name string) string {
			d := strings.Repeat(name, 64)
			names[d] = name
			return d
		}
		made := func(name string, keep int64) wire.Artifact {
			return wire.Artifact{Digest: digest(name), Made: true, KeepFor: keep}
		}
		// a: of both runs; b: 100 ms; c: 1 s; d: taken over, then made for 100 ms;
		// e: made for 100 ms and passed on; f: nobody's.
		must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{
			ended(r1, 1000, made("a", 0), made("b", 100), made("c", 1000), wire.Artifact{Digest: digest("d")}, made("d", 100), made("e", 100), wire.Artifact{Digest: digest("e")}),
			ended(r2, 2000, wire.Artifact{Digest: digest("a")}),
		}))
		ok(t, s.KeepArtifacts(ctx, 0, "cache:x", time.UnixMilli(1500), []string{digest("b")}))
		digest("f")
		check := func(now int64, want string) {
			t.Helper()
			held := must[map[string]bool](t)(s.HeldArtifacts(ctx, slices.Collect(maps.Keys(names)), time.UnixMilli(now)))
			var got []string
			for d, is := range held {
				if is {
					got = append(got, names[d])
				}
			}
			slices.Sort(got)
			if s := strings.Join(got, ""); s != want {
				t.Errorf("at %d %q are held, want %q", now, s, want)
			}
		}
		check(1050, "abcde")
		check(1200, "abcd")
		ok(t, s.DeleteRuns(ctx, 0, []string{r1}))
		check(1200, "abc")
		check(1600, "ac")
		check(2100, "a")
		ok(t, s.DeleteRuns(ctx, 0, []string{r2}))
		check(2100, "")
	})
}
