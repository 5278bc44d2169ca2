package e2e

import (
	"encoding/json"
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
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// dag is a random flow and what must come of it.
type dag struct {
	text  string
	deps  map[string][]string
	items map[string]int // of iterated jobs
}

// drawDAG draws jobs that note their start and end in a file of the run. Some
// fail the first time, some always and are tolerated, some are iterated.
func drawDAG(r *rand.Rand, effects string) dag {
	d := dag{deps: map[string][]string{}, items: map[string]int{}}
	var b strings.Builder
	b.WriteString("jobs:\n")
	for i := range 3 + r.IntN(6) {
		name := fmt.Sprintf("j%d", i)
		d.deps[name] = nil
		for k := range i {
			if r.IntN(3) == 0 {
				d.deps[name] = append(d.deps[name], fmt.Sprintf("j%d", k))
			}
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
		switch {
		case fate == 1:
			b.WriteString("    continueOnError: true\n")
		case r.IntN(3) == 0:
			d.items[name] = 1 + r.IntN(4)
			fmt.Fprintf(&b, "    iterate: {from: 1, to: %d}\n", d.items[name])
		}
	}
	d.text = b.String()
	return d
}

// TestChaos lets runs go on while processes are killed and frozen, then holds
// what was recorded against what the jobs themselves have written.
func TestChaos(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	seeds, first := 1, uint64(1)
	if n, err := strconv.Atoi(os.Getenv("ORCHIS_CHAOS")); err == nil {
		seeds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("ORCHIS_CHAOS_SEED"), 10, 64); err == nil {
		first = n
	}
	tasks, faults := 0, map[string]int{}
	for seed := first; seed < first+uint64(seeds); seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			n := chaos(t, seed, faults)
			tasks += n
		})
	}
	t.Logf("%d seeds, %d tasks, faults %v", seeds, tasks, faults)
}

func chaos(t *testing.T, seed uint64, faults map[string]int) int {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	h := newHouseOn(t, redistest.Durable(t), 2, 4)
	effects := t.TempDir()
	runs := map[string]dag{}
	for n := range 12 {
		d := drawDAG(r, effects)
		id := fmt.Sprintf("run-%d-%d", seed, n)
		runs[id] = d
		entry, err := h.client.Submit(t.Context(), client.Request{Definition: d.text, ID: id})
		if err != nil {
			t.Fatal(err)
		}
		if n%4 == 0 {
			h.accepted(entry)
		}
		if n%2 == 1 {
			h.fault(r, faults)
		}
	}
	for range 8 {
		h.fault(r, faults)
	}
	tasks := 0
	for _, id := range slices.Sorted(maps.Keys(runs)) {
		h.until(id+" is there", func() bool { _, err := h.client.Run(t.Context(), id); return err == nil })
		if rec := h.wait(id); rec.State != run.Succeeded {
			t.Errorf("%s is %s: %v", id, rec.State, rec.Error)
		}
		h.once(id)
		tasks += h.history(id, runs[id], effects)
	}
	h.quiet()
	for _, s := range [][2]string{{"orchis:{0}:events", "orchestrators"}, {"orchis:{0}:tickets:default", "workers"}, {"orchis:submit", "orchestrators"}} {
		if out := h.redisCLI("XPENDING", s[0], s[1]); !strings.HasPrefix(out, "0") {
			t.Errorf("%s still has pending entries: %s", s[0], out)
		}
	}
	return tasks
}

// fault does harm to one process and lets it come back.
func (h *house) fault(r *rand.Rand, count map[string]int) {
	h.t.Helper()
	name := slices.Sorted(maps.Keys(h.procs))[r.IntN(len(h.procs))]
	program := "worker"
	if strings.HasPrefix(name, "o") {
		program = "orchestrator"
	}
	freeze := time.Duration(100+r.IntN(2500)) * time.Millisecond
	what := []string{"kill", "kill", "freeze", "stop", "redis freeze", "redis kill"}[r.IntN(6)]
	if !strings.HasPrefix(what, "redis") {
		count[what+" "+program]++
	} else {
		count[what]++
	}
	p := h.procs[name]
	switch what {
	case "kill":
		h.kill(name)
		h.start(name, program)
	case "stop":
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		if err := p.cmd.Wait(); err != nil {
			h.t.Errorf("%s ends with %v after SIGTERM:\n%s", name, err, p.log)
		}
		h.start(name, program)
	case "freeze":
		_ = p.cmd.Process.Signal(syscall.SIGSTOP)
		h.pause(freeze)
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
	case "redis freeze":
		h.redis.Signal(h.t, syscall.SIGSTOP)
		h.pause(freeze)
		h.redis.Signal(h.t, syscall.SIGCONT)
	case "redis kill":
		h.redis.Restart(h.t)
	}
	h.pause(time.Duration(r.IntN(200)) * time.Millisecond)
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

// history holds the records of a run against the effects of its jobs: every
// task that succeeded has had its effect, none began before what it depends on
// had its, and none began more often than it has attempts.
func (h *house) history(id string, d dag, effects string) int {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(effects, id))
	if err != nil {
		h.t.Fatal(err)
	}
	firstStart, firstEnd, starts := map[string]int{}, map[string]int{}, map[string]int{}
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		what, task, _ := strings.Cut(line, " ")
		if what == "start" {
			starts[task]++
		}
		at := map[string]map[string]int{"start": firstStart, "end": firstEnd}[what]
		if _, there := at[task]; !there {
			at[task] = n
		}
	}
	records, err := h.client.Tasks(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	results, err := h.client.Outputs(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	state := map[string]run.TaskState{}
	for _, rec := range records {
		state[rec.ID] = rec.State
		if !rec.State.Final() {
			h.t.Errorf("%s: task %s is %s", id, rec.ID, rec.State)
		}
		if rec.Items > 0 {
			continue
		}
		if most := rec.Attempt + rec.Releases; starts[rec.ID] > most {
			h.t.Errorf("%s: task %s began %d times, it has %d attempts and hand-backs", id, rec.ID, starts[rec.ID], most)
		}
		if rec.State != run.TaskSucceeded {
			continue
		}
		if _, done := firstEnd[rec.ID]; !done {
			h.t.Errorf("%s: task %s succeeded without its effect", id, rec.ID)
		}
		var out struct{ Stdout string }
		if err := json.Unmarshal(results[rec.ID], &out); err != nil || strings.TrimSpace(out.Stdout) != rec.ID {
			h.t.Errorf("%s: the result of %s is %s", id, rec.ID, results[rec.ID])
		}
	}
	for name, deps := range d.deps {
		for _, task := range tasksOf(name, d) {
			for _, dep := range deps {
				for _, before := range tasksOf(dep, d) {
					if state[before] == run.TaskSucceeded && firstStart[task] < firstEnd[before] {
						h.t.Errorf("%s: %s began before %s had ended", id, task, before)
					}
				}
			}
		}
	}
	return len(records)
}

func tasksOf(name string, d dag) []string {
	n := d.items[name]
	if n == 0 {
		return []string{name}
	}
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s[%d]", name, i))
	}
	return out
}
