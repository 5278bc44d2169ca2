package e2e

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

const told = `
inputs: { name: { type: string } }
jobs:
  quiet: { job: debug, secrets: [WORD], inputs: { text: "${inputs.name} ${secrets.WORD}" } }
  fails: { job: exec, dependsOn: [quiet], retries: { max: 1, delay: 1ms }, continueOnError: true, inputs: { command: "exit 3" } }
  long: { job: exec, dependsOn: [fails], queue: slow, inputs: { command: '[ "$ORCHIS_ATTEMPT" = 2 ] || sleep 60' } }
`

// entries are the lines of a process's log. Each must be JSON and say when,
// how grave and what.
func (h *house) entries(name string) []map[string]any {
	h.t.Helper()
	var all []map[string]any
	for line := range strings.Lines(h.procs[name].log.String()) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			h.t.Errorf("%s writes %q: %v", name, line, err)
			continue
		}
		level, _ := e["level"].(string)
		msg, _ := e["msg"].(string)
		at, _ := e["ts"].(string)
		if _, err := time.Parse("2006-01-02T15:04:05.000Z0700", at); err != nil || msg == "" || !slices.Contains([]string{"debug", "info", "warn", "error"}, level) {
			h.t.Errorf("%s writes %q: %v", name, line, err)
		}
		all = append(all, e)
	}
	return all
}

// TestLinesOfTheLogHaveTheSameFieldsEverywhere: those of an orchestrator and of
// workers, one of which dies.
func TestLinesOfTheLogHaveTheSameFieldsEverywhere(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server")
	h := furnish(t, redistest.Real(t), 0, 0, false, t.TempDir())
	write(t, filepath.Join(h.project, "recipes", "told.yaml"), told)
	h.more = []string{"ORCHIS_LOG_FORMAT=json", "LOG_LEVEL=debug", "ORCHIS_SECRET_WORD=open sesame", "ORCHIS_UNKNOWN_HANDLERS=wait"}
	h.start("o1", "orchestrator")
	h.start("w1", "worker")
	h.start("w2", "worker", "ORCHIS_QUEUES=slow")
	const trace = "0af7651916cd43dd8448eb211c80319c"
	id := h.submit(client.Request{Recipe: "told", By: "tester", Inputs: map[string]any{"name": "Ali Baba"}, Trace: "00-" + trace + "-b7ad6b7169203331-01"})
	entry, err := h.client.Submit(t.Context(), client.Request{Recipe: "told", Inputs: map[string]any{"name": []string{"Ali Baba"}}})
	if err != nil {
		t.Fatal(err)
	}
	h.until("the long job runs", func() bool {
		r, err := h.client.Get(t.Context(), id)
		return err == nil && r.Counts.Running == 1 && strings.Contains(h.orchisOK("describe", id), "w2")
	})
	h.kill("w2")
	h.start("w3", "worker", "ORCHIS_QUEUES=slow")
	if r := h.wait(id); r.State != run.Succeeded {
		t.Fatalf("the run is %s: %v", r.State, r.Error)
	}
	type line struct {
		process, level, msg string
		fields              map[string]any
	}
	about := func(more ...any) map[string]any {
		m := map[string]any{"run": id, "recipe": "told", "trace": trace}
		for i := 0; i < len(more); i += 2 {
			m[more[i].(string)] = more[i+1]
		}
		return m
	}
	for _, want := range []line{
		{"o1", "info", "run accepted", about("by", "tester")},
		{"o1", "info", "submission rejected", map[string]any{"recipe": "told", "entry": entry, "reason": `not valid: input "name"`}},
		{"o1", "info", "run ended", about("state", "succeeded")},
		{"o1", "warn", "worker lost: its task goes to another", about("task", "long", "attempt", 1.0, "queue", "slow", "handler", "exec", "worker", "w2")},
		{"w1", "debug", "attempt ended", about("task", "quiet", "attempt", 1.0, "queue", "default", "handler", "debug", "worker", "w1", "outcome", "succeeded")},
		{"w1", "debug", "attempt ended", about("task", "fails", "attempt", 2.0, "queue", "default", "handler", "exec", "worker", "w1", "outcome", "failed")},
		{"w3", "debug", "attempt ended", about("task", "long", "attempt", 2.0, "queue", "slow", "handler", "exec", "worker", "w3", "outcome", "succeeded")},
		{"w3", "info", "worker is ready", map[string]any{"worker": "w3"}},
	} {
		fits := func() bool {
			return slices.ContainsFunc(h.entries(want.process), func(e map[string]any) bool {
				for k, v := range want.fields {
					if e[k] != v {
						return false
					}
				}
				return e["msg"] == want.msg && e["level"] == want.level
			})
		}
		h.until(want.process+" has written of "+want.msg, fits)
	}
	for name, p := range h.procs {
		if len(h.entries(name)) == 0 {
			t.Errorf("%s has written nothing", name)
		}
		for _, hidden := range []string{"sesame", "Ali Baba"} {
			if strings.Contains(p.log.String(), hidden) {
				t.Errorf("the log of %s tells %q", name, hidden)
			}
		}
	}
}
