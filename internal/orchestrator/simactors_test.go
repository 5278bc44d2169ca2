package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

const (
	simLease     = 1000 * time.Millisecond
	simOwnership = 500 * time.Millisecond
)

// orchestratorOn is a real orchestrator that sees the world through a view.
func orchestratorOn(w *world, a *actor, name string, loader *flow.Loader) *Orchestrator {
	return &Orchestrator{
		cfg: Config{
			Name: name, Lease: simLease, Ownership: simOwnership, WaitForHandlers: true, Poll: 200 * time.Millisecond,
		}.withDefaults(),
		store: &view{model: w.model, a: a}, loader: loader, log: zap.NewNop(), owned: map[int]bool{},
		clock: func() time.Time { return time.UnixMilli(w.now) },
		sleep: func(_ context.Context, d time.Duration) { a.sleep(d) },
		nonce: func() uint64 { w.nonces++; return w.nonces }, turns: w.turns,
	}
}

// on gives the orchestrator another actor to act through: its goroutines share
// all but their connection.
func (o *Orchestrator) on(w *world, a *actor) *Orchestrator {
	twin := &Orchestrator{cfg: o.cfg, store: &view{model: w.model, a: a}, loader: o.loader, log: o.log, owned: o.owned, clock: o.clock, nonce: o.nonce, turns: o.turns}
	twin.sleep = func(_ context.Context, d time.Duration) { a.sleep(d) }
	return twin
}

// again does a thing until the actor is killed, as Run does.
func again(a *actor, do func(context.Context) error) {
	for {
		if err := do(context.Background()); err != nil {
			a.sleep(20 * time.Millisecond)
		}
		if a.leaving {
			return
		}
	}
}

// orchestrate starts the goroutines of an orchestrator: those of Run.
func (w *world) orchestrate(name string, loader *flow.Loader) {
	var o *Orchestrator
	var part *partition
	w.spawn(name, name+"/partition", func(a *actor, _ *view) {
		o = orchestratorOn(w, a, name, loader)
		part = newPartition(o, 0)
		again(a, part.round)
		part.giveBack(context.Background())
	})
	started := func() bool { return part != nil }
	w.spawn(name, name+"/reaper", func(a *actor, _ *view) {
		a.wait(started, time.Hour)
		twin := &partition{o: o.on(w, a), p: 0, suspects: part.suspects}
		again(a, func(ctx context.Context) error {
			a.sleep(simLease / 2)
			return twin.reap(ctx)
		})
	})
	w.spawn(name, name+"/slots", func(a *actor, _ *view) {
		a.wait(started, time.Hour)
		again(a, func(ctx context.Context) error {
			a.sleep(2 * simLease)
			return o.on(w, a).unleak(ctx)
		})
	})
	w.spawn(name, name+"/submissions", func(a *actor, _ *view) {
		a.wait(started, time.Hour)
		again(a, o.on(w, a).submissions)
	})
	w.spawn(name, name+"/control", func(a *actor, _ *view) {
		a.wait(started, time.Hour)
		again(a, o.on(w, a).control)
	})
}

// effects is what jobs did, noted by themselves.
type effects struct {
	clock  int
	starts map[string]int // run/task -> attempts begun
	ends   map[string]int // and ended
	// published counts tickets, reported the failures that were reported.
	published, reported map[string]int
	fences              map[string]bool // publications that were begun
	first               map[string]int  // when it first began and ended
	firstEnd            map[string]int
	cached              int // tasks that had their result from another run
}

func (e *effects) begin(key string) {
	e.clock++
	e.starts[key]++
	if e.first[key] == 0 {
		e.first[key] = e.clock
	}
}

func (e *effects) end(key string) {
	e.clock++
	e.ends[key]++
	if e.firstEnd[key] == 0 {
		e.firstEnd[key] = e.clock
	}
}

// simWorker is a worker by the protocol: one goroutine that reads, works,
// gives signs of life and reports.
type simWorker struct {
	w    *world
	a    *actor
	v    *view
	name string
	hand []*simAttempt
	beat int64 // its last sign of life that was answered
}

type simAttempt struct {
	ticket wire.Ticket
	until  int64
	done   *wire.Event
}

func (w *world) work(name string) {
	w.spawn(name, name, func(a *actor, v *view) {
		s := &simWorker{w: w, a: a, v: v, name: name, beat: w.now}
		s.handBack()
		for !a.leaving {
			s.round()
		}
		for _, held := range s.hand { // a drain whose grace is over at once
			s.report([]wire.Ticket{held.ticket}, []wire.Event{s.event(held.ticket, wire.Released)})
		}
	})
}

// handBack gives up what a worker of this name held when it died.
func (s *simWorker) handBack() {
	old, err := call(s.v, "own tickets", func() ([]wire.Ticket, error) { return s.w.ownTickets(wire.LanesOf("default"), s.name), nil })
	if err != nil {
		panic(crashed{}) // it does not start, and is started again
	}
	var lost []wire.Event
	for _, t := range old {
		lost = append(lost, s.event(t, wire.Lost))
	}
	if len(old) > 0 {
		s.report(old, lost)
	}
}

