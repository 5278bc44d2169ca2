package redisstore_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// TestSeedsGoWithTheirRun: they are loaded with it, bytes and all, large ones
// too, and nothing is left of them when it is deleted.
func TestSeedsGoWithTheirRun(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		id := runOf(s, "r1")
		seeds := map[string]wire.Seed{
			"a":      {Digest: "d1", Run: "old", Result: json.RawMessage(`{"n":1,"t":"<a & b>"}`)},
			"b/c[3]": {Digest: "d2", Run: "older", Result: json.RawMessage(`"` + strings.Repeat("x", 65<<10) + `"`)},
		}
		for range 2 { // again is harmless
			ok(t, s.SaveSeeds(ctx, id, seeds))
		}
		must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{aCommit(id, 0)}))
		stored := must[*wire.Stored](t)(s.Load(ctx, id))
		if diff := cmp.Diff(seeds, stored.Seeds); diff != "" {
			t.Errorf("loaded (-want +got):\n%.500s", diff)
		}
		if kept, _ := redisstore.Blobs(s, 0); kept != 1 {
			t.Errorf("%d blobs are kept", kept)
		}
		ok(t, s.DeleteRuns(ctx, 0, []string{id}))
		if kept, _ := redisstore.Blobs(s, 0); kept != 0 {
			t.Errorf("%d blobs are kept after the run", kept)
		}
		must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{aCommit(id, 0)}))
		if stored := must[*wire.Stored](t)(s.Load(ctx, id)); len(stored.Seeds) != 0 {
			t.Errorf("seeds outlive their run: %v", stored.Seeds)
		}
	})
}

// TestCachedResultsStayUntilTheyExpireOrArePurged, in slots of their own.
func TestCachedResultsStayUntilTheyExpireOrArePurged(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		now := time.UnixMilli(1_000_000)
		one := wire.Cached{Key: "k1", Run: "r", Task: "a[0]", Handler: "h", At: 5, Result: json.RawMessage(`{"t":"<&>"}`), Expires: now.Add(time.Hour).UnixMilli()}
		two, over := one, one
		two.Key, over.Key, over.Expires = "k2", "k3", now.UnixMilli()
		for _, c := range []wire.Cached{one, two, over} {
			ok(t, s.CachePut(ctx, c, now))
		}
		got := must[wire.Cached](t)(s.CacheGet(ctx, "k1"))
		if diff := cmp.Diff(one, got); diff != "" {
			t.Errorf("looked up (-want +got):\n%s", diff)
		}
		if _, err := s.CacheGet(ctx, "k3"); !errors.Is(err, wire.ErrNotFound) {
			t.Errorf("one whose time is over gives %v", err)
		}
		if keys := must[[]string](t)(s.CacheKeys(ctx)); !cmp.Equal(keys, []string{"k1", "k2"}) {
			t.Errorf("keys are %v", keys)
		}
		if n := must[int64](t)(s.CachePurge(ctx, []string{"k1", "k9"})); n != 1 {
			t.Errorf("%d were deleted", n)
		}
		if _, err := s.CacheGet(ctx, "k1"); !errors.Is(err, wire.ErrNotFound) {
			t.Errorf("one that was purged gives %v", err)
		}
	})
}

// TestALargeAnswerTravelsAsABlob, as a large result does.
func TestALargeAnswerTravelsAsABlob(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		large := json.RawMessage(`"` + strings.Repeat("y", 65<<10) + `"`)
		ok(t, s.SendEvents(ctx, 0, []wire.Event{{Type: wire.Answered, Run: "r", Task: "a", Fence: "p", Granted: true, From: "old", Result: large}}))
		got := must[[]wire.Event](t)(s.ReadEvents(ctx, 0, "o", 10, 0))
		if len(got) != 1 || string(got[0].Result) != string(large) || got[0].From != "old" || !got[0].Granted {
			t.Errorf("%d events, of %d bytes", len(got), len(large))
		}
		if _, waiting := redisstore.Blobs(s, 0); waiting != 1 {
			t.Errorf("%d blobs wait", waiting)
		}
	})
}
