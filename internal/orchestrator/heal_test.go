package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// gated is a run that waits for an approval while its other jobs go on.
const gated = `
jobs:
  gate: {approval: {message: Go}}
  a: {job: work, inputs: {n: 1}}
  b: {job: work, dependsOn: [a], inputs: {n: "${a.n}"}}
  again: {job: fail, retries: {max: 2, delay: 200ms, jitter: 0}, continueOnError: true}
  far: {job: work, queue: nobody, queueTimeout: 400ms, retries: 0, continueOnError: true}
  last: {job: work, dependsOn: {gate: finished, b: finished, again: finished, far: finished}, inputs: {n: 1}}
`

// send sends a submission and waits until it is a run.
func (s *site) send(id, definition string) {
	s.t.Helper()
	entry, err := s.store.Submit(s.t.Context(), wire.Submission{ID: id, Definition: definition})
	if err != nil {
		s.t.Fatal(err)
	}
	s.accepted(entry)
}

// taskIs waits until a task is in a state.
func (s *site) taskIs(id, task string, is func(run.Task) bool) {
	s.t.Helper()
	s.until(task+" of "+id+" is as it should be", func() bool {
		text, err := s.store.Task(s.t.Context(), id, task)
		if err != nil {
			return false
		}
		rec, err := run.ParseTask(task, text)
		return err == nil && is(rec)
	})
}

func (s *site) wish(c wire.Control) {
	s.t.Helper()
	if _, err := s.store.SendControl(s.t.Context(), c); err != nil {
		s.t.Fatal(err)
	}
}

// TestAnyKeyMayVanish deletes the keys of Redis, one kind at a time, while a run
// goes on: it comes to its end, and where its own records are gone it says so.
func TestAnyKeyMayVanish(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		for n, key := range []string{
			"submit", "control", "meta", "workers", "groups", "schedules", "paused",
			"{0}:events", "{0}:timers", "{0}:active", "{0}:owner", "{0}:queues", "{0}:dead", "{0}:done",
			"{0}:tickets:default", "{0}:tickets:nobody", "{0}:run:r:tasks", "{0}:run:r:outputs", "{0}:run:r:changes", "{0}:mark:0", "{0}:mark:1",
		} {
			t.Run(key, func(t *testing.T) {
				own := srv
				own.Prefix = fmt.Sprint("p", n)
				s := newSite(t, own)
				s.start(s.orchestrator("o").Run)
				s.worker("w")
				s.send("r", gated)
				srv.Do(t, "DEL", own.Prefix+":"+key)
				s.taskIs("r", "again", func(rec run.Task) bool { return rec.State.Final() })
				s.until("the run ends", func() bool {
					s.wish(wire.Control{Op: "approve", Run: "r", Job: "gate", By: "ann"})
					r, err := s.store.Run(t.Context(), "r")
					return err == nil && r.State.Final()
				})
				s.quiet()
			})
		}
	})
}

// TestARunWhoseDefinitionVanishedFails: nobody can go on with it, and it does
// not wait for ever.
func TestARunWhoseDefinitionVanishedFails(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		stop := s.start(s.orchestrator("o1").Run)
		id, idle := s.submit("jobs: {a: {job: work}}"), s.submit("jobs: {a: {approval: {message: Go}}}")
		stop()
		for _, run := range []string{id, idle} {
			r, err := s.store.Run(t.Context(), run)
			if err != nil {
				t.Fatal(err)
			}
			srv.Do(t, "DEL", "orchis:{0}:definition:"+r.Definition)
		}
		s.worker("w")
		s.start(s.orchestrator("o2").Run)
		for _, id := range []string{id, idle} {
			if r := s.ended(id, run.Failed); r.Error == nil || r.Error.Code != run.CodeInternal {
				t.Errorf("error is %v", r.Error)
			}
		}
	})
}

// TestHeal_AnEndedRunKeepsItsState when a late event arrives and its definition
// is deleted: the event cannot be processed, and nothing depends on it.
func TestHeal_AnEndedRunKeepsItsState(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		stop := s.start(s.orchestrator("o1").Run)
		id := s.submit("jobs: {a: {job: transform, inputs: {x: 1}}}")
		before := s.ended(id, run.Succeeded)
		stop()
		srv.Do(t, "DEL", "orchis:{0}:definition:"+before.Definition)
		if err := s.store.SendEvents(t.Context(), 0, []wire.Event{{Type: wire.Lost, Run: id, Task: "a", Fence: "0"}}); err != nil {
			t.Fatal(err)
		}
		s.start(s.orchestrator("o2").Run)
		s.until("the event is acknowledged", func() bool { return srv.Do(t, "XLEN", "orchis:{0}:events") == "0" })
		after, err := s.store.Run(t.Context(), id)
		if diff := cmp.Diff(before, after); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	})
}

