package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

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
	// links are the ways to Redis of processes that have one of their own.
	links map[string]*redistest.Link
	// more are settings of every process.
	more []string
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
	var srv redistest.Server
	switch topology := os.Getenv("ORCHIS_E2E_TOPOLOGY"); topology {
	case "":
		srv = redistest.Real(t)
	case "cluster":
		srv = redistest.NewCluster(t, false).Server
	case "sentinels":
		srv = redistest.NewSentinels(t).Server
	default:
		t.Fatalf("ORCHIS_E2E_TOPOLOGY is %q, want cluster, sentinels or nothing", topology)
	}
	return newHouseOn(t, srv, orchestrators, workers)
}

func newHouseOn(t *testing.T, srv redistest.Server, orchestrators, workers int) *house {
	t.Helper()
	return furnish(t, srv, orchestrators, workers, false, "..")
}

// furnish starts the processes on a project; when linked, each has a link of
// its own.
func furnish(t *testing.T, srv redistest.Server, orchestrators, workers int, linked bool, project string) *house {
	t.Helper()
	project, err := filepath.Abs(project)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, redis: srv, project: project, data: t.TempDir(), procs: map[string]*process{}, links: map[string]*redistest.Link{}}
	if linked {
		for _, kind := range []string{"o", "w"} {
			for i := range max(orchestrators, workers) {
				name := fmt.Sprint(kind, i+1)
				h.links[name] = redistest.NewLink(t, srv, name)
			}
		}
	}
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
	url := h.redis.URL
	if l := h.links[name]; l != nil {
		url = l.URL
	}
	return append(append(os.Environ(), "REDIS_URL="+url, "ORCHIS_PROJECT="+h.project, "ORCHIS_ARTIFACTS="+h.data,
		"ORCHIS_LISTEN=off", "ORCHIS_LEASE=1500ms", "ORCHIS_SLOTS=2", "ORCHIS_WORKER_NAME="+name, "ORCHIS_SHUTDOWN_GRACE=2s", "LOG_LEVEL=info"), h.more...)
}

func (h *house) start(name, program string, settings ...string) {
	h.t.Helper()
	cmd := exec.Command(filepath.Join(bin, program))
	cmd.Dir = h.t.TempDir()
	h.launch(name, cmd, settings...)
}

// launch starts a program that belongs to the house.
func (h *house) launch(name string, cmd *exec.Cmd, settings ...string) {
	h.t.Helper()
	p := &process{cmd: cmd, log: &logbook{}}
	cmd.Env, cmd.Stdout, cmd.Stderr = append(h.env(name), settings...), p.log, p.log
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
	redistest.Until(h.t, what, is)
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
	// A large last argument goes in by standard input, as the shell's limits want.
	cmd := exec.Command("redis-cli", append(h.redis.CLI(), args...)...)
	if last := len(args) - 1; len(args[last]) > 100_000 {
		cmd = exec.Command("redis-cli", slices.Concat(h.redis.CLI(), []string{"-x"}, args[:last])...)
		cmd.Stdin = strings.NewReader(args[last])
	}
	out, err := cmd.CombinedOutput()
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
	streams, sets := []string{"orchis:submit", "orchis:control"}, []string{}
	n, err := strconv.Atoi(h.redisCLI("HGET", "orchis:meta", "partitions"))
	if err != nil {
		h.t.Fatal(err)
	}
	for p := range n {
		base := fmt.Sprintf("orchis:{%d}:", p)
		streams = append(streams, base+"events", base+"tickets:default")
		sets = append(sets, base+"timers", base+"active")
	}
	for _, key := range streams {
		h.until(key+" is empty", func() bool { return h.redisCLI("XLEN", key) == "0" })
	}
	for _, key := range sets {
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

// orchisOK runs a command that must succeed.
func (h *house) orchisOK(args ...string) string {
	h.t.Helper()
	out, code := h.orchis(args...)
	if code != 0 {
		h.t.Fatalf("orchis %v ends with %d: %s", args, code, out)
	}
	return out
}
