package orchestrator

import (
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/report"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
)

var (
	simSeed  = flag.Uint64("seed", 0, "replay this one seed of the simulation, with its transcript")
	simSeeds = flag.Int("seeds", 300, "how many seeds the simulation tries")
	simFirst = flag.Uint64("first", 1, "the first of them")
)

// simDAG is a random flow.
type simDAG struct {
	text string
	// edges are pairs of jobs of which the second waits for the first to end.
	edges [][2]string
	// cancelled says that somebody will cancel the run; then its outcome depends
	// on chance.
	cancelled bool
}

// drawSim draws a flow whose outcome does not depend on chance.
func drawSim(r *rand.Rand) *simDAG {
	d := &simDAG{}
	var b strings.Builder
	if r.IntN(4) == 0 {
		fmt.Fprintf(&b, "parallelism: %d\n", 1+r.IntN(3))
	}
	if r.IntN(4) == 0 {
		fmt.Fprintf(&b, "concurrency: {group: runs, limit: %d}\n", 1+r.IntN(2))
	}
	b.WriteString("jobs:\n")
	for i := range 1 + r.IntN(6) {
		name := fmt.Sprintf("j%d", i)
		var deps []string
		for k := range i {
			if r.IntN(3) == 0 {
				deps = append(deps, fmt.Sprintf("j%d", k))
				d.edges = append(d.edges, [2]string{fmt.Sprintf("j%d", k), name})
			}
		}
		if r.IntN(8) == 0 {
			fmt.Fprintf(&b, "  %s: {flow: inner, dependsOn: [%s]}\n", name, strings.Join(deps, ", "))
			continue
		}
		fate := []string{"ok", "ok", "ok", "flaky", "fail"}[r.IntN(5)]
		fmt.Fprintf(&b, "  %s:\n    job: work\n    dependsOn: [%s]\n", name, strings.Join(deps, ", "))
		item := "0"
		if r.IntN(4) == 0 {
			fmt.Fprintf(&b, "    iterate: {from: 1, to: %d}\n    failFast: false\n", r.IntN(5))
			item = `"${iterate.item}"`
		}
		fmt.Fprintf(&b, "    inputs: {fate: %s, ms: %d, n: %d, item: %s}\n", fate, []int{1, 1, 5, 30, 300, 1500}[r.IntN(6)], 1+r.IntN(2), item)
		// A failure may be reported twice when its reply is lost; only the
		// first counts, so the limit is never reached by chance.
		fmt.Fprintf(&b, "    retries: {max: %d, delay: %dms, onLost: 1000}\n", map[string]int{"ok": 1, "flaky": 40, "fail": r.IntN(2)}[fate], 1+r.IntN(300))
		if fate == "fail" && r.IntN(2) == 0 {
			b.WriteString("    continueOnError: true\n")
		}
		if r.IntN(5) == 0 {
			b.WriteString("    if: always()\n")
		}
		if r.IntN(4) == 0 {
			fmt.Fprintf(&b, "    concurrency: {group: g%d, limit: %d}\n", r.IntN(2), 1+r.IntN(2))
		}
		if r.IntN(3) == 0 {
			b.WriteString("    cache: true\n")
		}
	}
	d.text = b.String()
	return d
}

// simulation is a world under a seed.
type simulation struct {
	*world
	t      *testing.T
	r      *rand.Rand
	seed   uint64
	loader *flow.Loader
	dags   map[string]*simDAG
	faults bool
	calm   bool // there are no faults at all
	count  map[string]int
	born   int
	old    [][]wire.Event // entries of events that were there
}

func newSimulation(t *testing.T, seed uint64, loader *flow.Loader, faults bool) *simulation {
	s := &simulation{world: newWorld(), t: t, r: rand.New(rand.NewPCG(seed, 1)), seed: seed, loader: loader, dags: map[string]*simDAG{}, faults: faults, calm: !faults, count: map[string]int{}}
	s.turns = turns{many: 1 + int(seed%3), alone: 1 + int(seed/3%3), portion: 1 + int(seed/9%2)} // of a few events, as there are
	s.choose = func(n int) int {
		s.now += int64(s.r.IntN(3))
		return s.r.IntN(n)
	}
	s.decide = s.verdict
	return s
}

// verdict is what becomes of a command; now and then something happens to it.
func (s *simulation) verdict(*actor) verdict {
	if !s.faults || s.r.IntN(60) != 0 {
		return proceed
	}
	v := []verdict{loseRequest, loseReply, loseReply, crash, crashAfter}[s.r.IntN(5)]
	s.count[verdictNames[v]]++
	return v
}