// TestARunWhoseLargeResultVanishedFails, since what comes after it needs it.
func TestARunWhoseLargeResultVanishedFails(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		stop := s.start(s.orchestrator("o1").Run)
		id := s.submit("jobs: {a: {job: transform, inputs: {x: " + strings.Repeat("x", 70_000) + "}}, b: {job: work, dependsOn: [a]}}")
		s.taskIs(id, "b", func(rec run.Task) bool { return rec.State == run.TaskQueued })
		stop()
		for key := range strings.FieldsSeq(strings.Trim(srv.Do(t, "KEYS", "orchis:{0}:blob:*"), "[]")) {
			srv.Do(t, "DEL", key)
		}
		s.worker("w")
		s.start(s.orchestrator("o2").Run)
		if r := s.ended(id, run.Failed); r.Error == nil || r.Error.Code != run.CodeInternal {
			t.Errorf("error is %v", r.Error)
		}
	})
}

// TestARunThatVanishedIsForgotten: it does not stay among those under way.
func TestARunThatVanishedIsForgotten(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		s.start(s.orchestrator("o").Run)
		s.send("r", "jobs: {a: {approval: {message: Go}}}")
		srv.Do(t, "DEL", "orchis:{0}:run:r")
		s.until("nothing is left of it", func() bool {
			return srv.Do(t, "ZCARD", "orchis:{0}:active") == "0" && srv.Do(t, "EXISTS", "orchis:{0}:run:r:tasks", "orchis:{0}:run:r:changes") == "0"
		})
	})
}

// TestRunsThatWaitForLongDoNotHideOthers: a ticket that vanishes is missed
// however many runs wait for people.
func TestRunsThatWaitForLongDoNotHideOthers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		s.start(s.orchestrator("o").Run)
		for range sweepPage + 20 {
			s.submit("jobs: {a: {approval: {message: Go}}}")
		}
		id := s.submit("jobs: {a: {job: work}}")
		srv.Do(t, "XTRIM", "orchis:{0}:tickets:default", "MAXLEN", "0")
		s.worker("w")
		s.ended(id, run.Succeeded)
	})
}

// TestTimersThatVanishFire: what a record says is due happens, also when the
// run has other things to wait for.
func TestTimersThatVanishFire(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		s.start(s.orchestrator("o").Run)
		s.worker("w")
		s.send("r", "timeout: 3s\n"+gated)
		s.taskIs("r", "again", func(rec run.Task) bool { return rec.State == run.TaskRetrying })
		srv.Do(t, "DEL", "orchis:{0}:timers")
		s.taskIs("r", "again", func(rec run.Task) bool { return rec.State == run.TaskFailed && rec.Attempt == 3 })
		s.taskIs("r", "far", func(rec run.Task) bool { return rec.State == run.TaskFailed })
		if r := s.ended("r", run.Failed); r.Error.Code != run.CodeTimeout {
			t.Errorf("error is %v", r.Error)
		}
		s.quiet()
	})
}

// TestWorkThatWasForgottenIsTakenUp: the note that a run has more to do is lost,
// and the run waits for something else.
func TestWorkThatWasForgottenIsTakenUp(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		o := s.orchestrator("o")
		o.cfg.Limits.Budget = 1
		s.start(func(ctx context.Context) error { return o.forever(ctx, "take submissions", o.submissions) })
		s.send("r", "jobs:\n  gate: {approval: {message: Go}}\n  a: {job: work, iterate: {from: 1, to: 20}, inputs: {n: 1}}\n")
		srv.Do(t, "DEL", "orchis:{0}:events")
		s.worker("w")
		s.start(s.orchestrator("o2").Run)
		s.taskIs("r", "a", func(rec run.Task) bool { return rec.State == run.TaskSucceeded })
		if err := o.loader.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSubmissionsLeftBehindAreTakenUnderLoad: an orchestrator read one and died;
// it is answered though new ones never end.
func TestSubmissionsLeftBehindAreTakenUnderLoad(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		left, err := s.store.Submit(t.Context(), wire.Submission{Definition: "jobs: {a: {job: work}}"})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.store.ReadSubmissions(t.Context(), "dead", 1, 0); err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		s.start(func(ctx context.Context) error {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				if _, err := s.store.Submit(ctx, wire.Submission{Definition: "jobs: {}"}); err != nil && !errors.Is(err, context.Canceled) {
					return err
				}
			}
			return nil
		})
		s.start(s.orchestrator("o").Run)
		s.accepted(left)
	})
}

// TestAnUnreadableRunStandsInNobodysWay: neither events nor wishes of others
// wait for it.
func TestAnUnreadableRunStandsInNobodysWay(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		stop := s.start(s.orchestrator("o1").Run)
		s.send("bad", "jobs: {a: {job: work}}")
		s.send("good", "jobs: {a: {job: work}, b: {approval: {message: Go}}}")
		stop()
		srv.Do(t, "HSET", "orchis:{0}:run:bad", "version", "x")
		s.start(s.orchestrator("o2").Run)
		s.worker("w")
		bad, err := s.store.SendControl(t.Context(), wire.Control{Op: "cancel", Run: "bad"})
		if err != nil {
			t.Fatal(err)
		}
		s.until("the wish is refused", func() bool {
			a, err := s.store.ControlAnswer(t.Context(), bad)
			return err == nil && a.State == wire.Rejected
		})
		s.wish(wire.Control{Op: "approve", Run: "good", By: "ann"})
		s.ended("good", run.Succeeded)
		s.until("its events are gone", func() bool { return srv.Do(t, "XLEN", "orchis:{0}:events") == "0" })
	})
}

