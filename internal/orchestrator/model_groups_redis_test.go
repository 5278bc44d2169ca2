package orchestrator

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// TestGroupsAreAsInRedis asks the model and a Redis the same, at random.
func TestGroupsAreAsInRedis(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		store, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL, Prefix: srv.Prefix})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		r := rand.New(rand.NewPCG(7, 7))
		now := int64(1_700_000_000_000)
		m := newModel(func() int64 { return now })
		same := cmpopts.EquateEmpty()
		for n := range 600 {
			now += int64(r.IntN(50))
			group := fmt.Sprintf("g%d", r.IntN(2))
			who := wire.Member{Run: fmt.Sprintf("r%d", r.IntN(6)), Task: "a/b[1]", Ask: "x"}
			var want, got wire.GroupReply
			what := "free"
			if r.IntN(2) == 0 {
				q := wire.GroupAsk{Group: group, Member: who, Limit: 1 + r.IntN(2), Priority: r.IntN(10), Mode: []string{"queue", "queue", "skip", "fail", "cancelOldest"}[r.IntN(5)], Now: now}
				what = fmt.Sprintf("ask %+v", q)
				want = m.askGroup(q)
				got, err = store.AskGroup(t.Context(), q)
			} else {
				until := int64(0)
				if r.IntN(8) == 0 {
					until = now + int64(r.IntN(200))
				}
				want = m.freeGroup(group, who, now, until)
				got, err = store.FreeGroup(t.Context(), group, who, now, until)
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, same); diff != "" {
				t.Fatalf("step %d, %s (-model +Redis):\n%s", n, what, diff)
			}
			there, err := store.Group(t.Context(), group)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(m.group(group), there, same, cmpopts.IgnoreFields(wire.Group{}, "Limit", "Until")); diff != "" {
				t.Fatalf("step %d, group %s after %s (-model +Redis):\n%s", n, group, what, diff)
			}
		}
	})
}

// TestABucketGivesItsTokensInTime: a burst of the whole bucket, and then one for
// each that has come; what is reserved for later goes to one alone.
func TestABucketGivesItsTokensInTime(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		store, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL, Prefix: srv.Prefix})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		now := int64(1_700_000_000_000)
		var got []int64
		for range 6 {
			at, err := store.TakeRate(t.Context(), "api", 3, 30*time.Second, now)
			if err != nil {
				t.Fatal(err)
			}
			if at > 0 {
				at -= now
			}
			got = append(got, at)
		}
		if diff := cmp.Diff([]int64{0, 0, 0, 10_000, 20_000, 30_000}, got); diff != "" {
			t.Errorf("tokens (-want +got):\n%s", diff)
		}
		if err := store.HoldRate(t.Context(), "api", 3, 30*time.Second, now, now+100_000); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int64{100_000, 110_000} {
			if at, err := store.TakeRate(t.Context(), "api", 3, 30*time.Second, now); err != nil || at-now != want {
				t.Errorf("after a pause the next token is for %d, want %d (%v)", at-now, want, err)
			}
		}
	})
}
