package redisstore_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

var shared redistest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	shared.Stop()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" {
		if diff := cmp.Diff(documented(), seen.names()); diff != "" {
			fmt.Fprintln(os.Stderr, "docs/operations.md and the commands that were sent differ (-docs +sent):", diff)
			code = 1
		}
	}
	os.Exit(code)
}

// runOf returns an id that begins with a name, of a run of partition 0.
func runOf(s *redisstore.Store, name string) string {
	id := name
	for n := 1; s.PartitionOf(id) != 0; n++ {
		id = fmt.Sprint(name, "-", n)
	}
	return id
}

func open(t *testing.T, s redistest.Server) *redisstore.Store {
	t.Helper()
	store, err := redisstore.Open(t.Context(), redisstore.Config{URL: s.URL, Prefix: s.Prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	// What Open sent is seen when it is done again.
	meta := "orchis:meta"
	if s.Prefix != "" {
		meta = s.Prefix + ":meta"
	}
	ok(t, store.Client().HDel(t.Context(), meta, "epoch").Err())
	store.Client().AddHook(&seen)
	ok(t, store.Recover(t.Context()))
	return store
}

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func aCommit(runID string, version int64) wire.Commit {
	rec := run.Run{State: run.Running, Recipe: "r", Definition: "sha256:d", Created: 5, Inputs: []byte(`{}`)}
	task := run.Task{State: run.TaskQueued, Attempt: 1, Fence: "p1"}
	return wire.Commit{
		Run: runID, Version: version, Fields: rec.Fields(), Digest: "sha256:d", Definition: []byte(`{"x":1}`),
		Tasks: []string{"a", task.Encode()}, Outputs: []wire.Output{{Task: "b", Value: []byte(`{"n":1}`)}},
		Log:       []byte(`[5,{"run":"running"}]`),
		Tickets:   []wire.Ticket{{Queue: "default", Priority: wire.Normal, Run: runID, Task: "a", Fence: "p1", Attempt: 1, Handler: "h", Inputs: []byte(`{"k":"ä"}`)}},
		SetTimers: []wire.Timer{{Run: runID, Kind: "retry", Task: "a", Due: 100}},
		Active:    5,
	}
}

func TestACommitIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		r1, r2 := runOf(s, "r1"), runOf(s, "r2")
		res := must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{aCommit(r1, 0), aCommit(r2, 0)}))
		if len(res) != 2 || res[0].Err != nil || len(res[0].TicketIDs) != 1 {
			t.Fatalf("results are %+v", res)
		}
		again := must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{aCommit(r1, 0)}))
		if !errors.Is(again[0].Err, wire.ErrConflict) {
			t.Fatalf("a commit of an old version gives %v", again[0].Err)
		}
		stored := must[*wire.Stored](t)(s.Load(ctx, r1))
		if stored.Run["version"] != "1" || stored.Outputs["b"] != `{"n":1}` {
			t.Errorf("stored is %+v", stored)
		}
		if got := string(must[[]byte](t)(s.Definition(ctx, 0, "sha256:d"))); got != `{"x":1}` {
			t.Errorf("definition is %s", got)
		}
		due, next, err := s.DueTimers(ctx, 0, time.UnixMilli(100), 10)
		ok(t, err)
		if len(due) != 2 || !next.IsZero() {
			t.Errorf("due are %v, next %v", due, next)
		}
		ref := wire.TicketRef{Stream: wire.Stream{Queue: "default", Priority: wire.Normal}, ID: res[0].TicketIDs[0]}
		end := wire.Commit{Run: r1, Version: 1, Forget: []string{"a"}, Revokes: []wire.TicketRef{ref}, ClearTimers: []wire.Timer{{Run: r1, Kind: "retry", Task: "a"}}, Done: 9, More: true}
		must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{end}))
		if tasks := must[[]run.Task](t)(s.Tasks(ctx, r1)); len(tasks) != 0 {
			t.Errorf("forgotten tasks are %v", tasks)
		}
		if left := must[[]wire.Ticket](t)(s.ScanTickets(ctx, 0, wire.Stream{Queue: "default", Priority: wire.Normal}, "", 10)); len(left) != 1 || left[0].Run != r2 {
			t.Errorf("tickets left are %v", left)
		}
		if ev := must[[]wire.Event](t)(s.ReadEvents(ctx, 0, "o1", 10, 0)); len(ev) != 1 || ev[0].Type != wire.Continue {
			t.Errorf("events are %v", ev)
		}
		list := must[[]run.Run](t)(s.ListRuns(ctx, redisstore.ListQuery{}))
		if len(list) != 2 {
			t.Errorf("runs are %v", list)
		}
		ok(t, s.DeleteRuns(ctx, 0, []string{r1, r2}))
		if _, err := s.Load(ctx, r1); !errors.Is(err, wire.ErrNotFound) {
			t.Errorf("a deleted run gives %v", err)
		}
		if _, err := s.Definition(ctx, 0, "sha256:d"); !errors.Is(err, wire.ErrNotFound) {
			t.Errorf("a definition without runs gives %v", err)
		}
	})
}