// TestATicketNobodyWaitsForGoes: a worker died with it, and its task has
// another publication.
func TestATicketNobodyWaitsForGoes(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		s.start(s.orchestrator("o").Run)
		s.send("r", "jobs: {a: {approval: {message: Go}}, b: {job: work, dependsOn: [a]}}")
		if err := s.store.Ensure(t.Context(), []string{"default"}); err != nil {
			t.Fatal(err)
		}
		for _, task := range []string{"a", "b"} { // one has a record, one has none yet
			old := wire.Ticket{Run: "r", Task: task, Queue: "default", Fence: "0000000000000000", Handler: "work", Attempt: 1}
			if _, err := s.store.AddTicket(t.Context(), 0, "default", old.Fields(wire.Keys{})); err != nil {
				t.Fatal(err)
			}
		}
		srv.Do(t, "SADD", "orchis:{0}:queues", "default")
		if got, err := s.store.ReadTickets(t.Context(), 0, []string{"default"}, "dead", 2, 0); err != nil || len(got) != 2 {
			t.Fatal(got, err)
		}
		s.quiet()
	})
}

// lossy is a store that loses the reply to a command now and then.
type lossy struct {
	Store

	commits, reads atomic.Int64 // how many more are lost
}

var errLost = errors.New("read tcp: connection reset by peer")

func (l *lossy) Commit(ctx context.Context, p int, changes []wire.Commit) ([]wire.CommitResult, error) {
	res, err := l.Store.Commit(ctx, p, changes)
	if changes[0].Version > 0 && l.commits.Add(-1) >= 0 {
		return nil, errLost
	}
	return res, err
}

func (l *lossy) ReadEvents(ctx context.Context, p int, consumer string, count int, block time.Duration) ([]wire.Event, error) {
	got, err := l.Store.ReadEvents(ctx, p, consumer, count, block)
	if len(got) > 0 && l.reads.Add(-1) >= 0 {
		return nil, errLost
	}
	return got, err
}

// TestAnOwnerTakesUpWhatItLost: events whose commit or whose reading failed are
// dealt with as soon as Redis answers again, and not when they look abandoned.
func TestAnOwnerTakesUpWhatItLost(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		o := s.patient()
		store := &lossy{Store: o.store}
		store.commits.Store(1)
		store.reads.Store(2)
		o.store = store
		s.start(o.Run)
		s.worker("w")
		for range 3 {
			s.ended(s.submit(diamond), run.Succeeded)
		}
		if store.commits.Load() >= 0 || store.reads.Load() >= 0 {
			t.Error("nothing was lost")
		}
		s.quiet()
	})
}

// patient is an orchestrator that waits for a long time wherever it may: what it
// misses is not made good by the next look.
func (s *site) patient() *Orchestrator {
	s.lease = time.Hour
	o := s.orchestrator("o")
	o.cfg.Ownership, o.cfg.Lease, o.cfg.Poll = time.Hour, time.Hour, 3*time.Second
	return o
}

// within fails when something takes as long as a read may wait.
func (s *site) within(o *Orchestrator, what string, do func()) {
	s.t.Helper()
	began := time.Now()
	do()
	if took := time.Since(began); took >= o.cfg.Poll {
		s.t.Errorf("%s takes %v", what, took)
	}
}

// TestNothingReadAheadIsLost: what is read while other events are dealt with has
// its turn next.
func TestNothingReadAheadIsLost(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Real(t))
	s.start(s.patient().Run)
	s.worker("w1")
	s.worker("w2")
	const many = 400
	for i := range many {
		if _, err := s.store.Submit(t.Context(), wire.Submission{ID: fmt.Sprint("r", i), Definition: "jobs: {a: {job: work}, b: {job: work, dependsOn: [a]}, c: {job: work, dependsOn: [b]}}"}); err != nil {
			t.Fatal(err)
		}
	}
	s.until("all runs have ended", func() bool { return s.srv.Do(t, "ZCARD", "orchis:{0}:done") == strconv.Itoa(many) })
	s.quiet()
}

// TestARetryIsInTime: a timer that a commit sets is not waited past, however long
// a read may wait.
func TestARetryIsInTime(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Real(t))
	o := s.patient()
	s.start(o.Run)
	s.worker("w")
	s.within(o, "three retries after 20 ms", func() {
		s.ended(s.submit("jobs: {a: {job: fail, retries: {max: 3, delay: 20ms, jitter: 0}}}"), run.Failed)
	})
}

// TestManyTimersAtOnce: no round waits while more timers are due than it took.
func TestManyTimersAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Real(t))
	for i := range 5*batch + 50 {
		s.srv.Do(t, "ZADD", "orchis:{0}:timers", "1000", fmt.Sprintf("nobody%d|retry|a|p", i))
	}
	o := s.patient()
	s.within(o, "looking at all timers", func() {
		s.start(o.Run)
		s.until("all timers are gone", func() bool { return s.srv.Do(t, "ZCARD", "orchis:{0}:timers") == "0" })
	})
}
