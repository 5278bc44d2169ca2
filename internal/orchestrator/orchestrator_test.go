package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const diamond = `
jobs:
  a: {job: work, inputs: {n: 1}}
  b: {job: work, iterate: {from: 1, to: 20}, inputs: {n: "${iterate.item + a.n}"}}
  c: {job: work, dependsOn: [a]}
  d: {job: work, dependsOn: [b, c], inputs: {sum: "${sum(map(b, x, x.n))}"}}
outputs: ${d.sum}
`

func TestManyRunsOnManyProcesses(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		for n := range 2 {
			s.start(s.orchestrator(fmt.Sprint("o", n)).Run)
		}
		for n := range 3 {
			s.worker(fmt.Sprint("w", n))
		}
		var ids []string
		for range 20 {
			ids = append(ids, s.submit(diamond))
		}
		for _, id := range ids {
			if r := s.ended(id, run.Succeeded); string(r.Outputs) != "230" {
				t.Errorf("outputs are %s", r.Outputs)
			}
		}
		s.quiet()
	})
}

// TestTwoOwnersDoNoHarm lets two orchestrators step the same runs at the same
// time, each believing that the partition is its own. No report may be taken
// for stale because one of them does not know yet what the other has published:
// then the job would have to run again.
func TestTwoOwnersDoNoHarm(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		s.lease = 5 * time.Second
		s.worker("w")
		for n := range 2 {
			o := s.orchestrator(fmt.Sprint("o", n))
			part := newPartition(o, 0)
			s.start(func(ctx context.Context) error {
				defer func() { _ = o.loader.Close() }()
				return o.forever(ctx, "drive runs", func(ctx context.Context) error {
					o.mu.Lock()
					o.owned[0] = true
					o.mu.Unlock()
					part.renewed = time.Now()
					return part.round(ctx)
				})
			})
			if n == 0 {
				s.start(func(ctx context.Context) error { return o.forever(ctx, "take submissions", o.submissions) })
			}
		}
		var ids []string
		for range 10 {
			ids = append(ids, s.submit(diamond))
		}
		for _, id := range ids {
			s.ended(id, run.Succeeded)
		}
		s.quiet()
		s.calls.Range(func(task, n any) bool {
			if got := n.(*atomic.Int64).Load(); got != 1 {
				t.Errorf("%s ran %d times", task, got)
			}
			return true
		})
	})
}

func TestALostWorkersTaskRunsElsewhere(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		s.start(s.orchestrator("o").Run)
		id := s.submit("jobs: {a: {job: work}}")
		s.until("a worker that dies has the ticket", func() bool {
			got, err := s.store.ReadTickets(t.Context(), 0, []string{"default"}, "dead", 1, 0)
			if err != nil {
				t.Fatal(err)
			}
			return len(got) == 1
		})
		s.worker("w")
		s.ended(id, run.Succeeded)
		tasks, err := s.store.Tasks(t.Context(), id)
		if err != nil || len(tasks) != 1 || tasks[0].Losses != 1 || tasks[0].Failures != 0 || tasks[0].Attempt != 2 {
			t.Errorf("tasks are %+v, %v", tasks, err)
		}
		s.quiet()
	})
}

func TestAnOrchestratorGoesOnWhereItsPredecessorDied(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		s.lease = 5 * time.Second // a lost report would come to light only then
		stop := s.start(s.orchestrator("o1").Run)
		id := s.submit("jobs: {a: {job: work}, b: {job: work, dependsOn: [a]}}")
		stop()
		// Another one reads the report of a and dies before it commits.
		if has, err := s.store.Own(t.Context(), 0, "o2", time.Millisecond); err != nil || !has {
			t.Fatal(has, err)
		}
		s.worker("w")
		s.until("the report was read", func() bool {
			got, err := s.store.ReadEvents(t.Context(), 0, "o2", 10, 0)
			if err != nil {
				t.Fatal(err)
			}
			return len(got) > 0
		})
		s.start(s.orchestrator("o3").Run)
		s.ended(id, run.Succeeded)
		n, _ := s.calls.Load(id + "/a")
		if got := n.(*atomic.Int64).Load(); got != 1 {
			t.Errorf("the job whose report was left behind ran %d times", got)
		}
		s.quiet()
	})
}

func TestAnEventThatCannotBeProcessedFailsItsRun(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		stop := s.start(s.orchestrator("o1").Run)
		bad, good := s.submit("jobs: {a: {job: work}}"), s.submit("jobs: {b: {job: work}}")
		stop()
		// The record of a task is damaged.
		version := func() int64 {
			r, err := s.store.Run(t.Context(), bad)
			if err != nil {
				t.Fatal(err)
			}
			return r.Version
		}
		if res, err := s.store.Commit(t.Context(), 0, []wire.Commit{{Run: bad, Version: version(), Fields: []string{"state", "running"}, Tasks: []string{"a", "{"}}}); err != nil || res[0].Err != nil {
			t.Fatal(res, err)
		}
		s.worker("w")
		s.start(s.orchestrator("o2").Run)
		s.ended(good, run.Succeeded)
		r := s.ended(bad, run.Failed)
		if r.Error == nil || r.Error.Code != run.CodeInternal {
			t.Errorf("error is %v", r.Error)
		}
	})
}