func TestATicketIsHeldReportedAndGone(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		r1 := runOf(s, "r1")
		ok(t, s.Ensure(ctx, []string{"default"}))
		must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{aCommit(r1, 0)}))
		got := must[[]wire.Ticket](t)(s.ReadTickets(ctx, 0, []string{"default"}, "w1", 5, time.Second))
		if len(got) != 1 || string(got[0].Inputs) != `{"k":"ä"}` || got[0].Queue != "default" {
			t.Fatalf("tickets are %+v", got)
		}
		if own := must[[]wire.Ticket](t)(s.OwnTickets(ctx, 0, wire.LanesOf("default"), "w1")); len(own) != 1 {
			t.Errorf("own tickets are %v", own)
		}
		if kept := must[[]wire.Ticket](t)(s.Heartbeat(ctx, "w1", got)); len(kept) != 1 {
			t.Errorf("kept are %v", kept)
		}
		if p := must[[]wire.Pending](t)(s.PendingTickets(ctx, 0, []wire.Stream{{Queue: "default", Priority: wire.Normal}}, 0, 10)); len(p) != 1 || p[0].Consumer != "w1" {
			t.Errorf("pending are %v", p)
		}
		done := redisstore.Completion{Ticket: got[0], Event: wire.Event{Type: wire.Failed, Run: r1, Task: "a", Fence: "p1", Error: &run.Error{Code: "x", Message: "y"}, Permanent: true}}
		ok(t, s.Complete(ctx, 0, "w1", []redisstore.Completion{done}))
		if kept := must[[]wire.Ticket](t)(s.Heartbeat(ctx, "w1", got)); len(kept) != 0 {
			t.Errorf("a finished ticket is kept: %v", kept)
		}
		ev := must[[]wire.Event](t)(s.ReadEvents(ctx, 0, "o1", 10, 0))
		want := done.Event
		want.Worker, want.Entry = "w1", &wire.Entry{ID: ev[0].EntryID(), Events: 1, Deliveries: 1}
		if diff := cmp.Diff(want, ev[0]); diff != "" {
			t.Error(diff)
		}
		claimed := must[[]wire.Event](t)(s.ClaimEvents(ctx, 0, "o2", 0, 10))
		if len(claimed) != 1 || claimed[0].Deliveries() < 2 {
			t.Errorf("claimed are %+v", claimed)
		}
		ok(t, s.AckEvents(ctx, 0, []string{ev[0].EntryID()}))
		if left := must[[]wire.Event](t)(s.ClaimEvents(ctx, 0, "o2", 0, 10)); len(left) != 0 {
			t.Errorf("acknowledged events come back: %v", left)
		}
	})
}

