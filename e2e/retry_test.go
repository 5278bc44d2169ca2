package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

const retryMain = `
inputs: {bpm: {default: 110}}
jobs:
  fetch: {job: exec, inputs: {command: "echo fetched"}}
  cut: {flow: cut, inputs: {file: "${fetch.stdout}"}}
  fade:
    job: exec
    dependsOn: [cut]
    iterate: [a, b, c]
    failFast: false
    retries: 0
    inputs: {command: [sh, -c, 'test $0 != b || test -e "$1"', "${iterate.item}", MARKER]}
  join: {job: exec, dependsOn: [fade], inputs: {command: "echo joined"}}
  beat: {job: exec, inputs: {command: [echo, "${inputs.bpm}"]}}
  late: {job: exec, delay: 2s, inputs: {command: "echo late"}}
outputs: ${join.stdout}
`

const retryCut = `
inputs: {file: {}}
jobs:
  probe: {job: exec, inputs: {command: [echo, "${inputs.file}"]}}
  split: {job: exec, inputs: {command: [echo, "${probe.stdout}"]}}
`

// retryHouse has a project with a flow that fails at one item until the marker
// is there.
func retryHouse(t *testing.T) (h *house, marker string) {
	t.Helper()
	needs(t, "redis-server")
	project := t.TempDir()
	marker = filepath.Join(project, "marker")
	write(t, filepath.Join(project, "flows", "main.yaml"), strings.ReplaceAll(retryMain, "MARKER", marker))
	write(t, filepath.Join(project, "flows", "cut.yaml"), retryCut)
	return furnish(t, redistest.Real(t), 1, 1, false, project), marker
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// states are those of the tasks that a run has, by path.
func (h *house) states(id string) map[string]run.TaskState {
	h.t.Helper()
	tasks, err := h.client.Tasks(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	out := map[string]run.TaskState{}
	for i := range tasks {
		out[tasks[i].ID] = tasks[i].State
	}
	return out
}

// took checks that exactly these tasks of a run had a worker; what else has a
// result was taken over.
func (h *house) took(id string, ran ...string) {
	h.t.Helper()
	want := map[string]bool{}
	for _, task := range ran {
		want[task] = true
	}
	for task, state := range h.states(id) {
		whole := task == "cut" || task == "fade"
		switch {
		case whole && state == run.TaskSucceeded:
		case want[task] != (state == run.TaskSucceeded) || !want[task] && state != run.TaskCached:
			h.t.Errorf("run %s: task %s is %s, want one that ran: %t", id, task, state, want[task])
		}
	}
}

// retry tries a run again by the command and returns the new run.
func (h *house) retry(args ...string) (id, plan string) {
	h.t.Helper()
	out, code := h.orchis(append([]string{"retry", "--yes"}, args...)...)
	if code != 0 {
		h.t.Fatalf("retry %v: exit code %d, %s", args, code, out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1], out
}

// TestARunIsTriedAgain: what failed runs again, with a kill -9 of the
// orchestrator between; then a run that succeeded is tried again in part, with
// another definition, and one that was cancelled.
func TestARunIsTriedAgain(t *testing.T) {
	t.Parallel()
	h, marker := retryHouse(t)
	first := h.submit(client.Request{Recipe: "main"})
	if rec := h.wait(first); rec.State != run.Failed {
		t.Fatalf("the first run is %s", rec.State)
	}
	if _, code := h.orchis("retry", first); code != 2 {
		t.Errorf("without a terminal and --yes: exit code %d", code)
	}
	write(t, marker, "")
	second, plan := h.retry(first)
	for _, line := range []string{"fade[1]", "failed before", "blocked before", "7 reused, 2 run again"} {
		if !strings.Contains(plan, line) {
			t.Errorf("the plan has no %q:\n%s", line, plan)
		}
	}
	h.until("what is not delayed has ended", func() bool { return h.states(second)["join"] == run.TaskSucceeded })
	h.kill("o1")
	if state := h.states(second)["late"]; state != run.TaskDelayed {
		t.Fatalf("late is %s: the orchestrator was killed too late", state)
	}
	h.start("o2", "orchestrator")
	if rec := h.succeeded(second); string(rec.Outputs) != `"joined\n"` || rec.Labels["retryOf"] != first {
		t.Errorf("the second run is %+v", rec)
	}
	h.took(second, "fade[1]", "join")
	if rec, err := h.client.Get(t.Context(), first); err != nil || rec.State != run.Failed {
		t.Errorf("the first run is %+v, %v", rec, err)
	}
	third, _ := h.retry(second, "--from", "cut/split")
	h.succeeded(third)
	h.took(third, "cut/split", "fade[0]", "fade[1]", "fade[2]", "join")
	h.retryOtherwise(third)
	h.quiet()
}

// retryOtherwise tries a run again with another definition, other inputs, and
// after a cancel.
func (h *house) retryOtherwise(third string) {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.project, "flows", "main.yaml"))
	if err != nil {
		h.t.Fatal(err)
	}
	fixed := filepath.Join(h.project, "flows", "fixed.yaml")
	write(h.t, fixed, strings.ReplaceAll(string(text), "echo joined", "echo better"))
	fourth, plan := h.retry(third, "--definition", fixed, "--set", "inputs.bpm=120")
	if !strings.Contains(plan, "inputs changed: command") || !strings.Contains(plan, "7 reused, 2 run again") {
		h.t.Errorf("the plan is\n%s", plan)
	}
	if rec := h.succeeded(fourth); string(rec.Outputs) != `"better\n"` || string(rec.Inputs) != `{"bpm":120}` {
		h.t.Errorf("the fourth run is %+v", rec)
	}
	h.took(fourth, "join", "beat")
	if _, code := h.orchis("retry", third, "--set", "inputs.other=1", "--dry-run"); code != 3 {
		h.t.Errorf("an input that is not declared: exit code %d", code)
	}
	if _, code := h.orchis("retry", third, "--from", "nothing", "--dry-run"); code != 3 {
		h.t.Errorf("a job that is not there: exit code %d", code)
	}
	fifth := h.submit(client.Request{Recipe: "main"})
	h.until("it is under way", func() bool { return h.states(fifth)["join"] == run.TaskSucceeded })
	if _, code := h.orchis("retry", fifth, "--yes"); code != 3 {
		h.t.Errorf("a run that has not ended: exit code %d", code)
	}
	h.orchis("cancel", fifth)
	if rec := h.wait(fifth); rec.State != run.Cancelled {
		h.t.Fatalf("the fifth run is %s", rec.State)
	}
	entry := h.redisCLI("XADD", "orchis:submit", "*", "from", fifth, "retry", "failed")
	sixth := h.accepted(entry)
	h.succeeded(sixth)
	h.took(sixth, "late")
}

// TestResultsAreCachedBetweenRuns: by inputs, until they expire or are purged,
// and not for a run that wants none of it.
func TestResultsAreCachedBetweenRuns(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server")
	h := newHouse(t, 1, 1)
	text := "inputs: {n: {default: 1}}\njobs:\n  a: {job: exec, cache: {ttl: %s, scope: global}, inputs: {command: [echo, \"${inputs.n}\"]}}\n  b: {job: exec, cache: true, iterate: [1, 2], inputs: {command: [echo, \"${iterate.item}\", \"${a.stdout}\"]}}\n"
	states := func(r client.Request) map[string]run.TaskState {
		t.Helper()
		id := h.submit(r)
		h.succeeded(id)
		return h.states(id)
	}
	long := client.Request{Definition: fmt.Sprintf(text, "1h")}
	if got := states(long); got["a"] != run.TaskSucceeded || got["b[1]"] != run.TaskSucceeded {
		t.Errorf("the first run: %v", got)
	}
	if got := states(long); got["a"] != run.TaskCached || got["b[0]"] != run.TaskCached || got["b[1]"] != run.TaskCached {
		t.Errorf("the second run: %v", got)
	}
	none := long
	none.NoCache = true
	if got := states(none); got["a"] != run.TaskSucceeded {
		t.Errorf("a run without cache: %v", got)
	}
	other := long
	other.Inputs = map[string]any{"n": 2}
	if got := states(other); got["a"] != run.TaskSucceeded || got["b[0]"] != run.TaskSucceeded {
		t.Errorf("other inputs: %v", got)
	}
	out, code := h.orchis("cache", "list", "-o", "json")
	var all []client.Cached
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 || len(all) != 6 {
		t.Fatalf("cache list: exit code %d, %s", code, out)
	}
	if out, code := h.orchis("cache", "show", all[0].Key[:20]); code != 0 || !strings.Contains(out, all[0].Run) {
		t.Errorf("cache show: exit code %d, %s", code, out)
	}
	if out, code := h.orchis("cache", "purge", "--key", all[0].Key); code != 0 || !strings.Contains(out, "1 deleted") {
		t.Errorf("purge of one: exit code %d, %s", code, out)
	}
	if out, code := h.orchis("cache", "purge", "--all"); code != 0 || !strings.Contains(out, "5 deleted") {
		t.Errorf("purge of all: exit code %d, %s", code, out)
	}
	if _, code := h.orchis("cache", "purge"); code != 2 {
		t.Errorf("purge of nothing: exit code %d", code)
	}
	short := client.Request{Definition: fmt.Sprintf(text, "1s")}
	states(short)
	h.until("the result has expired", func() bool {
		left, err := h.client.CachedResults(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		var tasks []string
		for i := range left {
			tasks = append(tasks, left[i].Task)
		}
		slices.Sort(tasks)
		return slices.Equal(tasks, []string{"b[0]", "b[1]"})
	})
	if got := states(short); got["a"] != run.TaskSucceeded || got["b[0]"] != run.TaskCached {
		t.Errorf("after its time: %v", got)
	}
}

// TestResultsAreCachedByTheVersionOfTheirHandler, which stands in its contract.
func TestResultsAreCachedByTheVersionOfTheirHandler(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server")
	project := t.TempDir()
	write(t, filepath.Join(project, "jobs", "stamp.sh"), "#!/bin/sh\nhead -c 8 /dev/urandom | od -An -tx1 | tr -d ' \\n' | sed 's/.*/\"&\"/'\n")
	if err := os.Chmod(filepath.Join(project, "jobs", "stamp.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	contract := func(text string) { write(t, filepath.Join(project, "jobs", "stamp.yaml"), "handler: stamp\n"+text) }
	contract("version: 1\n")
	h := furnish(t, redistest.Real(t), 1, 0, false, project)
	h.start("w1", "worker")
	made := func() (string, run.TaskState) {
		t.Helper()
		id := h.submit(client.Request{Definition: "jobs: {a: {job: stamp, cache: true}}\noutputs: '${a}'\n"})
		return string(h.succeeded(id).Outputs), h.states(id)["a"]
	}
	serving := func(version string, workers int) {
		t.Helper()
		h.until("the workers serve version "+version, func() bool {
			all, err := h.client.Workers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for i := range all {
				for _, x := range all[i].Handlers {
					if x.Name == "stamp" && x.Version == version {
						n++
					}
				}
			}
			return n == workers
		})
		h.pause(1100 * time.Millisecond) // for so long an orchestrator believes what it was told
	}
	serving("1", 1)
	first, state := made()
	if again, cached := made(); state != run.TaskSucceeded || cached != run.TaskCached || again != first {
		t.Errorf("of one version: %s %s, then %s %s", first, state, again, cached)
	}
	contract("version: 2\n")
	h.start("w2", "worker")
	serving("2", 1)
	between, state := made()
	if state != run.TaskSucceeded {
		t.Errorf("while the workers have two versions, the task is %s", state)
	}
	h.stop("w1")
	h.pause(1100 * time.Millisecond)
	second, _ := made()
	if again, state := made(); state != run.TaskCached || again != second || again == first {
		t.Errorf("of the new version: %s, then %s %s", second, again, state)
	}
	contract("version: 1\n")
	h.start("w3", "worker")
	serving("1", 1)
	h.stop("w2")
	h.pause(1100 * time.Millisecond)
	if back, state := made(); state != run.TaskCached || back != first && back != between {
		t.Errorf("of the old version: %s %s, want %s", back, state, first)
	}
	if out := h.orchisOK("cache", "list", "-o", "json"); !strings.Contains(out, `"version": "1"`) || !strings.Contains(out, `"version": "2"`) {
		t.Errorf("the list of results is %s", out)
	}
}