func TestTimersFire(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		s.start(s.orchestrator("o").Run)
		waiting := s.submit("jobs: {a: {job: work, queueTimeout: 50ms, retries: 0}}")
		if r := s.ended(waiting, run.Failed); r.Error.Task != "a" {
			t.Errorf("error is %+v", r.Error)
		}
		s.worker("w")
		slow := s.submit("timeout: 100ms\njobs: {a: {job: wait}}")
		if r := s.ended(slow, run.Failed); r.Error.Code != run.CodeTimeout {
			t.Errorf("error is %+v", r.Error)
		}
		again := s.submit("jobs: {a: {job: fail, retries: {max: 2, delay: 10ms}}}")
		s.ended(again, run.Failed)
		tasks, err := s.store.Tasks(t.Context(), again)
		if err != nil || len(tasks) != 1 || tasks[0].Attempt != 3 || tasks[0].Failures != 3 {
			t.Errorf("tasks are %+v, %v", tasks, err)
		}
		s.quiet()
	})
}

func TestACancelStopsARun(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		s.start(s.orchestrator("o").Run)
		s.worker("w")
		id := s.submit("jobs: {a: {job: wait}, b: {job: work, dependsOn: [a]}, clean: {job: work, dependsOn: [a], if: always()}}")
		if _, err := s.store.SendControl(t.Context(), wire.Control{Op: "cancel", Run: id, By: "ann", Reason: "enough"}); err != nil {
			t.Fatal(err)
		}
		r := s.ended(id, run.Cancelled)
		if r.Error.Message != "cancelled by ann: enough" || r.Counts.Succeeded != 1 || r.Counts.Cancelled != 2 {
			t.Errorf("run is %+v, %v", r.Counts, r.Error)
		}
		s.quiet()
	})
}

func TestOldRunsAreDeletedWithAllTheirKeys(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		o := s.orchestrator("o")
		s.start(o.Run)
		s.worker("w")
		var ids []string
		for range 3 {
			id := s.submit("jobs: {a: {job: work}}")
			s.ended(id, run.Succeeded)
			ids = append(ids, id)
		}
		o2 := s.orchestrator("o2")
		defer func() { _ = o2.loader.Close() }()
		o2.cfg.RetentionCount = 1
		o2.owned[0] = true
		if err := o2.retire(t.Context()); err != nil {
			t.Fatal(err)
		}
		for n, id := range ids {
			if _, err := s.store.Run(t.Context(), id); errors.Is(err, wire.ErrNotFound) != (n < 2) {
				t.Errorf("run %d: %v", n, err)
			}
		}
		runs, err := s.store.ListRuns(t.Context(), redisstore.ListQuery{})
		if err != nil || len(runs) != 1 {
			t.Errorf("runs are %+v, %v", runs, err)
		}
	})
}

func TestTheSameIDGivesTheSameRun(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		for n := range 2 {
			s.start(s.orchestrator(fmt.Sprint("o", n)).Run)
		}
		s.worker("w")
		var entries []string
		for range 20 {
			entry, err := s.store.Submit(t.Context(), wire.Submission{ID: "mine", Definition: "jobs: {a: {job: work}}", Inputs: json.RawMessage("{}")})
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, entry)
		}
		for _, entry := range entries {
			s.until("all are answered", func() bool {
				a, err := s.store.Answer(t.Context(), entry)
				return err == nil && a.Run == "mine"
			})
		}
		s.ended("mine", run.Succeeded)
		n, _ := s.calls.Load("mine/a")
		if got := n.(*atomic.Int64).Load(); got != 1 {
			t.Errorf("the job ran %d times", got)
		}
	})
}

func TestRunIDsFollowFromTheirSubmission(t *testing.T) {
	t.Parallel()
	if a, b := RunID("1795507905760-0"), RunID("1795507905760-0"); a != b || len(a) != 36 {
		t.Errorf("ids are %s and %s", a, b)
	}
	if RunID("1795507905760-0") == RunID("1795507905760-1") {
		t.Error("two submissions have one id")
	}
}

// refusing lets the first commit come to nothing.
type refusing struct {
	Store

	calls *atomic.Int64
}

// Commit refuses once.
func (r refusing) Commit(ctx context.Context, p int, changes []wire.Commit) ([]wire.CommitResult, error) {
	if r.calls.Add(1) > 1 {
		return r.Store.Commit(ctx, p, changes)
	}
	res := make([]wire.CommitResult, len(changes)) // as when a large value has expired
	for i := range res {
		res[i].Err = wire.ErrConflict
	}
	return res, nil
}

// TestNothingIsAcceptedThatIsNotThere: a refused creation is no run.
func TestNothingIsAcceptedThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Embedded(t))
	o, err := New(refusing{s.open(), &atomic.Int64{}}, s.config("o"), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	s.start(o.Run)
	id := s.submit("jobs: {a: {job: work}}")
	if _, err := s.store.Run(t.Context(), id); err != nil {
		t.Errorf("run %s was accepted: %v", id, err)
	}
}

// TestRegister_AnOrchestratorIsListedWhileItRuns and as stopped afterwards.
func TestRegister_AnOrchestratorIsListedWhileItRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Embedded(t))
	entry := func() wire.Orchestrator {
		all, err := s.store.Orchestrators(t.Context())
		if err != nil || len(all) > 1 {
			t.Fatal(all, err)
		}
		if len(all) == 0 {
			return wire.Orchestrator{}
		}
		return all[0]
	}
	stop := s.start(s.orchestrator("o").Run)
	s.until("the orchestrator is listed", func() bool { return entry().Name == "o" })
	if e := entry(); e.Stopped || e.PID == 0 || e.Started == 0 || !e.Alive(time.UnixMilli(e.Seen)) {
		t.Errorf("the entry is %+v", e)
	}
	stop()
	if e := entry(); !e.Stopped {
		t.Errorf("after its end the entry is %+v", e)
	}
}
