package redisstore_test

import (
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// TestOrchestrators_TheNewestEntryStays: it says since when no orchestrator has
// been there.
func TestOrchestrators_TheNewestEntryStays(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		ok(t, s.ForgetOrchestrators(ctx, time.Now()))
		first := must[wire.Orchestrator](t)(s.PutOrchestrator(ctx, wire.Orchestrator{Name: "o1", Host: "h", PID: 7}))
		if first.Started == 0 || first.Started != first.Seen {
			t.Errorf("the first entry is %+v", first)
		}
		redistest.Until(t, "the clock of Redis goes on", func() bool {
			return must[time.Time](t)(s.Now(ctx)).UnixMilli() > first.Seen
		})
		second := must[wire.Orchestrator](t)(s.PutOrchestrator(ctx, wire.Orchestrator{Name: "o2", Stopped: true}))
		if all := must[[]wire.Orchestrator](t)(s.Orchestrators(ctx)); len(all) != 2 || all[0] != first || all[1] != second {
			t.Fatalf("the registry is %+v", all)
		}
		now := time.UnixMilli(second.Seen)
		if !first.Alive(now) || second.Alive(now) || first.Alive(now.Add(time.Minute)) {
			t.Error("an orchestrator is alive while it renews its entry and has not stopped")
		}
		ok(t, s.ForgetOrchestrators(ctx, now.Add(-time.Minute)))
		if all := must[[]wire.Orchestrator](t)(s.Orchestrators(ctx)); len(all) != 2 {
			t.Errorf("after a look at older ones the registry is %+v", all)
		}
		ok(t, s.ForgetOrchestrators(ctx, now.Add(time.Minute)))
		if all := must[[]wire.Orchestrator](t)(s.Orchestrators(ctx)); len(all) != 1 || all[0].Name != "o2" {
			t.Errorf("the registry is %+v, want the newest entry only", all)
		}
	})
}
