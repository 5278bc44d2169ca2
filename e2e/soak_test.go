package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/report"
	"github.com/orchis-run/orchis/pkg/client"
)

// sample is what the installation takes at a moment, in KiB.
type sample struct{ redis, orchestrators, workers float64 }

// TestSoak lets an installation work for ORCHIS_SOAK, with a worker killed now
// and then, and fails when the memory of Redis or of the processes goes on
// growing: when its mean in the last quarter of the time is a tenth above that
// in the quarter before. Ended runs are kept for a few seconds only, so that a
// steady state is soon reached.
func TestSoak(t *testing.T) {
	t.Parallel()
	length, err := time.ParseDuration(os.Getenv("ORCHIS_SOAK"))
	if err != nil {
		t.Skip("ORCHIS_SOAK does not say how long to soak (make soak does): not tried")
	}
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 0, 0)
	settings := []string{"ORCHIS_RETENTION_AGE=5s", "ORCHIS_SLOTS=4"}
	for _, name := range []string{"o1", "o2"} {
		h.start(name, "orchestrator", settings...)
	}
	for _, name := range []string{"w1", "w2", "w3"} {
		h.start(name, "worker", settings...)
	}
	end := time.Now().Add(length)
	var load sync.WaitGroup
	runs := make([]int, 6)
	for n := range runs {
		load.Go(func() { runs[n] = h.load(n, end) })
	}
	samples := h.watchMemory(end, settings)
	load.Wait()
	total := 0
	for _, n := range runs {
		total += n
	}
	third, last := mean(samples[len(samples)/2:len(samples)*3/4]), mean(samples[len(samples)*3/4:])
	text := fmt.Sprintf("%s: %s, %d runs of 5 tasks, %d samples. Mean in the third and the last quarter: Redis %.0f and %.0f KiB, orchestrators (RSS) %.0f and %.0f KiB, workers (RSS) %.0f and %.0f KiB.",
		report.Machine(t.Context()), length, total, len(samples), third.redis, last.redis, third.orchestrators, last.orchestrators, third.workers, last.workers)
	t.Log(text)
	if err := report.Section("soak", text); err != nil {
		t.Error(err)
	}
	for what, pair := range map[string][2]float64{"Redis": {third.redis, last.redis}, "the orchestrators": {third.orchestrators, last.orchestrators}, "the workers": {third.workers, last.workers}} {
		if pair[1] > 1.1*pair[0] {
			t.Errorf("the memory of %s grows from %.0f to %.0f KiB", what, pair[0], pair[1])
		}
	}
}

// load submits runs one after another and returns how many there were.
func (h *house) load(n int, end time.Time) int {
	text := "jobs:\n  a: {job: exec, iterate: {from: 1, to: 3}, inputs: {command: 'head -c 2000 /dev/zero | tr \"\\0\" x'}}\n  b: {job: transform, dependsOn: [a], inputs: {n: 1}}\n"
	count := 0
	for time.Now().Before(end) && h.t.Context().Err() == nil {
		id := fmt.Sprintf("soak-%d-%d", n, count)
		if _, err := h.client.Submit(h.t.Context(), client.Request{Definition: text, ID: id}); err != nil {
			continue
		}
		h.until(id+" has ended", func() bool {
			rec, err := h.client.Get(h.t.Context(), id)
			return err == nil && rec.State.Final()
		})
		count++
	}
	return count
}

// watchMemory takes a sample every second, and kills a worker every 20.
func (h *house) watchMemory(end time.Time, settings []string) []sample {
	h.t.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var out []sample
	for now := range tick.C {
		if now.After(end) {
			return out
		}
		var s sample
		for line := range strings.Lines(h.redisCLI("INFO", "memory")) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
				n, _ := strconv.ParseFloat(v, 64)
				s.redis = n / 1024
			}
		}
		for name, p := range h.procs {
			if name[0] == 'o' {
				s.orchestrators += p.rss()
			} else {
				s.workers += p.rss()
			}
		}
		out = append(out, s)
		if len(out)%20 == 0 {
			name := fmt.Sprint("w", 1+len(out)/20%3)
			h.kill(name)
			h.start(name, "worker", settings...)
		}
	}
	return out
}

// rss is the memory of a process in KiB.
func (p *process) rss() float64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 64)
			return n
		}
	}
	return 0
}

func mean(all []sample) sample {
	var m sample
	for _, s := range all {
		m.redis += s.redis / float64(len(all))
		m.orchestrators += s.orchestrators / float64(len(all))
		m.workers += s.workers / float64(len(all))
	}
	return m
}
