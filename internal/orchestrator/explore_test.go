package orchestrator

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
)

var (
	exploreFaults = flag.Int("faults", 0, "how many faults each explored history may have")
	exploreMost   = flag.Int("histories", 9000, "how many histories of a flow are explored; 0: all")
)

// cut ends a history that has come to a state that was seen before.
type cut struct{}

// explorer goes through every order in which two orchestrators and two workers
// can do what they do, with every fault at every command, for a small flow.
// Each history is played from the beginning; one that comes to a state that was
// seen is cut.
type explorer struct {
	t       *testing.T
	loader  *flow.Loader
	def     string
	cancels bool
	faults  int

	seen      map[uint64]bool
	path      []int // the choices of this history, and how many there were
	width     []int
	at        int
	histories int

	w       *world
	chosen  string // who acts, for telling states apart
	left    int    // faults left
	deaths  int    // workers that died and were not noticed yet
	doubted bool
	parts   map[string]*partition
	// What all histories begin with: the run, just created.
	first    *world
	programs map[string]*engine.Program
}

// next moves on to the next history; false when all were seen.
func (x *explorer) next() bool {
	for len(x.path) > 0 {
		last := len(x.path) - 1
		if x.path[last]+1 < x.width[last] {
			x.path[last]++
			return true
		}
		x.path, x.width = x.path[:last], x.width[:last]
	}
	return false
}

// choose takes the next choice of this history.
func (x *explorer) choose(n int) int {
	if n == 1 {
		return 0
	}
	if x.at < len(x.path) {
		x.at++
		return x.path[x.at-1]
	}
	state := x.state(n)
	if x.seen[state] {
		panic(cut{})
	}
	x.seen[state] = true
	x.path, x.width = append(x.path, 0), append(x.width, n)
	x.at++
	return 0
}

// state is the same for worlds that go on in the same way.
func (x *explorer) state(n int) uint64 {
	h := fnv.New64a()
	put := func(v ...any) { _, _ = h.Write(timeless(fmt.Appendln(nil, v...), x.w.now)) }
	put(n, x.chosen, x.left, x.deaths, x.doubted)
	for _, id := range slices.Sorted(maps.Keys(x.w.runs)) {
		r := x.w.runs[id]
		put(r.fields, anyWorker.Replace(fmt.Sprint(r.tasks)), r.outputs)
	}
	put(x.w.timers)
	putStream(put, x.w.events)
	for _, lane := range slices.Sorted(maps.Keys(x.w.tickets)) {
		putStream(put, x.w.tickets[lane])
	}
	for _, a := range x.w.actors {
		put(anyWorker.Replace(a.name), a.doing, a.over, anyWorker.Replace(a.local.String()))
		if p := x.parts[a.name]; p != nil {
			for _, id := range slices.Sorted(maps.Keys(p.runs)) {
				put(id, p.runs[id].version)
			}
		}
	}
	return h.Sum64()
}

// timeless takes times that have passed out of a text, in place: what follows
// depends only on those to come. Times are the numbers of seven digits; ids and
// publications are shorter or longer.
func timeless(text []byte, now int64) []byte {
	from := -1
	for i, c := range text {
		word := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		switch {
		case word && from < 0:
			from = i
		case !word && from >= 0:
			if at, err := strconv.ParseInt(string(text[from:i]), 10, 64); i-from == 7 && err == nil {
				copy(text[from:], fmt.Sprintf("%07d", max(0, at-now)))
			}
			from = -1
		}
	}
	return text
}

func putStream[T any](put func(...any), s *stream[T]) {
	for _, e := range s.entries {
		put(idOf(e.seq), anyWorker.Replace(fmt.Sprint(e.value)))
	}
	put(s.read)
	for _, seq := range s.pelOrder() {
		put(seq, anyWorker.Replace(s.pel[seq].consumer))
	}
}

// anyWorker takes the names of workers away: nothing depends on them.
var anyWorker = strings.NewReplacer("w1", "w", "w2", "w")

// same reports whether it does not matter which of two processes goes on: both
// are idle, know the same, and hold nothing.
func (x *explorer) same(a, b *actor) bool {
	if a.name[0] != b.name[0] || a.doing != b.doing || anyWorker.Replace(a.local.String()) != anyWorker.Replace(b.local.String()) {
		return false
	}
	if a.name[0] == 'w' {
		return a.doing == "wait"
	}
	p, q := x.parts[a.name], x.parts[b.name]
	return a.doing == "wait" && p != nil && q != nil && len(p.runs)+len(q.runs) == 0 && !x.pendingFor(a.name) && !x.pendingFor(b.name)
}

