package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

const lease = 1500 * time.Millisecond // as house.env sets it

// within tells how long something took, and fails the test when it took longer
// than its bound: with ORCHIS_BOUNDS=strict the one that is promised, else three
// times that, since machines that run tests are busy.
func within(t *testing.T, what string, since time.Time, bound time.Duration) {
	t.Helper()
	took := time.Since(since)
	t.Logf("%s: %s (promised: %s)", what, took.Round(time.Millisecond), bound)
	if os.Getenv("ORCHIS_BOUNDS") != "strict" {
		bound *= 3
	}
	if took > bound {
		t.Errorf("%s took %s, longer than %s", what, took, bound)
	}
}

// notes returns the lines of a file that jobs write.
func notes(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

func TestTakeoverKeepsItsBounds(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server")
	h := newHouseOn(t, redistest.Durable(t), 2, 2)
	began := filepath.Join(t.TempDir(), "began")
	long := fmt.Sprintf("jobs:\n  a: {job: exec, inputs: {command: 'echo $PPID >> %s; sleep 600'}, retries: 0}\n", began)
	id := h.submit(client.Request{Definition: long})
	h.until("the job has begun", func() bool { return len(notes(began)) == 1 })
	victim := h.ofPID(notes(began)[0])
	at := time.Now()
	h.kill(victim)
	h.until("another worker has it", func() bool { return len(notes(began)) == 2 })
	within(t, "a killed worker's job runs elsewhere", at, 2*lease+2*time.Second)
	h.start(victim, "worker")

	h.cancelInTime(id, notes(began)[1])

	quick := "jobs:\n  a: {job: exec, inputs: {command: 'true'}}\n"
	owner := h.owner()
	at = time.Now()
	h.kill(owner)
	h.succeeded(h.submit(client.Request{Definition: quick}))
	within(t, "progress after the orchestrator at work was killed", at, 10*time.Second)
	h.start(owner, "orchestrator")
	h.redis.Restart(t)
	at = time.Now()
	var entry string
	h.until("Redis takes submissions again", func() (ok bool) {
		var err error
		entry, err = h.client.Submit(t.Context(), client.Request{Definition: quick})
		return err == nil
	})
	h.succeeded(h.accepted(entry))
	within(t, "progress after Redis is back", at, 5*time.Second)
	for _, name := range []string{"w1", "w2", "o1", "o2"} {
		at = time.Now()
		h.stop(name)
		within(t, "an idle "+name+" stops", at, 2500*time.Millisecond)
	}
}

// cancelInTime cancels a run whose job is a process group of a worker's.
func (h *house) cancelInTime(id, worker string) {
	h.t.Helper()
	children := func() int {
		raw, _ := os.ReadFile(filepath.Join("/proc", worker, "task", worker, "children"))
		n := len(strings.Fields(string(raw)))
		tasks, _ := filepath.Glob(filepath.Join("/proc", worker, "task", "*", "children"))
		for _, path := range tasks {
			raw, _ := os.ReadFile(path)
			n += len(strings.Fields(string(raw)))
		}
		return n
	}
	if children() == 0 {
		h.t.Error("the worker has no child, so its end proves nothing")
	}
	at := time.Now()
	if err := h.client.Cancel(h.t.Context(), id, "test", ""); err != nil {
		h.t.Fatal(err)
	}
	h.until("the job's processes are gone", func() bool { return children() == 0 })
	within(h.t, "a cancelled job's processes are gone", at, lease/3+5*time.Second)
	if rec := h.wait(id); rec.State != run.Cancelled {
		h.t.Errorf("the run is %s", rec.State)
	}
}

// owner returns the orchestrator that looks after the first partition.
func (h *house) owner() string {
	h.t.Helper()
	id := h.redisCLI("GET", "orchis:{0}:owner")
	for name, p := range h.procs {
		if id != "" && strings.Contains(p.log.String(), id) {
			return name
		}
	}
	h.t.Fatalf("no process of ours is the orchestrator %q", id)
	return ""
}

// ofPID returns the name of the process.
func (h *house) ofPID(pid string) string {
	h.t.Helper()
	for name, p := range h.procs {
		if strconv.Itoa(p.cmd.Process.Pid) == pid {
			return name
		}
	}
	h.t.Fatalf("no process of ours is %s", pid)
	return ""
}

// TestARollingRestartCostsNothing restarts all processes one after another
// while runs go on: no attempt is lost, and none counts as a failure.
// ORCHIS_ROLLS says how often all are restarted.
func TestARollingRestartCostsNothing(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server")
	rolls := 2
	if n, err := strconv.Atoi(os.Getenv("ORCHIS_ROLLS")); err == nil {
		rolls = n
	}
	h := newHouse(t, 2, 3)
	text := "jobs:\n  a: {job: exec, iterate: {from: 1, to: 8}, inputs: {command: 'sleep 0.05'}, retries: 0}\n  b: {job: exec, dependsOn: [a], inputs: {command: 'sleep 0.3'}, retries: 0}\n"
	var ids []string
	for n := range rolls {
		for _, name := range []string{"w1", "o1", "w2", "o2", "w3"} {
			ids = append(ids, h.submit(client.Request{Definition: text, ID: fmt.Sprintf("roll-%d-%s", n, name)}))
			h.stop(name)
			h.start(name, map[byte]string{'w': "worker", 'o': "orchestrator"}[name[0]])
		}
	}
	released := 0
	for _, id := range ids {
		h.succeeded(id)
		tasks, err := h.client.Tasks(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range tasks {
			released += rec.Releases
			if rec.Losses+rec.Failures > 0 || rec.Attempt > 1 {
				t.Errorf("%s/%s: %d losses, %d failures, attempt %d", id, rec.ID, rec.Losses, rec.Failures, rec.Attempt)
			}
		}
	}
	h.quiet()
	t.Logf("%d restarts, %d runs, %d hand-backs", 5*rolls, len(ids), released)
}

// stop ends a process in good order.
func (h *house) stop(name string) {
	h.t.Helper()
	p := h.procs[name]
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		h.t.Errorf("%s ends with %v after SIGTERM:\n%s", name, err, p.log)
	}
}

// gone reports whether a process has ended and nobody has noticed yet.
func (p *process) gone() bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "stat"))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// alive reports whether so many workers have been heard of lately.
func (h *house) alive(n int) bool {
	all, err := h.client.Workers(h.t.Context())
	live := 0
	for _, w := range all {
		if time.Since(time.UnixMilli(w.Seen)) < 5*time.Second {
			live++
		}
	}
	return err == nil && live >= n
}