func TestASubmissionIsAnswered(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		good := must[string](t)(s.Submit(ctx, wire.Submission{Recipe: "r", Inputs: json.RawMessage(`{"a":1}`), Single: map[string]string{"b": "2"}}))
		bad := must[string](t)(s.Submit(ctx, wire.Submission{Recipe: "r", Inputs: json.RawMessage(`{"a":`)}))
		subs := must[[]wire.Submission](t)(s.ReadSubmissions(ctx, "o1", 10, 0))
		if len(subs) != 1 || subs[0].Entry != good || subs[0].Single["b"] != "2" {
			t.Fatalf("submissions are %+v", subs)
		}
		a := must[wire.Answer](t)(s.Answer(ctx, bad))
		if a.State != wire.Rejected || a.Error != "the field inputs is not a JSON object: it ends too early" {
			t.Errorf("answer is %+v", a)
		}
		if _, err := s.Answer(ctx, good); !errors.Is(err, wire.ErrNotFound) {
			t.Errorf("an open submission gives %v", err)
		}
		ok(t, s.AnswerSubmissions(ctx, []wire.AnswerTo{{Entry: good, Answer: wire.Answer{State: wire.Accepted, Run: "r1"}}}, time.Minute))
		if a := must[wire.Answer](t)(s.Answer(ctx, good)); a.Run != "r1" {
			t.Errorf("answer is %+v", a)
		}
	})
}

func TestAPartitionHasOneOwner(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		own := func(who string) bool { return must[bool](t)(s.Own(ctx, 0, who, time.Minute)) }
		if !own("a") || own("b") || !own("a") {
			t.Error("the first owner does not keep the partition")
		}
		ok(t, s.Disown(ctx, 0, "b"))
		if own("b") {
			t.Error("somebody else could give the partition away")
		}
		ok(t, s.Disown(ctx, 0, "a"))
		if !own("b") {
			t.Error("a free partition cannot be taken")
		}
	})
}

func TestWorkersAndQueuesAreListed(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		r1 := runOf(s, "r1")
		ok(t, s.PutWorker(ctx, wire.Worker{Name: "w1", Slots: 2, Queues: []string{"default"}}))
		if w := must[[]wire.Worker](t)(s.Workers(ctx)); len(w) != 1 || w[0].Seen == 0 {
			t.Errorf("workers are %+v", w)
		}
		must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{aCommit(r1, 0)}))
		if q := must[[]redisstore.QueueStat](t)(s.QueueStats(ctx)); len(q) != 1 || q[0].Waiting != 1 {
			t.Errorf("queues are %+v", q)
		}
		if l := must[[]wire.LogEntry](t)(s.Log(ctx, r1, "", 10, 0)); len(l) != 1 || l[0].Changes[0].Run != run.Running {
			t.Errorf("log is %+v", l)
		}
		ok(t, s.RemoveWorker(ctx, "w1", wire.LanesOf("default")))
		if f, err := s.Check(ctx); err != nil || len(f) == 0 {
			t.Errorf("check gives %v, %v", f, err)
		}
	})
}