// decide lets a command go well, or be a fault.
func (x *explorer) decide(a *actor) verdict {
	x.chosen = a.name
	if x.left == 0 || a.process == "reaper" || a.process == "operator" {
		return proceed
	}
	v := verdict(x.choose(5))
	if v == proceed {
		return proceed
	}
	x.left--
	if (v == crash || v == crashAfter) && a.name[0] == 'w' {
		x.deaths++
	}
	return v
}

// orchestrator takes in events and timers, for ever.
func (x *explorer) orchestrator(name string) {
	x.w.spawn(name, name, func(a *actor, v *view) {
		o := orchestratorOn(x.w, a, name, x.loader)
		o.owned[0] = true // ownership is for speed only
		// Of all that step one version of the run, one can commit: publications
		// stay unique, and the same in all histories.
		o.nonce = func() uint64 { return 1000 + uint64(x.w.version("r")) }
		part := newPartition(o, 0)
		part.programs = x.programs
		x.parts[name] = part
		ctx := context.Background()
		left, err := v.ClaimEvents(ctx, 0, name, 0, batch) // whosever they were
		for {
			if err == nil && len(left) > 0 {
				part.ledger.add(left)
				_ = part.process(ctx, left, nil)
				part.endAcks(ctx)
			}
			a.local.Reset()
			a.wait(x.something, x.untilTimer())
			if due, _ := x.w.due(o.now(), batch); len(due) > 0 {
				_ = part.process(ctx, nil, due)
			}
			if !x.w.events.news() && x.pendingFor(name) {
				left, err = v.ClaimEvents(ctx, 0, name, 0, batch)
				continue
			}
			left, err = v.ReadEvents(ctx, 0, name, batch, 0)
		}
	})
}

// something is there for an orchestrator to do.
func (x *explorer) something() bool {
	due, _ := x.w.due(time.UnixMilli(x.w.now), 1)
	return x.w.events.news() || len(due) > 0
}

// pendingFor: events that this orchestrator was given and has lost, after a
// while in which nothing came.
func (x *explorer) pendingFor(name string) bool { return len(x.w.events.own(name)) > 0 }

func (x *explorer) untilTimer() time.Duration { return time.Second }

// worker takes tickets one by one and reports them.
func (x *explorer) worker(name string) {
	x.w.spawn(name, name, func(a *actor, v *view) {
		s := &simWorker{w: x.w, a: a, v: v, name: name}
		for {
			a.local.Reset()
			a.wait(s.news, time.Hour)
			got, err := call(v, "read tickets", func() ([]wire.Ticket, error) { return x.w.readTickets(wire.LanesOf("default"), name, 1), nil })
			if err != nil {
				x.deaths++ // what it was given and never saw is found by its lease
			}
			for _, t := range got {
				s.begin(t)
				s.hand[0].until = 0
				for len(s.hand) > 0 {
					s.finish()
				}
			}
		}
	})
}

// reaper takes a ticket from a worker that died, and once from one that did
// not.
func (x *explorer) reaper() {
	x.w.spawn("reaper", "reaper", func(a *actor, v *view) {
		given := func() bool {
			return len(x.w.lane(wire.Stream{Queue: "default"}).pel) > 0 && (x.deaths > 0 || !x.doubted)
		}
		for {
			a.local.Reset()
			a.wait(given, time.Hour)
			if !given() {
				continue
			}
			pending := x.w.lane(wire.Stream{Queue: "default"}).pelOrder()
			seq := pending[x.w.choose(len(pending))]
			if x.deaths > 0 {
				x.deaths--
			} else {
				x.doubted = true
			}
			if e, there := x.w.lane(wire.Stream{Queue: "default"}).get(seq); there {
				_ = v.SendEvents(context.Background(), 0, []wire.Event{{Type: wire.Lost, Run: e.value.Run, Task: e.value.Task, Fence: e.value.Fence}})
			}
		}
	})
}

