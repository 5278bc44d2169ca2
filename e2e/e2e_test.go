// Package e2e runs the programs of Orchis as processes, on a real Redis.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// bin is the folder of the built programs.
var bin string

func TestMain(m *testing.M) {
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "orchis-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin = dir
	out, err := exec.Command("go", "build", "-o", dir, "../cmd/...").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// house is a Redis with orchestrators and workers.
type house struct {
	t       *testing.T
	redis   redistest.Server
	project string
	data    string
	client  *client.Client
	procs   map[string]*process
}

type process struct {
	cmd *exec.Cmd
	log *logbook
}

// logbook holds what a process says.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newHouse(t *testing.T, orchestrators, workers int) *house {
	t.Helper()
	project, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, redis: redistest.Real(t), project: project, data: t.TempDir(), procs: map[string]*process{}}
	c, err := client.Open(t.Context(), client.Config{URL: h.redis.URL})
	if err != nil {
		t.Fatal(err)
	}
	h.client = c
	t.Cleanup(func() { _ = c.Close() })
	for i := range orchestrators {
		h.start(fmt.Sprintf("o%d", i+1), "orchestrator")
	}
	for i := range workers {
		h.start(fmt.Sprintf("w%d", i+1), "worker")
	}
	h.until("all workers are registered", func() bool {
		all, err := c.Workers(t.Context())
		return err == nil && len(all) == workers
	})
	return h
}

func (h *house) env(name string) []string {
	return append(os.Environ(), "REDIS_URL="+h.redis.URL, "ORCHIS_PROJECT="+h.project, "ORCHIS_DATA="+h.data,
		"ORCHIS_LISTEN=off", "ORCHIS_LEASE=1500ms", "ORCHIS_SLOTS=2", "ORCHIS_WORKER_NAME="+name, "ORCHIS_SHUTDOWN_GRACE=2s", "LOG_LEVEL=info")
}

func (h *house) start(name, program string) {
	h.t.Helper()
	p := &process{cmd: exec.Command(filepath.Join(bin, program)), log: &logbook{}}
	p.cmd.Env, p.cmd.Dir = h.env(name), h.t.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.procs[name] = p
	h.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if h.t.Failed() {
			h.t.Logf("log of %s:\n%s", name, p.log)
		}
	})
}

// until waits for something that other processes do.
func (h *house) until(what string, is func() bool) {
	h.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(90 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-late:
			h.t.Fatalf("it does not happen that %s", what)
		}
	}
}

// submit submits by pkg/client and returns the run's id.
func (h *house) submit(r client.Request) string {
	h.t.Helper()
	entry, err := h.client.Submit(h.t.Context(), r)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.accepted(entry)
}