// run submits flows, lets things happen, and then waits until all is at rest.
func (s *simulation) run() {
	defer s.close()
	draw := rand.New(rand.NewPCG(s.seed, 2))
	for n := range 1 + draw.IntN(4) {
		id := fmt.Sprintf("r%d", n)
		s.dags[id] = drawSim(draw)
		s.dags[id].cancelled = draw.IntN(6) == 0
		s.submit.add(wire.Submission{ID: id, Definition: s.dags[id].text, Inbox: []string{"", "client-1"}[n%2]})
	}
	s.populate()
	storm := s.steps + 400 + s.r.IntN(2500)
	for s.faults && s.steps < storm && s.advance() {
		s.mischief()
		s.populate()
	}
	if s.faults {
		s.say("--- no more faults ---")
	}
	s.faults = false
	for id, d := range s.ordered() {
		if d.cancelled {
			s.wishes.add(wire.Control{Op: "cancel", Run: id, By: "ann"})
		}
	}
	s.settle()
	for id, d := range s.ordered() {
		s.checkRun(id, d)
		s.checkTold(id)
	}
	s.checkQuiet()
}

func (s *simulation) ordered() func(func(string, *simDAG) bool) {
	return func(yield func(string, *simDAG) bool) {
		for _, id := range slices.Sorted(maps.Keys(s.dags)) {
			if !yield(id, s.dags[id]) {
				return
			}
		}
	}
}

// settle goes on until all runs have ended and nothing is left to do.
func (s *simulation) settle() {
	limit := s.steps + 200_000
	rest := func() bool {
		if len(s.submit.entries)+len(s.wishes.entries)+len(s.events.entries)+len(s.events.pel)+len(s.timers)+len(s.active) > 0 {
			return false
		}
		for _, g := range s.groups {
			if len(g.holders)+len(g.waiters) > 0 {
				return false
			}
		}
		for _, l := range s.tickets {
			if len(l.entries)+len(l.pel) > 0 {
				return false
			}
		}
		for id, r := range s.runs {
			if s.calm && s.told[id] == 0 && r.fields["inbox"] != "" {
				return false // its client will be told
			}
		}
		return len(s.runs) == len(s.dags)
	}
	for !rest() {
		s.populate()
		if !s.advance() || s.steps > limit {
			s.violated("stuck after %d steps", s.steps)
			return
		}
	}
}

// populate starts what is not there: two orchestrators and three workers.
func (s *simulation) populate() {
	there := s.processes()
	for _, name := range []string{"o1", "o2", "w1", "w2", "w3"} {
		if slices.Contains(there, name) || slices.ContainsFunc(there, func(p string) bool { return strings.HasPrefix(p, name+".") }) {
			continue
		}
		s.actors = slices.DeleteFunc(s.actors, func(a *actor) bool { return a.over })
		if s.born++; s.born > 5 && s.r.IntN(2) == 0 {
			name = fmt.Sprintf("%s.%d", name, s.born) // a new name, as in a new container
		}
		s.say("%s starts", name)
		if name[0] == 'o' {
			s.orchestrate(name, s.loader)
		} else {
			s.work(name)
		}
	}
}

// mischief does what no command is to blame for.
func (s *simulation) mischief() {
	if s.r.IntN(80) != 0 {
		return
	}
	names := s.processes()
	victim := names[s.r.IntN(len(names))]
	what := []string{"freeze", "freeze", "kill", "clock", "duplicate", "ticket vanishes", "event vanishes", "old event", "stop", "stop"}[s.r.IntN(10)]
	switch what {
	case "freeze":
		d := int64(s.r.IntN(5000))
		s.say("%s is frozen for %d ms", victim, d)
		for _, a := range s.actors {
			if a.process == victim {
				a.frozen = s.now + d
			}
		}
	case "kill":
		s.kill(victim)
	case "stop":
		s.stop(victim)
	case "clock":
		s.skew += []int64{-5000, 5000, 60_000, 3_600_000}[s.r.IntN(4)]
		s.say("the clock of Redis jumps to %d", s.redisNow())
	case "duplicate":
		for _, e := range s.events.entries {
			s.events.add(e.value)
			s.old = append(s.old, e.value)
		}
	case "old event":
		for _, events := range s.old {
			s.events.add(events)
		}
		s.old = nil
	case "event vanishes":
		if n := len(s.events.entries); n > 0 && !slices.ContainsFunc(s.events.entries[s.r.IntN(n)].value, func(ev wire.Event) bool { return !s.harmless(ev) }) {
			s.events.vanish(idOf(s.events.entries[s.r.IntN(n)].seq))
		}
	case "ticket vanishes":
		for _, l := range slices.Sorted(maps.Keys(s.tickets)) {
			if n := len(s.tickets[l].entries); n > 0 {
				s.tickets[l].vanish(idOf(s.tickets[l].entries[s.r.IntN(n)].seq))
			}
		}
	}
	s.count[what]++
}

// harmless reports whether an event may vanish: what an operator wanted cannot
// be found again.
func (s *simulation) harmless(ev wire.Event) bool { return ev.Type != wire.Cancel }