// play plays one history.
func (x *explorer) play() {
	if x.first == nil {
		x.begin()
	}
	x.w, x.at, x.left, x.deaths, x.doubted, x.parts = newWorld(), 0, x.faults, 0, x.faults == 0, map[string]*partition{}
	x.first.copyTo(x.w)
	x.w.remember = true
	x.histories++
	defer x.w.close()
	x.w.choose, x.w.decide, x.w.same = x.choose, x.decide, x.same
	x.w.quiet = func(name string) bool { return name == "definition" }
	x.revive()
	x.reaper()
	if x.cancels {
		x.w.spawn("operator", "operator", func(_ *actor, v *view) {
			_ = v.SendEvents(context.Background(), 0, []wire.Event{{Type: wire.Cancel, Run: "r"}})
		})
	}
	defer func() {
		if v := recover(); v != nil {
			if _, is := v.(cut); !is {
				panic(v)
			}
		}
	}()
	for steps := 0; !x.ended(); steps++ {
		x.chosen = ""
		x.revive()
		if !x.w.advance() || steps > 2000 {
			x.w.violated("stuck")
			break
		}
	}
	x.w.checkRun("r", &simDAG{})
}

// begin creates the run, without choices.
func (x *explorer) begin() {
	x.w, x.programs = newWorld(), map[string]*engine.Program{}
	x.first = x.w
	x.w.choose, x.w.decide = func(int) int { return 0 }, func(*actor) verdict { return proceed }
	x.w.spawn("setup", "setup", func(a *actor, _ *view) {
		o := orchestratorOn(x.w, a, "setup", x.loader)
		if err := o.accept(context.Background(), []wire.Submission{{Entry: "1-0", ID: "r", Definition: x.def}}); err != nil {
			x.w.violated("not accepted: %v", err)
		}
	})
	for !x.w.actors[0].over {
		x.w.advance()
	}
}

// copyTo gives another world the run of this one, and its first tickets.
func (w *world) copyTo(to *world) {
	maps.Copy(to.runs, w.runs) // a commit makes a new record
	maps.Copy(to.definitions, w.definitions)
	maps.Copy(to.timers, w.timers)
	maps.Copy(to.active, w.active)
	maps.Copy(to.queues, w.queues)
	for name, s := range w.tickets {
		to.tickets[name] = &stream[wire.Ticket]{m: to.model, seq: s.seq, entries: slices.Clone(s.entries), pel: map[int64]*held{}}
	}
	maps.Copy(to.fx.published, w.fx.published)
}

func (x *explorer) ended() bool {
	rec, err := x.w.record("r")
	return err == nil && rec.State.Final() && len(x.w.events.entries) == 0 && len(x.w.lane(wire.Stream{Queue: "default"}).entries) == 0
}

// revive starts what is not there, up to its first command.
func (x *explorer) revive() {
	there := x.w.processes()
	for _, name := range []string{"o1", "o2", "w1", "w2"} {
		if slices.Contains(there, name) {
			continue
		}
		if name[0] == 'o' {
			x.orchestrator(name)
		} else {
			x.worker(name)
		}
		x.w.resume(x.w.actors[len(x.w.actors)-1])
	}
}

// TestSimulationOfAllHistories explores small flows exhaustively.
func TestSimulationOfAllHistories(t *testing.T) {
	t.Parallel()
	job := func(name, fate, deps string) string {
		return fmt.Sprintf("  %s: {job: work, dependsOn: [%s], retries: {max: 3, delay: 10ms, onLost: 99}, inputs: {fate: %s, ms: 1, n: 1, item: 0}}\n", name, deps, fate)
	}
	flows := []struct {
		name, def string
		cancels   bool
	}{
		{"one job", job("a", "ok", ""), false},
		{"a job that fails once", job("a", "flaky", ""), false},
		{"a chain of two", job("a", "ok", "") + job("b", "ok", "a"), false},
		{"two side by side", job("a", "ok", "") + job("b", "ok", ""), false},
		{"one job and a cancel", job("a", "ok", ""), true},
		{"a fan-in of two", job("a", "ok", "") + job("b", "ok", "") + job("c", "ok", "a, b"), false},
		{"a diamond", job("a", "ok", "") + job("b", "ok", "a") + job("c", "ok", "a") + job("d", "ok", "b, c"), false},
	}
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			x := &explorer{t: t, loader: simLoader(t), def: "jobs:\n" + f.def, cancels: f.cancels, faults: *exploreFaults, seen: map[uint64]bool{}}
			all := "all"
			for more := true; more; more = x.next() {
				if x.histories == *exploreMost && x.histories > 0 {
					all = "the first"
					break
				}
				x.play()
				if len(x.w.violations) > 0 {
					t.Fatalf("%s\nchoices %v", strings.Join(x.w.violations, "\n"), x.path)
				}
			}
			t.Logf("%s %d histories, %d states, %d faults each", all, x.histories, len(x.seen), x.faults)
		})
	}
}
