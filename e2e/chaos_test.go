package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/report"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// dag is a random flow and what must come of it.
type dag struct {
	text  string
	deps  map[string][]string
	items map[string]int // of iterated jobs
	// cancelled says that somebody cancels the run.
	cancelled bool
}

// drawDAG draws jobs that note their start and end in a file of the run. Some
// fail the first time, some always and are tolerated, some are iterated, and
// some are flows of their own.
func drawDAG(r *rand.Rand, effects string) dag {
	d := dag{deps: map[string][]string{}, items: map[string]int{}}
	var b strings.Builder
	if r.IntN(5) == 0 {
		fmt.Fprintf(&b, "concurrency: {group: runs, limit: %d}\n", 1+r.IntN(2))
	}
	b.WriteString("jobs:\n")
	for i := range 3 + r.IntN(6) {
		name := fmt.Sprintf("j%d", i)
		d.deps[name] = nil
		for k := range i {
			if r.IntN(3) == 0 {
				d.deps[name] = append(d.deps[name], fmt.Sprintf("j%d", k))
			}
		}
		if r.IntN(7) == 0 {
			fmt.Fprintf(&b, "  %s: {flow: inner, dependsOn: [%s]}\n", name, strings.Join(d.deps[name], ", "))
			continue
		}
		end := fmt.Sprintf(`sleep 0.%02d; echo "end $ORCHIS_TASK" >> %s/$ORCHIS_RUN; echo "$ORCHIS_TASK"`, r.IntN(40), effects)
		fate := r.IntN(6)
		switch fate {
		case 0:
			end = `test "$ORCHIS_ATTEMPT" != 1 && ` + end
		case 1:
			end = "exit 3"
		}
		fmt.Fprintf(&b, "  %s:\n    job: exec\n    dependsOn: [%s]\n    inputs: {command: 'echo \"start $ORCHIS_TASK\" >> %s/$ORCHIS_RUN; %s'}\n",
			name, strings.Join(d.deps[name], ", "), effects, end)
		fmt.Fprintf(&b, "    retries: {max: 3, delay: 50ms, onLost: 1000}\n")
		if r.IntN(4) == 0 {
			fmt.Fprintf(&b, "    concurrency: {group: g%d, limit: %d}\n", r.IntN(2), 1+r.IntN(3))
		}
		switch {
		case fate == 1:
			b.WriteString("    continueOnError: true\n")
		case r.IntN(3) == 0:
			d.items[name] = 1 + r.IntN(4)
			fmt.Fprintf(&b, "    iterate: {from: 1, to: %d}\n", d.items[name])
		}
	}
	d.cancelled = r.IntN(6) == 0
	d.text = b.String()
	return d
}

// TestChaos lets runs go on while processes are killed and frozen, their links
// cut, blocked one way or both and slowed down, and Redis restarted, filled up,
// robbed and emptied; then it holds what was recorded against what the jobs
// themselves have written. ORCHIS_CHAOS is the number of seeds, or
// ORCHIS_CHAOS_RUNS that of runs at least, ORCHIS_CHAOS_SEED the first seed, and
// ORCHIS_CHAOS_TOPOLOGY cluster or sentinels.
func TestChaos(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	seeds, first := 1, uint64(1)
	if n, err := strconv.Atoi(os.Getenv("ORCHIS_CHAOS")); err == nil {
		seeds = n
	}
	if n, err := strconv.Atoi(os.Getenv("ORCHIS_CHAOS_RUNS")); err == nil {
		seeds = (n + chaosRuns - 1) / chaosRuns
	}
	if n, err := strconv.ParseUint(os.Getenv("ORCHIS_CHAOS_SEED"), 10, 64); err == nil {
		first = n
	}
	topology := os.Getenv("ORCHIS_CHAOS_TOPOLOGY")
	tasks, bad, faults := 0, 0, map[string]int{}
	for seed := first; seed < first+uint64(seeds); seed++ {
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { tasks += chaos(t, seed, topology, faults) }) {
			bad++
		}
	}
	text := fmt.Sprintf("%s: seeds %d to %d, %d runs, %d tasks, %d seeds with a violation.\nFaults: %s.",
		report.Machine(t.Context()), first, first+uint64(seeds)-1, seeds*chaosRuns, tasks, bad, report.Counts(faults))
	t.Log(text)
	if err := report.Section("chaos"+topology, text); err != nil {
		t.Error(err)
	}
}

const chaosRuns = 12 // of a seed