// TestACommitDealsWithItsEvents: what was committed is gone from the stream,
// what was refused is still there for the next try.
func TestACommitDealsWithItsEvents(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		r := runOf(s, "r")
		must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{aCommit(r, 0)}))
		ok(t, s.SendEvents(ctx, 0, []wire.Event{{Type: wire.Started, Run: r, Task: "a", Fence: "p1"}}))
		events := must[[]wire.Event](t)(s.ReadEvents(ctx, 0, "o", 10, 0))
		if len(events) != 1 {
			t.Fatalf("events are %+v", events)
		}
		timer := wire.Timer{Run: r, Kind: "retry", Task: "a", Due: 100}
		change := wire.Commit{Run: r, Version: 7, Fields: []string{"state", "running"}, Acks: []wire.Ack{{Entry: events[0].EntryID(), Of: 1}}, ClearTimers: []wire.Timer{timer}}
		if res := must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{change})); !errors.Is(res[0].Err, wire.ErrConflict) {
			t.Fatalf("a commit on a wrong version gives %v", res[0].Err)
		}
		if left := must[[]wire.Event](t)(s.ClaimEvents(ctx, 0, "o2", 0, 10)); len(left) != 1 || left[0].Deliveries() != 2 {
			t.Errorf("after a conflict there are %+v", left)
		}
		if due, _, err := s.DueTimers(ctx, 0, time.UnixMilli(1000), 10); err != nil || len(due) != 1 {
			t.Errorf("after a conflict the timers are %v, %v", due, err)
		}
		change.Version = 1
		if res := must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{change})); res[0].Err != nil {
			t.Fatal(res[0].Err)
		}
		if due, _, err := s.DueTimers(ctx, 0, time.UnixMilli(1000), 10); err != nil || len(due) != 0 {
			t.Errorf("the timers are %v, %v", due, err)
		}
		raw, stream := s.Client(), srv.Prefix+":{0}:events"
		if srv.Prefix == "" {
			stream = "orchis" + stream
		}
		if n := must[int64](t)(raw.XLen(ctx, stream).Result()); n != 0 {
			t.Errorf("%d events are left", n)
		}
		if p := must[*redis.XPending](t)(raw.XPending(ctx, stream, "orchestrators").Result()); p.Count != 0 {
			t.Errorf("%d events are pending", p.Count)
		}
	})
}

func TestWhatIsOverIsTidiedUp(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		r1, r2 := runOf(s, "r1"), runOf(s, "r2")
		for at, id := range []string{r1, r2} {
			end := aCommit(id, 0)
			end.Active, end.Done = 0, int64(at+1)
			must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{end}))
		}
		if got := must[[]string](t)(s.EndedRuns(ctx, 0, time.UnixMilli(0), time.UnixMilli(0), 1, 10)); !cmp.Equal(got, []string{r1}) {
			t.Errorf("beyond the newest are %v", got)
		}
		got := must[[]wire.Ticket](t)(s.ReadTickets(ctx, 0, []string{"default"}, "w1", 5, 0))
		if len(got) == 0 { // the group was made by the first read
			got = must[[]wire.Ticket](t)(s.ReadTickets(ctx, 0, []string{"default"}, "w1", 5, 0))
		}
		ok(t, s.RemoveWorker(ctx, "w1", wire.LanesOf("default")))
		if p := must[[]wire.Pending](t)(s.PendingTickets(ctx, 0, []wire.Stream{{Queue: "default", Priority: wire.Normal}}, 0, 10)); len(got) != 2 || len(p) != 2 {
			t.Errorf("%d tickets taken, and of the worker that left there are %v", len(got), p)
		}
	})
}

// TestDeadLettersCanBeReadAndPurged, one and all.
func TestDeadLettersCanBeReadAndPurged(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		r := runOf(s, "r")
		c := aCommit(r, 0)
		for n := range 3 {
			c.Dead = append(c.Dead, wire.DeadLetter{Run: r, Task: "a", Handler: "h", Attempt: n, Error: &run.Error{Code: "lost", Message: "gone"}})
		}
		must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{c}))
		all := must[[]wire.DeadLetter](t)(s.DeadLetters(ctx, 2))
		if len(all) != 2 || all[0].Run != r || all[0].Error.Code != "lost" || all[0].At == 0 {
			t.Fatalf("dead letters are %+v", all)
		}
		if d := must[wire.DeadLetter](t)(s.DeadLetter(ctx, all[0].ID)); d.ID != all[0].ID {
			t.Errorf("the letter is %+v", d)
		}
		for _, id := range []string{"", "x", "0:1-1", "99:1-1", "0:1", "-1:1-1", "0:1-x"} {
			if _, err := s.DeadLetter(ctx, id); !errors.Is(err, wire.ErrNotFound) {
				t.Errorf("letter %q gives %v", id, err)
			}
		}
		if n := must[int64](t)(s.PurgeDead(ctx, []string{all[0].ID})); n != 1 {
			t.Errorf("%d purged", n)
		}
		if n := must[int64](t)(s.PurgeAllDead(ctx)); n != 2 {
			t.Errorf("%d purged in the end", n)
		}
	})
}

