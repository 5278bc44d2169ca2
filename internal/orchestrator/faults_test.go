package orchestrator

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

const small = "jobs:\n  a: {job: work, inputs: {n: 2}}\n  b: {job: work, iterate: {from: 1, to: 3}, inputs: {n: \"${iterate.item * a.n}\"}}\n  c: {job: fail, retries: {max: 1, delay: 10ms}, continueOnError: true}\noutputs: \"${sum(map(b, x, x.n))}\"\n"

// TestAnyReplyMayBeLost runs the same flow again and again through a proxy that
// drops the first reply of the whole run, the second, the third and so on. With
// ORCHIS_FAULTS=all every reply is dropped once, else every seventh.
func TestAnyReplyMayBeLost(t *testing.T) {
	t.Parallel()
	const most = 160
	step := 7
	if os.Getenv("ORCHIS_FAULTS") == "all" {
		step = 1
	}
	for n := 1; n <= most; n += step {
		t.Run(fmt.Sprint("reply ", n), func(t *testing.T) {
			t.Parallel()
			srv := redistest.Real(t)
			direct := newSite(t, srv)
			p := redistest.DropReply(t, srv, n)
			through := srv
			through.URL = p.URL
			s := &site{t: t, srv: through, lease: 300 * time.Millisecond}
			entry, err := direct.store.Submit(t.Context(), wire.Submission{Definition: small})
			if err != nil {
				t.Fatal(err)
			}
			s.persist(s.driveRuns)
			s.persist(func(ctx context.Context) error { return s.newWorker("w").Run(ctx) })
			id := direct.accepted(entry)
			if r := direct.ended(id, run.Succeeded); string(r.Outputs) != "12" {
				t.Errorf("outputs are %s", r.Outputs)
			}
			direct.until("the reply was dropped", p.Dropped)
			direct.quiet()
		})
	}
}

// TestSilenceAloneTakesNothingAway: a worker that is heard of again after its
// lease has passed once keeps its work, as after a pause of Redis or a jump of
// its clock.
func TestSilenceAloneTakesNothingAway(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		o := s.orchestrator("o")
		defer func() { _ = o.loader.Close() }()
		o.owned[0] = true
		part := newPartition(o, 0)
		if err := s.store.Ensure(t.Context(), []string{"default"}); err != nil {
			t.Fatal(err)
		}
		ticket := wire.Ticket{Run: "r", Task: "a", Queue: "default", Fence: "p", Handler: "work"}
		if _, err := s.store.Commit(t.Context(), 0, []wire.Commit{{
			Run: "r", Fields: []string{"state", "running"}, Tickets: []wire.Ticket{ticket},
			Tasks: []string{"a", (&run.Task{State: run.TaskQueued, Fence: "p"}).Encode()},
		}}); err != nil {
			t.Fatal(err)
		}
		held, err := s.store.ReadTickets(t.Context(), 0, []string{"default"}, "w", 1, 0)
		if err != nil || len(held) != 1 {
			t.Fatal(held, err)
		}
		silent := func() {
			s.until("the ticket has been silent for a lease", func() bool {
				got, err := s.store.PendingTickets(t.Context(), 0, []wire.Stream{{Queue: "default", Priority: wire.Normal}}, s.lease, 1)
				return err == nil && len(got) == 1
			})
		}
		look := func() int {
			if err := part.reap(t.Context()); err != nil {
				t.Fatal(err)
			}
			events, err := s.store.ReadEvents(t.Context(), 0, "test", 10, 0)
			if err != nil {
				t.Fatal(err)
			}
			return len(events)
		}
		silent()
		if n := look(); n != 0 {
			t.Errorf("%d events at first sight", n)
		}
		if _, err := s.store.Heartbeat(t.Context(), "w", held); err != nil {
			t.Fatal(err)
		}
		if n := look(); n != 0 {
			t.Errorf("%d events after a sign of life", n)
		}
		silent()
		if n := look(); n != 0 {
			t.Errorf("%d events at the first sight of the second silence", n)
		}
		if n := look(); n != 1 {
			t.Errorf("%d events when it stays silent", n)
		}
	})
}
