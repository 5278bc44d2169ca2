package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
)

const someJobs = "jobs:\n  a: {job: exec, iterate: {from: 1, to: 6}, inputs: {command: 'sleep 0.3'}, retries: {max: 0, onLost: 1000}}\n  b: {job: exec, dependsOn: [a], inputs: {command: 'true'}, retries: {max: 0, onLost: 1000}}\n"

// TestAnEmptiedRedisIsNoticed: FLUSHALL under load takes the runs, as it must;
// it is said loudly but not in every line, nobody hangs or dies, and what is
// submitted afterwards runs.
func TestAnEmptiedRedisIsNoticed(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 2, 2)
	for range 5 {
		h.submit(client.Request{Definition: someJobs})
	}
	at := time.Now()
	h.redisCLI("FLUSHALL")
	h.until("it is noticed", func() bool {
		return strings.Contains(h.procs["o1"].log.String()+h.procs["o2"].log.String(), "Redis came back empty")
	})
	h.succeeded(h.submit(client.Request{Definition: someJobs}))
	h.quiet()
	seconds := time.Since(at).Seconds()
	for name, p := range h.procs {
		if n := float64(strings.Count(p.log.String(), "\n")); n > 20+5*seconds {
			t.Errorf("%s wrote %.0f lines in %.0f s", name, n, seconds)
		}
		if p.gone() {
			t.Errorf("%s has ended", name)
		}
	}
}

// TestAFullDiskIsSurvived: Redis cannot write its append-only file any more and
// refuses writes; when there is room again, all goes on.
func TestAFullDiskIsSurvived(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		if os.Geteuid() == 0 && os.Getenv("CI") == "true" && !errors.Is(err, syscall.EPERM) {
			t.Fatal(err)
		}
		t.Skipf("a small disk cannot be made here (mount: %v): a full disk was not tried", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	h := newHouseOn(t, redistest.DurableIn(t, dir), 1, 2)
	var ids []string
	for range 4 {
		ids = append(ids, h.submit(client.Request{Definition: someJobs}))
	}
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	_ = f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	h.until("Redis refuses writes", func() bool {
		_, err := h.client.Submit(t.Context(), client.Request{Definition: someJobs})
		return err != nil && strings.Contains(err.Error(), "MISCONF")
	})
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		h.succeeded(id)
		h.once(id)
	}
	h.until("Redis takes writes again", func() bool {
		_, err := h.client.Submit(t.Context(), client.Request{Definition: someJobs, ID: "after"})
		return err == nil
	})
	h.until("it is there", func() bool { _, err := h.client.Get(t.Context(), "after"); return err == nil })
	h.succeeded("after")
}

// TestAFullRedisTakesNothingNew: near its maxmemory Redis gets no new runs, and
// the submitter is told why; what is under way ends. When Redis is full to the
// brim, all wait; when there is room again, all goes on.
func TestAFullRedisTakesNothingNew(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouseOn(t, redistest.Real(t), 1, 2)
	var ids []string
	for range 3 {
		ids = append(ids, h.submit(client.Request{Definition: someJobs}))
	}
	h.redisCLI("SETRANGE", "filler", "20000000", "x")
	h.redisCLI("CONFIG", "SET", "maxmemory", "25mb")
	h.until("submissions are rejected with a reason", func() bool {
		out, code := h.orchis("submit", "hello", "-i", "name=Ada")
		return code == 3 && out == ""
	})
	_, err := h.client.Accepted(t.Context(), h.sent("hello"))
	if err == nil || !strings.Contains(err.Error(), "busy: Redis uses") {
		t.Errorf("the answer is %v", err)
	}
	h.redisCLI("CONFIG", "SET", "maxmemory", "1mb")
	h.until("Redis refuses writes", func() bool {
		_, err := h.client.Submit(t.Context(), client.Request{Recipe: "hello"})
		return err != nil && strings.Contains(err.Error(), "OOM")
	})
	h.redisCLI("CONFIG", "SET", "maxmemory", "0")
	h.redisCLI("DEL", "filler")
	for _, id := range ids {
		h.succeeded(id)
		h.once(id)
	}
	h.until("submissions are taken again", func() bool {
		_, code := h.orchis("submit", "hello", "-i", "name=Ada", "--wait")
		return code == 0
	})
	h.quiet()
}

// sent submits a recipe without waiting for the answer.
func (h *house) sent(recipe string) (entry string) {
	h.t.Helper()
	entry, err := h.client.Submit(h.t.Context(), client.Request{Recipe: recipe})
	if err != nil {
		h.t.Fatal(err)
	}
	return entry
}
