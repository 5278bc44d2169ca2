package orchestrator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// workerStore is what a worker asks of Redis.
type workerStore interface {
	Store
	Submit(ctx context.Context, sub wire.Submission) (string, error)
	ReadTickets(ctx context.Context, p int, queues []string, consumer string, count int, block time.Duration) ([]wire.Ticket, error)
	OwnTickets(ctx context.Context, p int, streams []wire.Stream, consumer string) ([]wire.Ticket, error)
	Heartbeat(ctx context.Context, consumer string, tickets []wire.Ticket) ([]wire.Ticket, error)
	Complete(ctx context.Context, p int, consumer string, done []redisstore.Completion) error
}

// modelled is the model with the workers' functions.
type modelled struct{ *view }

func (m modelled) Submit(_ context.Context, sub wire.Submission) (string, error) {
	return m.submit.add(sub), nil
}

func (m modelled) ReadTickets(_ context.Context, _ int, queues []string, consumer string, count int, _ time.Duration) ([]wire.Ticket, error) {
	return m.readTickets(wire.LanesOf(queues...), consumer, count), nil
}

func (m modelled) OwnTickets(_ context.Context, _ int, streams []wire.Stream, consumer string) ([]wire.Ticket, error) {
	return m.ownTickets(streams, consumer), nil
}

func (m modelled) Heartbeat(_ context.Context, consumer string, tickets []wire.Ticket) ([]wire.Ticket, error) {
	return m.heartbeat(consumer, tickets), nil
}

func (m modelled) Complete(_ context.Context, _ int, _ string, done []redisstore.Completion) error {
	var tickets []wire.Ticket
	var events []wire.Event
	for _, d := range done {
		tickets, events = append(tickets, d.Ticket), append(events, d.Event)
	}
	m.complete(tickets, events)
	return nil
}

// twin is one of two stores that are asked the same. It knows entries by the
// order in which they turned up, since their ids differ.
type twin struct {
	s        workerStore
	tickets  []wire.Ticket
	events   []wire.Event
	entries  []string
	versions map[string]int64
}

// TestTheModelIsLikeRedis asks the model and a Redis the same, at random, and
// compares the answers. The simulation is worth what this shows.
func TestTheModelIsLikeRedis(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		for seed := range uint64(20) {
			var stores [2]*redisstore.Store // of which each knows what it did itself
			for i := range stores {
				var err error
				if stores[i], err = redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL, Prefix: fmt.Sprint("s", seed)}); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = stores[i].Close() }()
			}
			if err := stores[0].Ensure(t.Context(), []string{"default"}); err != nil {
				t.Fatal(err)
			}
			w := newWorld()
			w.committed = nil
			still := &actor{w: w, yield: func(struct{}) bool { return true }}
			one := &twin{s: modelled{&view{model: w.model, a: still}}, versions: map[string]int64{}}
			two := &twin{s: stores[0], versions: map[string]int64{}}
			choose, history := rand.New(rand.NewPCG(seed, 3)), ""
			for range 120 {
				what, a, b := choose.IntN(22), choose.IntN(1000), choose.IntN(1000)
				if choose.IntN(4) == 0 {
					two.s = stores[choose.IntN(2)]
				}
				got, want := one.ask(t.Context(), what, a, b), two.ask(t.Context(), what, a, b)
				history += want + "\n"
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("seed %d: the model differs (-Redis +model):\n%s\nafter\n%s", seed, diff, history)
				}
			}
		}
	})
}

// ask does one thing and tells what came of it.
func (w *twin) ask(ctx context.Context, what, a, b int) string {
	run, who := fmt.Sprint("r", a%3), fmt.Sprint("c", b%2)
	switch what {
	case 0, 1, 2, 3:
		return w.change(ctx, run, a, b)
	case 4, 5:
		got, err := w.s.ReadTickets(ctx, 0, []string{"default"}, who, 1+a%3, 0)
		return w.took("read tickets "+who, got, err)
	case 6:
		got, err := w.s.OwnTickets(ctx, 0, wire.LanesOf("default"), who)
		return w.took("own tickets "+who, got, err)
	case 7:
		got, err := w.s.Heartbeat(ctx, who, some(w.tickets, a))
		return w.took("heartbeat "+who, got, err)
	case 8, 9:
		if len(w.tickets) == 0 {
			return "nothing to complete"
		}
		var done []redisstore.Completion
		for i := range 1 + b%3 {
			k := w.tickets[(a+i)%len(w.tickets)]
			done = append(done, redisstore.Completion{Ticket: k, Event: wire.Event{Type: wire.Succeeded, Run: k.Run, Task: k.Task, Fence: k.Fence}})
		}
		err := w.s.Complete(ctx, 0, "c0", done)
		return fmt.Sprint("complete ", len(done), " from ", done[0].Ticket.Fence, err)
	case 10, 11:
		got, err := w.s.ReadEvents(ctx, 0, who, 1+a%3, 0)
		return w.heard("read events "+who, got, err)
	case 12:
		got, err := w.s.ClaimEvents(ctx, 0, who, 0, 1+a%3)
		return w.heard("claim events "+who, got, err)
	case 13:
		var ids []string
		for _, ev := range some(w.events, a) {
			ids = append(ids, ev.Entry.ID)
		}
		return fmt.Sprint("acknowledge ", len(ids), w.s.AckEvents(ctx, 0, ids))
	case 14:
		got, err := w.s.ScanTickets(ctx, 0, wire.Stream{Queue: "default", Priority: wire.Normal}, "", 1+a%4)
		return w.took("scan tickets", got, err)
	case 15:
		got, err := w.s.PendingTickets(ctx, 0, []wire.Stream{{Queue: "default", Priority: wire.Normal}}, 0, 1+a%4)
		var names []string
		for _, p := range got {
			names = append(names, p.Consumer)
		}
		return fmt.Sprint("pending ", names, err)
	}
	return w.askMore(ctx, what, run, a, b)
}

