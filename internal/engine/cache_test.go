package engine

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orchis-run/orchis/internal/event"
)

// TestAResultIsKeptByTheVersionThatMadeIt, and found by the same question as
// before by a handler that has none.
func TestAResultIsKeptByTheVersionThatMadeIt(t *testing.T) {
	t.Parallel()
	p := compile(t, []txtar.File{{Name: "flows/a.yaml", Data: []byte("jobs: {a: {job: cut, cache: true, inputs: {n: 1}}}\n")}}, Limits{})
	for _, version := range []string{"", "1", "2"} {
		r := New(p, Create{ID: "r", Now: 1})
		fx := r.Step(1, 1, Event{Kind: event.Start})
		if len(fx.Queries) != 1 || fx.Queries[0].Handler != "cut" {
			t.Fatalf("asked is %+v", fx.Queries)
		}
		ask := fx.Queries[0]
		fx = r.Step(2, 2, Event{Kind: event.Answered, Task: "a", Fence: ask.Query})
		if len(fx.Tickets) != 1 {
			t.Fatalf("tickets are %+v", fx.Tickets)
		}
		fx = r.Step(3, 3, Event{Kind: event.Succeeded, Task: "a", Fence: fx.Tickets[0].Fence, Result: []byte("1"), Version: version})
		if len(fx.CachePuts) != 1 || fx.CachePuts[0].Key != CacheKey(ask.Key, version) || fx.CachePuts[0].Version != version {
			t.Errorf("kept of version %q is %+v", version, fx.CachePuts)
		}
		if same := fx.CachePuts[0].Key == ask.Key; same != (version == "") {
			t.Errorf("of version %q the key is %s, asked for was %s", version, fx.CachePuts[0].Key, ask.Key)
		}
	}
}

// TestNoTwoVersionsShareAResult, whatever their names are.
func TestNoTwoVersionsShareAResult(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringMatching("[0-9a-f]{8}")
		a, b := key.Draw(t, "a"), key.Draw(t, "b")
		v, w := rapid.String().Draw(t, "v"), rapid.String().Draw(t, "w")
		if same := CacheKey(a, v) == CacheKey(b, w); same != (a == b && v == w) {
			t.Fatalf("CacheKey(%q, %q) and CacheKey(%q, %q): same is %v", a, v, b, w, same)
		}
	})
}
