package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// stateOf is the state of a task; pending while it has no record.
func (h *house) stateOf(id, task string) run.TaskState {
	h.t.Helper()
	tasks, err := h.client.Tasks(h.t.Context(), id)
	if err != nil {
		return run.TaskPending
	}
	for i := range tasks {
		if tasks[i].ID == task {
			return tasks[i].State
		}
	}
	return run.TaskPending
}

func (h *house) inState(id, task string, s run.TaskState) {
	h.t.Helper()
	h.until(task+" is "+string(s), func() bool { return h.stateOf(id, task) == s })
}

// does runs the command and wants an exit code and a piece of its output.
func (h *house) does(code int, piece string, args ...string) {
	h.t.Helper()
	out, got := h.orchis(args...)
	if got != code || !strings.Contains(out, piece) {
		h.t.Errorf("orchis %v: exit code %d, want %d; printed %q, want %q in it", args, got, code, out, piece)
	}
}

// TestAnOperatorDecides: approvals and signals, by the command and by nothing
// but redis-cli, while orchestrators are killed.
func TestAnOperatorDecides(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 2, 1)
	id := h.submit(client.Request{ID: "decide", Definition: `
jobs:
  go: {approval: {message: "Deploy?", by: [ann, bob], inputs: {note: {label: Note}}}}
  paid: {waitFor: {signal: "paid-${run.id}", match: "self.data.n == 2"}}
  roll: {job: debug, inputs: {by: "${go.by}", note: "${go.note}", n: "${paid.n}"}}
  sure: {dependsOn: [roll], approval: {by: ann}}
outputs: "${roll}"
finally:
  last: {job: debug, inputs: {status: "${run.status}", failed: "${run.failedJobs}"}}
`})
	h.inState(id, "go", run.TaskWaiting)
	h.kill("o1")
	h.does(0, "waits for an approval", "why", id)
	h.does(0, `waits for the signal "paid-decide"`, "why", id, "paid")
	h.does(1, "", "approve", id, "--as", "eve", "-i", "note=x")
	h.does(1, "", "approve", id, "--as", "ann")
	h.does(0, "", "approve", id, "go", "--as", "ann", "-i", "note=fine", "--comment", "looks good")
	h.does(0, "", "signal", id, "paid-decide", "--data", `{"n": 1}`)
	h.redisCLI("XADD", "orchis:control", "*", "op", "signal", "run", id, "signal", "paid-decide", "data", `{"n": 2}`, "by", "shop")
	h.inState(id, "sure", run.TaskWaiting)
	h.kill("o2")
	h.start("o3", "orchestrator")
	h.redisCLI("XADD", "orchis:control", "*", "run", id, "op", "reject", "job", "sure", "by", "ann", "comment", "not today")
	rec := h.wait(id)
	if rec.State != run.Failed || rec.Error.Code != run.CodeRejected || !strings.Contains(rec.Error.Message, "rejected by ann: not today") {
		t.Errorf("the run is %s: %v", rec.State, rec.Error)
	}
	outputs, err := h.client.Outputs(t.Context(), id)
	if err != nil || string(outputs["roll"]) != `{"by":"ann","n":2,"note":"fine"}` || string(outputs["@finally/last"]) != `{"failed":["sure"],"status":"failed"}` {
		t.Errorf("results %s and %s, %v", outputs["roll"], outputs["@finally/last"], err)
	}
	h.does(1, "", "signal", id, "late")
	h.once(id)
	h.quiet()
}