// storm is the chaos of one seed.
type storm struct {
	*house
	r        *rand.Rand
	count    map[string]int
	failover func() error // on a Cluster or with Sentinels
	// forgotten says that Redis has forgotten who works at what, or has taken
	// back what it had acknowledged: then a ticket may be taken twice.
	forgotten bool
}

func newStorm(t *testing.T, seed uint64, topology, effects string, count map[string]int) *storm {
	t.Helper()
	s := &storm{r: rand.New(rand.NewPCG(seed, 0)), count: count}
	project := t.TempDir()
	job := `job: exec, retries: {max: 3, onLost: 1000}, inputs: {command: 'echo "start $ORCHIS_TASK" >> DIR/$ORCHIS_RUN; echo "end $ORCHIS_TASK" >> DIR/$ORCHIS_RUN; echo "$ORCHIS_TASK"'}`
	inner := strings.ReplaceAll("jobs:\n  a: {"+job+"}\n  b: {dependsOn: [a], "+job+"}\n", "DIR", effects)
	if err := errors.Join(os.Mkdir(filepath.Join(project, "flows"), 0o700), os.WriteFile(filepath.Join(project, "flows", "inner.yaml"), []byte(inner), 0o600)); err != nil {
		t.Fatal(err)
	}
	orchestrators, workers := 2+s.r.IntN(2), 4+s.r.IntN(3)
	switch topology {
	case "":
		s.house = furnish(t, redistest.Durable(t), orchestrators, workers, true, project)
	case "cluster":
		c := redistest.NewCluster(t, true)
		s.house = furnish(t, c.Server, orchestrators, workers, false, project)
		s.failover = func() error {
			key := fmt.Sprintf("orchis:{%d}:events", s.r.IntN(16))
			return errors.Join(c.MoveSlot(key), c.Failover(key))
		}
	case "sentinels":
		c := redistest.NewSentinels(t)
		s.house = furnish(t, c.Server, orchestrators, workers, false, project)
		s.failover = c.Failover
	default:
		t.Fatalf("ORCHIS_CHAOS_TOPOLOGY is %q, want cluster, sentinels or nothing", topology)
	}
	return s
}

func chaos(t *testing.T, seed uint64, topology string, faults map[string]int) int {
	t.Helper()
	effects := t.TempDir()
	s := newStorm(t, seed, topology, effects, faults)
	runs := map[string]dag{}
	for n := range chaosRuns {
		d := drawDAG(s.r, effects)
		id := fmt.Sprintf("run-%d-%d", seed, n)
		runs[id] = d
		entry := s.send(id, d)
		if n%4 == 0 && s.failover == nil {
			s.taken(id, entry, d)
		}
		if n%2 == 1 {
			s.fault()
		}
	}
	for range 8 {
		s.fault()
	}
	for _, id := range slices.Sorted(maps.Keys(runs)) {
		s.there(id, runs[id]) // also after all was deleted
	}
	for _, id := range slices.Sorted(maps.Keys(runs)) {
		if runs[id].cancelled {
			s.count["cancel"]++
			s.until(id+" is asked to stop", func() bool { return s.client.Cancel(t.Context(), id, "chaos", "") == nil })
		}
	}
	if s.failover != nil {
		s.forgotten = true
		s.count["failover"]++
		if err := s.failover(); err != nil {
			t.Error(err)
		}
	}
	tasks := 0
	for _, id := range slices.Sorted(maps.Keys(runs)) {
		s.there(id, runs[id])
		if rec := s.wait(id); rec.State != run.Succeeded && (rec.State != run.Cancelled || !runs[id].cancelled) {
			t.Errorf("%s is %s: %v", id, rec.State, rec.Error)
		}
		s.once(id)
		tasks += s.history(id, runs[id], effects)
	}
	if s.failover == nil {
		s.atRest()
	}
	return tasks
}

// send submits a run, again and again while Redis does not take it.
func (s *storm) send(id string, d dag) (entry string) {
	s.until(id+" is sent", func() bool {
		var err error
		entry, err = s.client.Submit(s.t.Context(), client.Request{Definition: d.text, ID: id})
		return err == nil
	})
	return entry
}

// taken waits until a submission is a run. One that came while Redis was full
// is rejected, and sent again, as anybody would do.
func (s *storm) taken(id, entry string, d dag) {
	s.t.Helper()
	s.until(id+" is accepted", func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		_, err := s.client.Accepted(ctx, entry)
		var no *client.RejectedError
		if errors.As(err, &no) {
			if !strings.HasPrefix(no.Reason, "busy: ") {
				s.t.Fatalf("%s is rejected: %s", id, no.Reason)
			}
			entry = s.send(id, d)
		}
		return err == nil
	})
}