func (s *simWorker) event(t wire.Ticket, kind wire.EventType) wire.Event {
	return wire.Event{Type: kind, Run: t.Run, Task: t.Task, Fence: t.Fence, Worker: s.name, At: s.w.now, Started: s.w.now}
}

// report sends the events of tickets as one entry.
func (s *simWorker) report(tickets []wire.Ticket, events []wire.Event) bool {
	var what strings.Builder
	for i, t := range tickets {
		fmt.Fprintf(&what, " %s/%s#%d %s", t.Run, t.Task, t.Attempt, events[i].Type)
	}
	err := void(s.v, "complete"+what.String(), func() {
		for i, t := range tickets {
			if events[i].Type == wire.Failed {
				s.w.fx.reported[t.Run+"/"+t.Task]++
			}
		}
		s.w.complete(tickets, events)
	})
	return err == nil
}

// round does what is due next.
func (s *simWorker) round() {
	lease := simLease.Milliseconds()
	switch {
	case len(s.hand) > 0 && s.w.now-s.beat > lease*8/10:
		s.hand, s.beat = nil, s.w.now // it cannot know whether the work is still its own
	case len(s.hand) > 0 && s.w.now-s.beat > lease/3:
		s.live()
	case s.finish():
	case len(s.hand) < 2:
		s.a.wait(s.news, s.rest())
		got, err := call(s.v, "read tickets", func() ([]wire.Ticket, error) { return s.w.readTickets(wire.LanesOf("default"), s.name, 1), nil })
		if err != nil {
			s.a.sleep(20 * time.Millisecond)
		}
		if len(s.hand) == 0 {
			s.beat = s.w.now
		}
		for _, t := range got {
			s.begin(t)
		}
	default:
		s.a.sleep(s.rest())
	}
}

// rest is how long there is nothing to do.
func (s *simWorker) rest() time.Duration {
	ms := int64(200)
	for _, a := range s.hand {
		ms = min(ms, max(1, a.until-s.w.now))
	}
	return time.Duration(ms) * time.Millisecond
}

func (s *simWorker) news() bool {
	return slices.ContainsFunc(wire.LanesOf("default"), func(l wire.Stream) bool { return s.w.lane(l).news() })
}

func (s *simWorker) live() {
	var tickets []wire.Ticket
	for _, a := range s.hand {
		tickets = append(tickets, a.ticket)
	}
	sent := s.w.now
	kept, err := call(s.v, "heartbeat", func() ([]wire.Ticket, error) { return s.w.heartbeat(s.name, tickets), nil })
	if err != nil {
		s.a.sleep(50 * time.Millisecond)
		return
	}
	s.beat = sent
	s.hand = slices.DeleteFunc(s.hand, func(a *simAttempt) bool {
		return !slices.ContainsFunc(kept, func(t wire.Ticket) bool { return t.ID == a.ticket.ID })
	})
}

// begin starts on a ticket. How long it takes and how it ends are written in
// its inputs.
func (s *simWorker) begin(t wire.Ticket) {
	var in struct {
		Fate string
		Ms   int64
		N    int
	}
	if err := json.Unmarshal(t.Inputs, &in); err != nil {
		s.w.violated("ticket of %s/%s with inputs %s", t.Run, t.Task, t.Inputs)
	}
	key := t.Run + "/" + t.Task
	s.w.fx.begin(key)
	if s.w.fx.fences[t.Fence] {
		s.w.violated("publication %s of %s is begun twice", t.Fence, key)
	}
	s.w.fx.fences[t.Fence] = true
	ev := s.event(t, wire.Succeeded)
	ev.Result = t.Inputs
	if in.Fate == "fail" || in.Fate == "flaky" && s.w.fx.reported[key] < in.N {
		ev.Type, ev.Result, ev.Error = wire.Failed, nil, &run.Error{Code: "error", Message: "no"}
	}
	s.hand = append(s.hand, &simAttempt{ticket: t, until: s.w.now + in.Ms, done: &ev})
	if in.Ms > 200 {
		_ = void(s.v, "send started "+key, func() { s.w.events.add([]wire.Event{s.event(t, wire.Started)}) })
	}
}

// finish ends the attempts whose time has come and reports them together.
func (s *simWorker) finish() bool {
	var tickets []wire.Ticket
	var events []wire.Event
	for _, a := range s.hand {
		if a.until > s.w.now {
			continue
		}
		key := a.ticket.Run + "/" + a.ticket.Task
		if a.done.Type == wire.Succeeded && !strings.HasPrefix(a.done.Note, "ended") {
			s.w.fx.end(key)
			a.done.Note = "ended"
		}
		tickets, events = append(tickets, a.ticket), append(events, *a.done)
	}
	if len(tickets) == 0 {
		return false
	}
	if s.report(tickets, events) {
		s.hand = slices.DeleteFunc(s.hand, func(a *simAttempt) bool {
			return slices.ContainsFunc(tickets, func(t wire.Ticket) bool { return t.ID == a.ticket.ID })
		})
	} else {
		s.a.sleep(30 * time.Millisecond)
	}
	return true
}