// TestASchedule: it starts runs by itself, is paused, resumed and triggered.
func TestASchedule(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	project := t.TempDir()
	text := "schedule: {cron: '0 0 1 1 *', timezone: Europe/Berlin}\njobs: {a: {job: debug}}\n"
	if err := errors.Join(os.Mkdir(filepath.Join(project, "recipes"), 0o700), os.WriteFile(filepath.Join(project, "recipes", "newyear.yaml"), []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	h := furnish(t, redistest.Real(t), 2, 1, false, project)
	h.does(0, "newyear  Fri 2027-01-01 00:00:00 CET", "schedule", "next", "-n", "1")
	h.until("the schedule is known", func() bool {
		out, _ := h.orchis("schedule", "list")
		return strings.Contains(out, "newyear")
	})
	h.does(0, "", "schedule", "pause", "newyear", "--reason", "holidays")
	h.does(0, "holidays", "schedule", "list")
	h.does(1, "", "schedule", "pause", "newyear")
	h.does(0, "", "schedule", "resume", "newyear")
	id, code := h.orchis("schedule", "trigger", "newyear")
	if code != 0 || !strings.HasPrefix(id, "newyear-") {
		t.Fatalf("trigger: exit code %d, %q", code, id)
	}
	h.until("the run is there", func() bool { _, err := h.client.Get(t.Context(), id); return err == nil })
	h.succeeded(id)
	h.does(1, "", "schedule", "trigger", "nothing")
}

// TestPausedRunsAndQueues: what is paused starts nothing, what is with a worker
// goes on, and many are paused, resumed and cancelled at once.
func TestPausedRunsAndQueues(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 1, 2)
	gate := filepath.Join(t.TempDir(), "gate")
	chain := "name: chain\njobs:\n  a: {job: exec, inputs: {command: 'until test -e GATE; do sleep 0.05; done'}}\n  b: {job: debug, dependsOn: [a]}\n"
	chain = strings.ReplaceAll(chain, "GATE", gate)
	one, two := h.submit(client.Request{Definition: chain}), h.submit(client.Request{Definition: chain})
	h.inState(one, "a", run.TaskRunning)
	h.inState(two, "a", run.TaskRunning)
	h.does(0, one, "pause", "--all", "--recipe", "chain", "--reason", "look first", "--as", "ann")
	h.does(1, "", "pause", one)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.inState(one, "a", run.TaskSucceeded)
	h.does(0, "the run is paused, since", "why", one)
	h.does(0, "paused", "list", "--state", "paused")
	h.does(0, "", "pause", "--queue", "default", "--reason", "deploy")
	h.does(0, "paused", "queues")
	h.until("the workers know it", func() bool {
		all, err := h.client.Workers(t.Context())
		return err == nil && !slices.ContainsFunc(all, func(w client.Worker) bool { return !slices.Contains(w.Paused, "default") })
	})
	h.does(0, two, "resume", "--all")
	h.inState(one, "b", run.TaskQueued)
	h.does(0, "the queue is paused", "why", one)
	h.does(0, "", "resume", "--queue", "default")
	h.succeeded(one)
	h.succeeded(two)
	h.does(2, "", "cancel")
	gone := h.submit(client.Request{Definition: "name: gone\njobs: {a: {delay: 1h}}\n"})
	kept := h.submit(client.Request{Definition: "name: gone\nlabels: {tier: gold}\njobs: {a: {delay: 1h}}\n"})
	h.inState(gone, "a", run.TaskDelayed)
	h.inState(kept, "a", run.TaskDelayed)
	h.does(0, "starts in ", "why", gone)
	h.does(0, kept, "list", "--label", "tier=gold", "--since", "1h", "--state", "running")
	h.does(2, "", "list", "--state", "started")
	h.does(2, "", "cancel", "--all", "--since", "yesterday")
	h.does(2, "", "cancel", "--since", "1h")
	if out, code := h.orchis("cancel", "--all", "--before", "2020-01-01"); code != 0 || out != "" {
		t.Errorf("exit code %d, %s", code, out)
	}
	if out, code := h.orchis("cancel", "--all", "--label", "tier=gold", "--as", "ann", "--reason", "too dear"); code != 0 || out != kept {
		t.Errorf("exit code %d, %s", code, out)
	}
	if rec := h.wait(kept); rec.State != run.Cancelled {
		t.Errorf("the run is %s", rec.State)
	}
	if rec, err := h.client.Get(t.Context(), gone); err != nil || rec.State != run.Running {
		t.Errorf("the other run is %s (%v)", rec.State, err)
	}
	h.does(0, gone, "cancel", "--all", "--recipe", "gone", "--since", "1h")
	if rec := h.wait(gone); rec.State != run.Cancelled {
		t.Errorf("the run is %s", rec.State)
	}
	// Many that failed are tried again at once.
	mended := filepath.Join(t.TempDir(), "mended")
	broken := "name: broken\njobs: {a: {job: debug}, b: {job: exec, retries: 0, dependsOn: [a], inputs: {command: 'test -e " + mended + "'}}}\n"
	for range 3 {
		if rec := h.wait(h.submit(client.Request{Definition: broken})); rec.State != run.Failed {
			t.Fatalf("the run is %s", rec.State)
		}
	}
	if err := os.WriteFile(mended, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.does(0, "1 reused, 1 run again", "retry", "--all", "--recipe", "broken", "--dry-run")
	h.does(2, "", "retry", "--all", "--recipe", "broken")
	out, code := h.orchis("retry", "--all", "--recipe", "broken", "--yes")
	ids := strings.Fields(out)
	if code != 0 || len(ids) < 3 {
		t.Fatalf("exit code %d, %s", code, out)
	}
	for _, id := range ids[len(ids)-3:] {
		h.succeeded(id)
	}
	h.quiet()
}

// TestAKeyGivesTheSameRun for a while, whoever submits, and a rejected
// submission does not keep it.
func TestAKeyGivesTheSameRun(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 2, 1)
	if _, code := h.orchis("submit", "words", "--key", "order-7", "-i", "top=none"); code != 3 {
		t.Fatalf("a bad submission ends with %d", code)
	}
	first := h.orchisOK("submit", "words", "--key", "order-7", "--key-for", "2s")
	again := h.accepted(h.redisCLI("XADD", "orchis:submit", "*", "recipe", "hello", "key", "order-7"))
	other := h.orchisOK("submit", "words", "--key", "order-8")
	if first != again || first == other {
		t.Errorf("the runs are %s, %s and %s", first, again, other)
	}
	h.until("the key counts no more", func() bool { return h.orchisOK("submit", "words", "--key", "order-7") != first })
	bad := h.redisCLI("XADD", "orchis:submit", "*", "recipe", "hello", "key", "k", "keyFor", "soon")
	h.until("a bad time is refused", func() bool {
		return strings.Contains(h.redisCLI("HGET", "orchis:submission:"+bad, "error"), `keyFor is "soon"`)
	})
}