// TestWhatIsKeptIsMeasured: runs, consumers, memory.
func TestWhatIsKeptIsMeasured(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		r := runOf(s, "r")
		c := aCommit(r, 0)
		c.Active, c.Done = 0, 5
		must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{c}))
		if n := must[int](t)(s.FittingRuns(ctx, 0, 1<<30)); n != 1 {
			t.Errorf("%d runs fit into a GiB", n)
		}
		if n := must[int](t)(s.FittingRuns(ctx, 0, 10)); n != 0 {
			t.Errorf("%d runs fit into ten bytes", n)
		}
		must[[]wire.Ticket](t)(s.ReadTickets(ctx, 0, []string{"default"}, "w", 1, 0))
		ok(t, s.ForgetConsumers(ctx, 0, 0))
		ok(t, s.ForgetWorkers(ctx, time.Now()))
		if _, _, err := s.Memory(ctx); err != nil {
			t.Error(err)
		}
	})
}

// TestLargeValuesStandInKeysOfTheirOwn: nobody who asks sees a difference, and
// none stays for ever once its runs are gone.
func TestLargeValuesStandInKeysOfTheirOwn(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		ok(t, s.Ensure(ctx, []string{"default"}))
		limit := []byte(`"` + strings.Repeat("x", 64<<10-2) + `"`)
		above := []byte(`"` + strings.Repeat("y", 64<<10-1) + `"`)
		inputs := []byte(`{"x":"` + strings.Repeat("z", 256<<10) + `"}`)
		change := func(r string) wire.Commit {
			c := aCommit(r, 0)
			c.Outputs = []wire.Output{{Task: "a", Value: limit}, {Task: "b", Value: above}, {Task: "c", Value: above}}
			c.Tickets[0].Inputs = inputs
			c.Active, c.Done = 0, 5
			return c
		}
		r1, r2 := runOf(s, "r1"), runOf(s, "r2")
		for _, r := range []string{r1, r2} {
			if res := must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{change(r)})); res[0].Err != nil {
				t.Fatal(res[0].Err)
			}
		}
		stored := must[*wire.Stored](t)(s.Load(ctx, r1))
		if stored.Outputs["a"] != string(limit) || stored.Outputs["b"] != string(above) || stored.Outputs["c"] != string(above) {
			t.Error("the results are not those that were written")
		}
		got := must[[]wire.Ticket](t)(s.ReadTickets(ctx, 0, []string{"default"}, "w", 1, 0))
		if len(got) != 1 || string(got[0].Inputs) != string(inputs) || got[0].Blob != "" {
			t.Fatalf("%d tickets: %.200q", len(got), fmt.Sprint(got))
		}
		ok(t, s.Complete(ctx, 0, "w", []redisstore.Completion{{Ticket: got[0], Event: wire.Event{Type: wire.Succeeded, Run: r1, Task: "a", Fence: "p1", Result: above}}}))
		events := must[[]wire.Event](t)(s.ReadEvents(ctx, 0, "o", 10, 0))
		if len(events) != 1 || string(events[0].Result) != string(above) {
			t.Error("the result is not that which was reported")
		}
		if kept, waiting := redisstore.Blobs(s, 0); kept != 2 || waiting != 0 {
			t.Errorf("%d blobs are kept and %d wait", kept, waiting)
		}
		ok(t, s.DeleteRuns(ctx, 0, []string{r1}))
		if kept, _ := redisstore.Blobs(s, 0); kept != 2 {
			t.Errorf("%d blobs are kept while a run refers to them", kept)
		}
		ok(t, s.DeleteRuns(ctx, 0, []string{r2}))
		if kept, waiting := redisstore.Blobs(s, 0); kept != 0 || waiting != 2 {
			t.Errorf("in the end %d blobs are kept and %d expire", kept, waiting)
		}
	})
}
