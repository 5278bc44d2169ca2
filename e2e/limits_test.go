package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// overlap reads marks of begin and end and returns the most jobs that were at
// work at once.
func overlap(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "marks"))
	if err != nil {
		t.Fatal(err)
	}
	most, now := 0, 0
	for line := range strings.FieldsSeq(string(text)) {
		switch line {
		case "begin":
			now++
		case "end":
			now--
		}
		most = max(most, now)
	}
	if now != 0 {
		t.Errorf("%d jobs began more often than they ended", now)
	}
	return most
}

func marked(dir string) string {
	return fmt.Sprintf("command: 'echo begin >> %[1]s/marks; sleep 0.1; echo end >> %[1]s/marks'", dir)
}

// TestAGroupBoundsAllRuns: jobs of many runs share a group of two slots, while
// an orchestrator is killed; nothing is left behind.
func TestAGroupBoundsAllRuns(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 2, 3)
	dir := t.TempDir()
	text := "inputs: {db: {default: x}}\njobs:\n  a: {job: exec, iterate: [1, 2, 3, 4], concurrency: {group: 'db-${inputs.db}', limit: 2}, inputs: {" + marked(dir) + "}}\n"
	var ids []string
	for range 4 {
		ids = append(ids, h.submit(client.Request{Definition: text, Inputs: map[string]any{"db": "x"}}))
	}
	h.until("something waits", func() bool {
		out, _ := h.orchis("why", ids[3])
		return strings.Contains(out, "waits for a slot of group db-x") && strings.Contains(out, "2 of 2 slots are taken by run ")
	})
	h.kill("o1")
	for _, id := range ids {
		h.succeeded(id)
	}
	if most := overlap(t, dir); most != 2 {
		t.Errorf("%d jobs of the group were at work at once, the limit is 2", most)
	}
	h.quiet()
	h.until("no slot is left", func() bool { return h.redisCLI("--scan", "--pattern", "orchis:{g*") == "" })
}

// TestRunsShareAGroup: what happens to a run whose group has no free slot.
func TestRunsShareAGroup(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 1, 1)
	recipe := func(mode string) string {
		return "name: deploy\nconcurrency: {group: deploy, limit: 1, onLimit: " + mode + "}\njobs: {a: {waitFor: {signal: go}}}\n"
	}
	first := h.submit(client.Request{Definition: recipe("queue"), ID: "first"})
	h.inState(first, "a", run.TaskWaiting)
	second := h.submit(client.Request{Definition: recipe("queue"), ID: "second"})
	skipped := h.submit(client.Request{Definition: recipe("skip"), ID: "skipped"})
	failed := h.submit(client.Request{Definition: recipe("fail"), ID: "failed"})
	if rec := h.wait(skipped); rec.State != run.Cancelled || !strings.Contains(rec.Error.Message, "skipped: group deploy is full: held by run first") {
		t.Errorf("with skip the run is %s: %v", rec.State, rec.Error)
	}
	if rec := h.wait(failed); rec.State != run.Failed || rec.Error.Code != run.CodeLimit {
		t.Errorf("with fail the run is %s: %v", rec.State, rec.Error)
	}
	h.does(0, "1 of 1 slots are taken by run first", "why", second)
	h.does(0, "", "signal", first, "go")
	h.succeeded(first)
	h.inState(second, "a", run.TaskWaiting)
	newest := h.submit(client.Request{Definition: recipe("cancelOldest"), ID: "newest"})
	if rec := h.wait(second); rec.State != run.Cancelled || !strings.Contains(rec.Error.Message, "run newest") {
		t.Errorf("the oldest run is %s: %v", rec.State, rec.Error)
	}
	h.inState(newest, "a", run.TaskWaiting)
	queued := h.submit(client.Request{Definition: recipe("queue"), ID: "queued"})
	h.does(0, "", "cancel", queued)
	h.wait(queued)
	h.does(0, "", "signal", newest, "go")
	h.succeeded(newest)
	h.quiet()
	h.until("no slot is left", func() bool { return h.redisCLI("--scan", "--pattern", "orchis:{g*") == "" })
}

// TestAWishToBeLeftAlone that one job's handler has holds back all of its group
// and of its bucket, in other runs too.
func TestAWishToBeLeftAlone(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 1, 0)
	h.start("w1", "worker", "ORCHIS_ALLOW_PRIVATE=true")
	for name, limit := range map[string]string{"group": "concurrency: {group: api, limit: 5}", "bucket": "rateLimit: {key: api, limit: 100}"} {
		var mu sync.Mutex
		var calls []time.Time
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if calls = append(calls, time.Now()); len(calls) == 1 {
				w.Header().Set("Retry-After", "2")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		}))
		t.Cleanup(server.Close)
		text := "jobs: {call: {job: http, " + limit + ", retries: {max: 1, delay: 10ms}, inputs: {url: '" + server.URL + "'}}}\n"
		first := h.submit(client.Request{Definition: text})
		h.inState(first, "call", run.TaskRetrying)
		second := h.submit(client.Request{Definition: text})
		h.succeeded(first)
		h.succeeded(second)
		mu.Lock()
		for _, at := range calls[1:] {
			if early := calls[0].Add(1900 * time.Millisecond); at.Before(early) {
				t.Errorf("%s: a call came %s after it was told to wait 2s", name, at.Sub(calls[0]))
			}
		}
		if len(calls) != 3 {
			t.Errorf("%s: there were %d calls, want 3", name, len(calls))
		}
		mu.Unlock()
	}
	h.quiet()
}

// TestARateIsShared: attempts of all workers come out of one bucket.
func TestARateIsShared(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 1, 2)
	id := h.submit(client.Request{Definition: "jobs: {a: {job: debug, iterate: {from: 1, to: 7}, rateLimit: {key: api, limit: 2, per: 400ms}}}\n"})
	rec := h.succeeded(id)
	// Two at once, then one each 200 ms: five more.
	if took := time.Duration(rec.Ended-rec.Started) * time.Millisecond; took < time.Second {
		t.Errorf("7 attempts at 2 in 400 ms took %s", took)
	}
	h.quiet()
}