func (w *twin) askMore(ctx context.Context, what int, run string, a, b int) string {
	switch what {
	case 16:
		due, next, err := w.s.DueTimers(ctx, 0, time.UnixMilli(int64(a)), 1+b%4)
		return fmt.Sprint("due ", due, next.UTC(), err)
	case 17:
		stored, err := w.s.Load(ctx, run)
		return fmt.Sprintf("load %s %s %v", run, brief(stored), err)
	case 18:
		ids, err := w.s.ActiveRuns(ctx, 0, time.UnixMilli(int64(b)), b%2, 1+a%3)
		return fmt.Sprint("active ", ids, err)
	case 20, 21:
		after := []string{"", "3-0", strconv.Itoa(b % 20), strconv.Itoa(b)}[a%4]
		entries, err := w.s.Log(ctx, run, after, 1+b%5, time.Duration(b%2))
		return fmt.Sprintf("log %s after %q: %+v %v", run, after, entries, err)
	}
	if b%2 == 0 {
		entry, err := w.s.Submit(ctx, wire.Submission{Recipe: run})
		w.entries = append(w.entries, entry)
		return fmt.Sprint("submit ", err)
	}
	got, err := w.s.ReadSubmissions(ctx, "c0", 2, 0)
	var names []string
	for _, s := range got {
		names = append(names, s.Recipe)
		if a%2 == 0 {
			err = w.s.AnswerSubmissions(ctx, []wire.AnswerTo{{Entry: s.Entry, Answer: wire.Answer{State: wire.Accepted}}}, time.Hour)
		}
	}
	return fmt.Sprint("submissions ", names, err)
}

// change commits something, now and then with a version that is wrong.
func (w *twin) change(ctx context.Context, run string, a, b int) string {
	c := wire.Commit{Run: run, Version: w.versions[run], Fields: []string{"state", "running", "x", strconv.Itoa(a)}, Active: int64(1 + a)}
	if b%7 == 0 {
		c.Version++
	}
	task := fmt.Sprint("t", a%4)
	c.Tasks, c.Outputs = []string{task, strconv.Itoa(b)}, []wire.Output{{Task: task, Value: []byte(strconv.Itoa(a))}}
	if b%5 == 0 {
		c.Forget = []string{fmt.Sprint("t", b%4)}
	}
	if b%2 == 0 {
		c.Tickets = []wire.Ticket{{Queue: "default", Priority: wire.Normal, Run: run, Task: task, Fence: fmt.Sprint(a, "-", b), Handler: "h"}}
	}
	if b%4 > 0 {
		c.Log = fmt.Appendf(nil, `[%d,{"task":%q,"state":"queued"}]`, a, task)
	}
	if b%3 == 0 {
		c.SetTimers = []wire.Timer{{Run: run, Kind: "retry", Task: task, Due: int64(b)}}
	}
	if b%4 == 0 {
		c.ClearTimers = []wire.Timer{{Run: run, Kind: "retry", Task: fmt.Sprint("t", b%3)}}
	}
	for _, k := range some(w.tickets, b) {
		c.Revokes = append(c.Revokes, wire.TicketRef{Stream: wire.Stream{Queue: "default", Priority: wire.Normal}, ID: k.ID})
	}
	for _, ev := range some(w.events, b) {
		c.Acks = append(c.Acks, wire.Ack{Entry: ev.Entry.ID, Of: 1 + b%2*(a%2)})
	}
	c.More = a%9 == 0
	if a%11 == 0 {
		c.Active, c.Done = 0, int64(a+1)
	}
	res, err := w.s.Commit(ctx, 0, []wire.Commit{c})
	if err != nil {
		return err.Error()
	}
	if res[0].Err == nil {
		w.versions[run]++
	}
	return fmt.Sprint("commit ", run, res[0].Err, len(res[0].TicketIDs))
}

// some returns one in so many.
func some[T any](all []T, n int) []T {
	if len(all) == 0 || n%3 > 0 {
		return nil
	}
	return all[n%len(all) : n%len(all)+1]
}

func (w *twin) took(what string, got []wire.Ticket, err error) string {
	var names []string
	for _, k := range got {
		names = append(names, k.Fence)
	}
	w.tickets = append(w.tickets, got...)
	return fmt.Sprintf("%s: %s %v", what, strings.Join(names, " "), err)
}

func (w *twin) heard(what string, got []wire.Event, err error) string {
	var names []string
	for _, ev := range got {
		names = append(names, fmt.Sprint(ev.Type, " ", ev.Fence, " x", ev.Deliveries()))
	}
	w.events = append(w.events, got...)
	return fmt.Sprintf("%s: %s %v", what, strings.Join(names, ", "), err)
}