// there waits for a run. What was rejected by a full Redis, or taken back by a
// failover, is sent again.
func (s *storm) there(id string, d dag) {
	tries := 0
	s.until(id+" is there", func() bool {
		_, err := s.client.Get(s.t.Context(), id)
		if tries++; err != nil && tries%500 == 0 {
			s.send(id, d)
		}
		return err == nil
	})
}

// atRest checks that nothing is left behind.
func (s *storm) atRest() {
	s.t.Helper()
	s.quiet()
	s.until("no slot is left behind", func() bool { return s.redisCLI("--scan", "--pattern", "orchis:{g*") == "" })
	for _, k := range [][2]string{{"orchis:{0}:events", "orchestrators"}, {"orchis:{0}:tickets:default", "workers"}, {"orchis:submit", "orchestrators"}} {
		s.until(k[0]+" has nothing pending", func() bool { return strings.HasPrefix(s.redisCLI("XPENDING", k[0], k[1]), "0") })
	}
}

// fault does harm to one process, its link, or Redis, and lets it come back.
func (s *storm) fault() {
	s.t.Helper()
	name := slices.Sorted(maps.Keys(s.procs))[s.r.IntN(len(s.procs))]
	program := "worker"
	if strings.HasPrefix(name, "o") {
		program = "orchestrator"
	}
	kinds := []string{"kill", "kill", "freeze", "stop"}
	if s.failover == nil {
		kinds = append(kinds, "cut", "block", "deafen", "mute", "lose replies of", "lose replies of", "slow",
			"Redis freeze", "Redis kill", "memory full", "tickets deleted", "group destroyed", "events deleted", "timers deleted", "everything deleted")
	}
	what := kinds[s.r.IntN(len(kinds))]
	d := time.Duration(100+s.r.IntN(2500)) * time.Millisecond
	if s.onProcess(what, name, program, d) || s.onLink(what, name, d) {
		s.count[what+" "+program]++
	} else {
		s.onRedis(what, d)
		s.count[what]++
	}
	s.pause(time.Duration(s.r.IntN(200)) * time.Millisecond)
}

func (s *storm) onProcess(what, name, program string, d time.Duration) bool {
	switch what {
	case "kill":
		s.kill(name)
		s.start(name, program)
	case "stop":
		s.stop(name)
		s.start(name, program)
	case "freeze":
		_ = s.procs[name].cmd.Process.Signal(syscall.SIGSTOP)
		s.pause(d)
		_ = s.procs[name].cmd.Process.Signal(syscall.SIGCONT)
	default:
		return false
	}
	return true
}

func (s *storm) onLink(what, name string, d time.Duration) bool {
	switch what {
	case "cut":
		s.links[name].Cut()
	case "block", "deafen", "mute":
		s.links[name].Block(map[string]redistest.Direction{"block": redistest.Requests | redistest.Replies, "deafen": redistest.Replies, "mute": redistest.Requests}[what])
		s.pause(d)
		s.links[name].Block(0)
	case "lose replies of":
		for range 1 + s.r.IntN(8) {
			s.links[name].DropReply()
			s.pause(time.Duration(s.r.IntN(150)) * time.Millisecond)
		}
	case "slow":
		s.links[name].Slow(100 * time.Millisecond)
		s.pause(d)
		s.links[name].Slow(0)
	default:
		return false
	}
	return true
}

func (s *storm) onRedis(what string, d time.Duration) {
	s.t.Helper()
	switch what {
	case "Redis freeze":
		s.redis.Signal(s.t, syscall.SIGSTOP)
		s.pause(d)
		s.redis.Signal(s.t, syscall.SIGCONT)
	case "Redis kill":
		s.redis.Restart(s.t)
	case "memory full":
		s.redisCLI("CONFIG", "SET", "maxmemory", "1")
		s.pause(d)
		s.redisCLI("CONFIG", "SET", "maxmemory", "0")
	case "tickets deleted":
		s.redisCLI("DEL", "orchis:{0}:tickets:default")
	case "group destroyed":
		s.forgotten = true
		s.redisCLI("XGROUP", "DESTROY", "orchis:{0}:tickets:default", "workers")
	case "events deleted":
		s.redisCLI("DEL", "orchis:{0}:events")
	case "timers deleted":
		s.redisCLI("DEL", "orchis:{0}:timers")
	case "everything deleted":
		s.forgotten = true
		s.redisCLI("FLUSHALL")
	}
}

// pause lets the other processes go on for a time, which is the fault itself.
func (h *house) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.t.Context().Done():
	}
}