func (h *house) accepted(entry string) string {
	h.t.Helper()
	ctx, stop := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer stop()
	id, err := h.client.Accepted(ctx, entry)
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h *house) wait(id string) run.Run {
	h.t.Helper()
	ctx, stop := context.WithTimeout(h.t.Context(), 3*time.Minute)
	defer stop()
	r, err := h.client.Wait(ctx, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) succeeded(id string) run.Run {
	h.t.Helper()
	r := h.wait(id)
	if r.State != run.Succeeded {
		h.t.Fatalf("run %s is %s: %v", id, r.State, r.Error)
	}
	return r
}

// redisCLI runs redis-cli, as a person would.
func (h *house) redisCLI(args ...string) string {
	h.t.Helper()
	out, err := exec.Command("redis-cli", append([]string{"-s", h.redis.Socket()}, args...)...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("redis-cli %v: %v\n%s", args, err, out)
	}
	return strings.Trim(strings.TrimSpace(string(out)), `"`)
}

// orchis runs the command and returns what it prints and its exit code.
func (h *house) orchis(args ...string) (string, int) {
	h.t.Helper()
	cmd := exec.Command(filepath.Join(bin, "orchis"), args...)
	cmd.Env, cmd.Dir = h.env(""), h.project
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	if err != nil {
		h.t.Logf("orchis %v: %v\n%s", args, err, errs.String())
	}
	return strings.TrimSpace(out.String()), cmd.ProcessState.ExitCode()
}

// quiet checks that a run has left nothing behind in Redis.
func (h *house) quiet() {
	h.t.Helper()
	for _, key := range []string{"orchis:{0}:events", "orchis:{0}:tickets:default", "orchis:submit", "orchis:control"} {
		h.until(key+" is empty", func() bool { return h.redisCLI("XLEN", key) == "0" })
	}
	for _, key := range []string{"orchis:{0}:timers", "orchis:{0}:active"} {
		h.until(key+" is empty", func() bool { return h.redisCLI("ZCARD", key) == "0" })
	}
}

// once checks that no task ended twice in the log of a run, and returns the
// workers that did something.
func (h *house) once(id string) map[string]int {
	h.t.Helper()
	ends, workers := map[string]int{}, map[string]int{}
	err := h.client.Watch(h.t.Context(), id, func(changes []run.Change) error {
		for _, c := range changes {
			if c.State.Final() {
				ends[c.Task]++
				if c.Worker != "" {
					workers[c.Worker]++
				}
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for task, n := range ends {
		if n != 1 {
			h.t.Errorf("task %s ended %d times", task, n)
		}
	}
	return workers
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("CI=true and there is no %s on PATH", p)
			}
			t.Skipf("no %s on PATH", p)
		}
	}
}

func TestSamplesRunOnSeparateProcesses(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli", "ffmpeg", "sqlite3")
	h := newHouse(t, 2, 3)

	byCLI := h.accepted(h.redisCLI("XADD", "orchis:submit", "*", "recipe", "hello", "input.name", "Ada"))
	weave := h.submit(client.Request{Recipe: "weave"})
	etl, code := h.orchis("submit", "nightly-etl", "--id", "etl-1", "-i", "date=2026-11-23")
	if code != 0 || etl != "etl-1" {
		t.Fatalf("orchis submit gives %q, exit code %d", etl, code)
	}
	seed := h.submit(client.Request{Recipe: "flows/seed-example.yaml"})
	matrix := h.submit(client.Request{Recipe: "build-matrix", Inputs: map[string]any{"source": h.project, "platforms": []string{"linux/amd64"}}})

	hello := h.succeeded(byCLI)
	if diff := cmp.Diff(`{"best":"centre","report":"Hello Ada! Sales: north 17, south 12, east 18, west 13, centre 19"}`, string(hello.Outputs)); diff != "" {
		t.Error(diff)
	}
	h.succeeded(etl)
	h.succeeded(seed)
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
	if info, err := os.Stat(out.Master); err != nil || info.Size() == 0 || out.Segments != 4 || out.Seconds < 3.5 {
		t.Errorf("outputs are %s (%v)", woven.Outputs, err)
	}
	if state := h.redisCLI("HGET", "orchis:{0}:run:"+etl, "state"); state != "succeeded" {
		t.Errorf("redis-cli reads the state %q", state)
	}
	if again, _ := h.orchis("submit", "nightly-etl", "--id", "etl-1", "-i", "date=2026-11-23"); again != "etl-1" {
		t.Errorf("submitting the same id gives %q", again)
	}
	h.quiet()
	t.Run("as embedded", func(t *testing.T) {
		cmd := exec.Command(filepath.Join(bin, "orchis"), "run", "recipes/hello.yaml", "-i", "name=Ada", "--progress", "quiet")
		cmd.Dir = h.project
		cmd.Env = append(os.Environ(), "REDIS_URL=", "ORCHIS_DATA="+h.data)
		got, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal(got, &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(hello.Outputs, &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, a); diff != "" {
			t.Error(diff)
		}
	})
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

func (h *house) kill(name string) {
	h.t.Helper()
	p := h.procs[name]
	if p == nil {
		return
	}
	if err := p.cmd.Process.Kill(); err != nil {
		h.t.Fatal(err)
	}
	_ = p.cmd.Wait()
}

func TestADrainedWorkerLosesNoAttempt(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 1, 1)
	definition := "jobs:\n  long: {job: sleep, inputs: {duration: 4s}}\n  short: {job: sleep, inputs: {duration: 500ms}}\n"
	id := h.submit(client.Request{Definition: definition})
	h.until("both jobs run", func() bool {
		r, err := h.client.Run(t.Context(), id)
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
		r, err := h.client.Run(t.Context(), id)
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
		{[]string{"recipe", "../../etc/passwd"}, "leads out of the project"},
		{[]string{"recipe", "/etc/passwd.yaml"}, "leads out of the project"},
		{[]string{"recipe", "hello", "inputs", "{"}, "the field inputs is not a JSON object"},
		{[]string{"recipe", "hello", "inputs", "[1]"}, "the field inputs is not a JSON object"},
		{[]string{"recipe", "hello", "input.nam", "x"}, "input \"nam\": it is not an input of hello (did you mean \"name\"?)"},
		{[]string{"recipe", "nightly-etl", "input.rows", "many"}, "input \"rows\": want an integer, got \"many\""},
		{[]string{"recipie", "hello"}, "unknown field \"recipie\""},
		{[]string{"by", "me"}, "the submission has neither recipe nor definition"},
		{[]string{"recipe", "hello", "definition", "x"}, "the submission has both recipe and definition"},
		{[]string{"recipe", "hello", "id", "a b"}, "the id \"a b\" may hold letters"},
		{[]string{"definition", "jobs: {a: {job: nobody}}"}, "wants the handler \"nobody\", which none of the 1 workers has"},
		{[]string{"definition", "jobs: {a: {job: debug, dependsOn: [a]}}"}, "job \"a\" depends on itself"},
		{[]string{"definition", "jobs: {a: {flow: /etc/passwd}}"}, "the path must be relative"},
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
