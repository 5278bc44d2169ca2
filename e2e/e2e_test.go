// Package e2e runs the programs of Orchis as processes, on a real Redis.
package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// bin is the folder of the built programs.
var bin string

func TestMain(m *testing.M) {
	os.Exit(build(m))
}

func TestSamplesRunOnSeparateProcesses(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli", "ffmpeg", "sqlite3", "python3")
	h := newHouse(t, 2, 3)

	byCLI := h.accepted(h.redisCLI("XADD", "orchis:submit", "*", "recipe", "hello", "input.name", "Ada"))
	weave := h.submit(client.Request{Recipe: "weave"})
	etl, code := h.orchis("submit", "nightly-etl", "--id", "etl-1", "-i", "date=2026-11-23")
	if code != 0 || etl != "etl-1" {
		t.Fatalf("orchis submit gives %q, exit code %d", etl, code)
	}
	seed := h.submit(client.Request{Recipe: "flows/seed-example.yaml"})
	words := h.submit(client.Request{Recipe: "words"})
	matrix := h.submit(client.Request{Recipe: "build-matrix", Inputs: map[string]any{"source": h.project, "platforms": []string{"linux/amd64"}}})

	hello := h.succeeded(byCLI)
	if diff := cmp.Diff(`{"best":"centre","report":"Hello Ada! Sales: north 17, south 12, east 18, west 13, centre 19"}`, string(hello.Outputs)); diff != "" {
		t.Error(diff)
	}
	h.succeeded(etl)
	h.succeeded(seed)
	if got := string(h.succeeded(words).Outputs); got != `{"top":["the","orchid","a"],"total":11}` {
		t.Errorf("the words are %s", got)
	}
	woven := h.succeeded(weave)
	h.succeeded(matrix)
	if workers := h.once(weave); len(workers) < 2 {
		t.Errorf("only %v worked on the media run", workers)
	}
	var out struct {
		Master   string
		Segments int
		Seconds  float64
	}
	if err := json.Unmarshal(woven.Outputs, &out); err != nil {
		t.Fatal(err)
	}
	if size := len(h.fetch(out.Master)); size == 0 || out.Segments != 4 || out.Seconds < 3.5 {
		t.Errorf("outputs are %s, and the master has %d bytes", woven.Outputs, size)
	}
	rec, err := h.client.Get(t.Context(), etl)
	if err != nil {
		t.Fatal(err)
	}
	if state := h.redisCLI("HGET", fmt.Sprintf("orchis:{%d}:run:%s", rec.Partition, etl), "state"); state != "succeeded" {
		t.Errorf("redis-cli reads the state %q", state)
	}
	if again, _ := h.orchis("submit", "nightly-etl", "--id", "etl-1", "-i", "date=2026-11-23"); again != "etl-1" {
		t.Errorf("submitting the same id gives %q", again)
	}
	h.quiet()
	for _, same := range []struct {
		id   string
		args []string
	}{
		{byCLI, []string{"recipes/hello.yaml", "-i", "name=Ada"}},
		{seed, []string{"flows/seed-example.yaml"}},
		{words, []string{"recipes/words.yaml"}},
	} {
		r, err := h.client.Get(t.Context(), same.id)
		if err != nil {
			t.Fatal(err)
		}
		h.sameEmbedded(r, same.args...)
	}
}

// sameEmbedded checks that the embedded run gives the same outputs.
func (h *house) sameEmbedded(r run.Run, args ...string) {
	h.t.Helper()
	cmd := exec.Command(filepath.Join(bin, "orchis"), append([]string{"run", "--progress", "quiet"}, args...)...)
	cmd.Dir = h.project
	cmd.Env = append(os.Environ(), "REDIS_URL=", "ORCHIS_ARTIFACTS="+h.data)
	got, err := cmd.Output()
	if err != nil {
		h.t.Fatal(err)
	}
	var a, b any
	if err := errors.Join(json.Unmarshal(got, &a), json.Unmarshal(r.Outputs, &b)); err != nil {
		h.t.Fatal(err)
	}
	if diff := cmp.Diff(b, a); diff != "" {
		h.t.Errorf("%v: %s", args, diff)
	}
}

