package orchestrator

import (
	"strconv"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// TestOrphanedTicket_IsDeleted: the tasks' records are deleted while no
// orchestrator knows the run, so its task is published a second time. No worker
// takes the first ticket.
func TestOrphanedTicket_IsDeleted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		stop := s.start(s.orchestrator("o1").Run)
		id := s.submit("jobs: {a: {job: work}}")
		stop()
		srv.Do(t, "DEL", "orchis:{0}:run:"+id+":tasks")
		orphan, err := s.store.ScanTickets(t.Context(), 0, wire.Stream{Queue: "default", Priority: wire.Normal}, "", 10)
		if err != nil || len(orphan) != 1 {
			t.Fatal(orphan, err)
		}
		s.start(s.orchestrator("o2").Run)
		s.until("the task has one ticket, another one", func() bool {
			got, err := s.store.ScanTickets(t.Context(), 0, wire.Stream{Queue: "default", Priority: wire.Normal}, "", 10)
			return err == nil && len(got) == 1 && got[0].Fence != orphan[0].Fence
		})
		s.worker("w")
		s.ended(id, run.Succeeded)
		s.quiet()
	})
}

// TestOrphanedTickets_BehindOthers: the search continues behind tickets that are
// waited for.
func TestOrphanedTickets_BehindOthers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		s.start(s.orchestrator("o").Run)
		s.send("r", "jobs: {a: {job: work, iterate: {from: 1, to: 90}, parallelism: 90, inputs: {n: 1}}}")
		waiting := func() int {
			n, err := strconv.Atoi(srv.Do(t, "XLEN", "orchis:{0}:tickets:default"))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		s.until("all items wait for a worker", func() bool { return waiting() == 90 })
		old := wire.Ticket{Run: "gone", Task: "a", Queue: "default", Fence: "0000000000000000", Handler: "work", Attempt: 1}
		if _, err := s.store.AddTicket(t.Context(), 0, "default", old.Fields(wire.Keys{})); err != nil {
			t.Fatal(err)
		}
		s.until("the orphan is deleted and no other", func() bool { return waiting() == 90 })
		s.worker("w")
		s.ended("r", run.Succeeded)
		s.quiet()
	})
}