// fingerprint is the same for the same history.
func (s *simulation) fingerprint() uint64 {
	h := fnv.New64a()
	for id := range s.ordered() {
		r := s.runs[id]
		_, _ = fmt.Fprint(h, r.fields, r.tasks, r.outputs, brief(r.log))
	}
	_, _ = fmt.Fprint(h, s.steps, s.now, s.count)
	return h.Sum64()
}

// simLoader knows one nested flow.
func simLoader(t *testing.T) *flow.Loader {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "flows"), 0o700); err != nil {
		t.Fatal(err)
	}
	inner := "jobs:\n  a: {job: work, inputs: {fate: ok, ms: 5, n: 1, item: 0}, retries: {onLost: 1000}}\n  b: {job: work, dependsOn: [a], inputs: {fate: flaky, ms: 1, n: 1, item: 0}, retries: {max: 40, delay: 20ms, onLost: 1000}}\n"
	if err := os.WriteFile(filepath.Join(root, "flows", "inner.yaml"), []byte(inner), 0o600); err != nil {
		t.Fatal(err)
	}
	loader, err := flow.NewLoader(flow.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = loader.Close() })
	return loader
}

// TestSimulation drives real orchestrators, on a model of Redis, through
// crashes between any two commands, lost requests and replies, frozen
// processes, jumps of the clock, duplicates and deletions. Each seed is a
// history of its own; -seed N replays one and writes its transcript.
func TestSimulation(t *testing.T) {
	t.Parallel()
	loader := simLoader(t)
	first, n := *simFirst, *simSeeds
	if *simSeed != 0 {
		first, n = *simSeed, 1
	}
	steps, runs, tasks, cached, bad, faults := 0, 0, 0, 0, 0, map[string]int{}
	for seed := first; seed < first+uint64(n); seed++ {
		s := newSimulation(t, seed, loader, true)
		if *simSeed != 0 {
			s.transcript = &strings.Builder{}
		}
		s.run()
		s.compare()
		if len(s.violations) > 0 {
			bad++
		}
		if len(s.violations) > 0 || s.transcript != nil {
			s.show()
		}
		steps, runs = steps+s.steps, runs+len(s.dags)
		for _, r := range s.runs {
			tasks += len(r.tasks)
		}
		cached += s.fx.cached
		for what, n := range s.count {
			faults[what] += n
		}
	}
	text := fmt.Sprintf("%s: seeds %d to %d, %d runs, %d tasks (%d of them cached), %d commands of Redis, %d seeds with a violation.\nFaults: %s.",
		report.Machine(t.Context()), first, first+uint64(n)-1, runs, tasks, cached, steps, bad, report.Counts(faults))
	t.Log(text)
	if cached == 0 && n > 100 {
		t.Error("no task had its result from another run")
	}
	if err := report.Section("simulation", text); err != nil {
		t.Error(err)
	}
}

// compare holds the outcomes against those of a world without faults.
func (s *simulation) compare() {
	calm := newSimulation(s.t, s.seed, s.loader, false)
	calm.run()
	s.violations = append(s.violations, calm.violations...)
	for id, d := range s.ordered() {
		if d.cancelled || s.runs[id] == nil || calm.runs[id] == nil {
			continue
		}
		if diff := cmp.Diff(calm.outcome(id), s.outcome(id)); diff != "" {
			s.violated("%s ends another way than without faults (-without +with):\n%s\n%s", id, diff, d.text)
		}
	}
}

// show fails the test with the violations, the end of the transcript and where
// all of it is.
func (s *simulation) show() {
	s.t.Helper()
	if s.transcript == nil {
		s.t.Errorf("seed %d: %s\nreplay: go test ./internal/orchestrator -run Simulation -seed %d", s.seed, strings.Join(s.violations, "\n"), s.seed)
		again := newSimulation(s.t, s.seed, s.loader, true)
		again.transcript = &strings.Builder{}
		again.run()
		again.compare()
		again.show()
		return
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("orchis-simulation-%d.txt", s.seed))
	if err := os.WriteFile(path, []byte(s.transcript.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("seed %d: %d steps, transcript in %s", s.seed, s.steps, path)
	if lines := strings.Split(s.transcript.String(), "\n"); len(s.violations) > 0 {
		s.t.Logf("its end:\n%s", strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
	for _, v := range s.violations {
		s.t.Error(v)
	}
}

// TestSimulationRepeatsItself: a seed is one history.
func TestSimulationRepeatsItself(t *testing.T) {
	t.Parallel()
	loader := simLoader(t)
	for seed := range uint64(5) {
		one, two := newSimulation(t, 900+seed, loader, true), newSimulation(t, 900+seed, loader, true)
		one.run()
		two.run()
		if one.fingerprint() != two.fingerprint() {
			t.Errorf("seed %d: %d steps, then %d", 900+seed, one.steps, two.steps)
		}
	}
}