func TestARunSurvivesKilledProcesses(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli", "ffmpeg")
	h := newHouse(t, 2, 3)
	id := h.submit(client.Request{Recipe: "weave", Inputs: map[string]any{"seconds": 3}})
	worker := ""
	h.until("a worker is at it", func() bool {
		tasks, err := h.client.Tasks(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			if task.Worker != "" && strings.HasPrefix(task.ID, "splice_a/split[") || strings.HasPrefix(task.ID, "splice_a/faded[") {
				worker = task.Worker
			}
		}
		return worker != ""
	})
	owner := h.redisCLI("GET", "orchis:{0}:owner")
	h.kill(worker)
	killed := ""
	for name, p := range h.procs {
		if strings.HasPrefix(name, "o") && strings.Contains(p.log.String(), owner) {
			killed = name
		}
	}
	if killed == "" {
		t.Fatalf("no orchestrator is %s", owner)
	}
	h.kill(killed)
	h.succeeded(id)
	h.once(id)
	h.quiet()
	for name, p := range h.procs {
		if strings.HasPrefix(name, "o") && name != killed && !strings.Contains(p.log.String(), "partition taken over") {
			t.Errorf("the log of %s says nothing of a takeover", name)
		}
	}
}

func TestADrainedWorkerLosesNoAttempt(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 1, 1)
	definition := "jobs:\n  long: {job: sleep, inputs: {duration: 4s}}\n  short: {job: sleep, inputs: {duration: 500ms}}\n"
	id := h.submit(client.Request{Definition: definition})
	h.until("both jobs run", func() bool {
		r, err := h.client.Get(t.Context(), id)
		return err == nil && r.Counts.Running == 2
	})
	w := h.procs["w1"]
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Wait(); err != nil {
		t.Errorf("the worker ends with %v", err)
	}
	h.start("w2", "worker")
	h.succeeded(id)
	tasks, err := h.client.Tasks(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if task.Attempt != 1 || task.Losses != 0 || task.Failures != 0 {
			t.Errorf("task is %+v", task)
		}
		if want := map[string]string{"long": "w2", "short": "w1"}[task.ID]; task.Worker != want {
			t.Errorf("%s was done by %s, want %s", task.ID, task.Worker, want)
		}
	}
	h.quiet()
}

func TestARunCanBeCancelled(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 1, 1)
	mark := filepath.Join(h.data, "mark")
	id := h.submit(client.Request{Definition: "jobs:\n  long: {job: exec, inputs: {command: 'trap \"echo done > " + mark + "; exit 1\" TERM; sleep 60 & wait'}}\n  next: {job: sleep, dependsOn: [long], inputs: {duration: 1}}\n"})
	h.until("the job runs", func() bool {
		r, err := h.client.Get(t.Context(), id)
		return err == nil && r.Counts.Running == 1
	})
	h.redisCLI("XADD", "orchis:control", "*", "op", "cancel", "run", id, "by", "test", "reason", "enough")
	if r := h.wait(id); r.State != run.Cancelled || r.Error.Message != "cancelled by test: enough" {
		t.Errorf("run is %s, %v", r.State, r.Error)
	}
	h.until("the process got its signal", func() bool { _, err := os.Stat(mark); return err == nil })
	h.quiet()
}

func TestABadSubmissionIsRejectedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 1, 1)
	tests := []struct {
		fields []string
		want   string
	}{
		{[]string{"recipe", "helo"}, "did you mean \"hello\"?"},
		{[]string{"recipe", "../../etc/passwd"}, "is outside the project"},
		{[]string{"recipe", "/etc/passwd.yaml"}, "is outside the project"},
		{[]string{"recipe", "hello", "inputs", "{"}, "the field inputs is not a JSON object"},
		{[]string{"recipe", "hello", "inputs", "[1]"}, "the field inputs is not a JSON object"},
		{[]string{"recipe", "hello", "input.nam", "x"}, "input \"nam\": it is not an input of hello (did you mean \"name\"?)"},
		{[]string{"recipe", "nightly-etl", "input.rows", "many"}, "input \"rows\": expected an integer, got \"many\""},
		{[]string{"recipie", "hello"}, "unknown field \"recipie\""},
		{[]string{"by", "me"}, "the submission has neither recipe nor definition"},
		{[]string{"recipe", "hello", "definition", "x"}, "the submission has both recipe and definition"},
		{[]string{"recipe", "hello", "id", "a b"}, "the id \"a b\" may hold letters"},
		{[]string{"definition", "jobs: {a: {job: nobody}}"}, "wants the handler \"nobody\", which none of the 1 workers has"},
		{[]string{"definition", "jobs: {a: {job: debug, dependsOn: [a]}}"}, "job \"a\" depends on itself"},
		{[]string{"definition", "jobs: {a: {flow: /etc/passwd}}"}, "the path must be relative"},
		{[]string{"definition", "jobs: {a: {job: runWorkflow, workflowPath: ../../x.yaml}}"}, "the path is outside the project"},
		{[]string{"definition", "jobs: {a: {job: debug, job: debug}}"}, "appears twice"},
		{[]string{"definition", "a: &a [x,x]\njobs: {a: {job: debug, inputs: [" + strings.Repeat("*a,", 1500) + "]}}"}, "more than 1000 aliases"},
		{[]string{"definition", strings.Repeat("[", 5000)}, "nested more than 64 deep"},
		{[]string{"definition", "# " + strings.Repeat("x", 1<<20)}, "more than the limit of 1048576"},
		{[]string{"recipe", "hello", "inputs", `{"name": "` + strings.Repeat("x", 1<<20) + `"}`}, "more than the limit of 1048576"},
		{[]string{"recipe", "hello", "labels", "[]"}, "the field labels is not a JSON object of texts"},
		{[]string{"recipe", "hello", "id", strings.Repeat("x", 200)}, "may hold letters"},
		{[]string{"recipe", "build-matrix", "input.platforms", "7"}, "input \"platforms\""},
	}
	for _, test := range tests {
		entry := h.redisCLI(append([]string{"XADD", "orchis:submit", "*"}, test.fields...)...)
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := h.client.Accepted(ctx, entry)
		stop()
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v gives %v", test.fields, err)
		}
		if state := h.redisCLI("HGET", "orchis:submission:"+entry, "state"); state != "rejected" {
			t.Errorf("%v is %s", test.fields, state)
		}
	}
	h.quiet()
	if runs, err := h.client.List(t.Context(), client.Filter{}); err != nil || len(runs) != 0 {
		t.Errorf("runs are %v, %v", runs, err)
	}
}

// TestDaemonsAnswerHealthChecks asks both programs as the compose file does.
func TestDaemonsAnswerHealthChecks(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 0, 0)
	for program, setting := range map[string]string{"orchestrator": "ORCHIS_LISTEN", "worker": "ORCHIS_WORKER_LISTEN"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		healthy := func() bool {
			cmd := exec.Command(filepath.Join(bin, program), "healthcheck")
			cmd.Env, cmd.Dir = append(h.env(program), setting+"="+address), t.TempDir()
			return cmd.Run() == nil
		}
		if healthy() {
			t.Errorf("%s is healthy before it has started", program)
		}
		h.start(program, program, setting+"="+address)
		h.until(program+" is healthy", healthy)
	}
}

// TestLargeResultsReachTheNextJob: a result of 5 MB goes to the next job and to
// whoever asks for it.
func TestLargeResultsReachTheNextJob(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli", "jq")
	h := newHouse(t, 1, 2)
	id := h.submit(client.Request{Definition: `jobs:
  big: {job: exec, inputs: {command: "head -c 1000000 /dev/zero | tr '\\0' 'x' > part; cat part part part part part | fold -w 100", outputs: {lines: lines}}}
  next: {job: exec, dependsOn: [big], inputs: {command: [jq, length], stdin: "${big.lines}", outputs: {n: json}}}
outputs: {n: "${next.n}", lines: "${len(big.lines)}"}
`})
	r := h.wait(id)
	if r.State != run.Succeeded || string(r.Outputs) != `{"lines":50000,"n":50000}` {
		t.Fatalf("the run is %s with %s: %v", r.State, r.Outputs, r.Error)
	}
	all, err := h.client.Outputs(t.Context(), id)
	if err != nil || len(all["big"]) < 5_000_000 {
		t.Errorf("the result has %d bytes (%v)", len(all["big"]), err)
	}
}
