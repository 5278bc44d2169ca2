package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
)

// foreigners are worker programs in other languages, each with a handler that
// logs two lines and then waits for its input "ms".
func foreigners(t *testing.T) map[string][]string {
	t.Helper()
	python, err := filepath.Abs("../workers/python")
	if err != nil {
		t.Fatal(err)
	}
	node, err := filepath.Abs("../workers/node/orchis-worker.mjs")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "w.py"), `import sys
sys.path.insert(0, "`+python+`")
from orchis_worker import handler, run

@handler("talk")
def talk(job, ms=0):
    job.log("hello", "from Python")
    job.log("and again")
    job.wait(ms / 1000)
    return {"ok": True}

run()
`)
	write(t, filepath.Join(dir, "w.mjs"), `import { setTimeout as sleep } from "node:timers/promises";
import { handle, run } from "`+node+`";
handle("talk", async (job, { ms = 0 }) => {
  job.log("hello", "from Node");
  job.log("and again");
  await sleep(ms, undefined, { signal: job.signal });
  return { ok: true };
});
run();
`)
	return map[string][]string{"python3": {"python3", filepath.Join(dir, "w.py")}, "node": {"node", filepath.Join(dir, "w.mjs")}}
}

// TestLogs_OfWorkersInOtherLanguages are shown while the task runs and after its
// end, although these workers write nothing but the lines.
func TestLogs_OfWorkersInOtherLanguages(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli", "python3", "node")
	for program, command := range foreigners(t) {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			h := newHouseOn(t, redistest.Real(t), 0, 0)
			h.start("o1", "orchestrator")
			h.launch("foreign", exec.CommandContext(t.Context(), command[0], command[1:]...))
			h.until("the worker is registered", func() bool {
				all, err := h.client.Workers(t.Context())
				return err == nil && len(all) == 1
			})
			id := h.submit(client.Request{Definition: "jobs: {a: {job: talk, inputs: {ms: 1500}}}"})
			h.until("a line of the running task is shown", func() bool { return strings.Contains(h.orchisOK("logs", id), "a │ hello from ") })
			if out := h.orchisOK("logs", id, "-f", "--no-prefix"); !strings.HasPrefix(out, "hello from ") || !strings.HasSuffix(out, "\nand again") {
				t.Errorf("orchis logs -f shows %q", out)
			}
			if out := h.orchisOK("logs", id, "a", "-o", "json"); !strings.Contains(out, `"number":2`) {
				t.Errorf("the lines have no number: %s", out)
			}
		})
	}
}
