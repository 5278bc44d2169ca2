package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/tracetest"
	"github.com/orchis-run/orchis/internal/trail"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

const traced = `
inputs: { server: { type: url } }
jobs:
  shell: { job: exec, inputs: { command: 'printf %s "$TRACEPARENT"', outputs: { trace: text } } }
  program: { job: tell }
  flaky: { job: flaky, retries: { max: 1, delay: 1ms } }
  called: { job: http, inputs: { url: "${inputs.server}" } }
  python: { job: pyTell, queue: others, inputs: {} }
  node: { job: jsTell, queue: others, inputs: {} }
outputs: { shell: "${shell.trace}", program: "${program.trace}", called: "${called.body}", python: "${python.trace}", node: "${node.trace}" }
`

// tracedHouse is a house without processes whose spans go to a collector.
func tracedHouse(t *testing.T) (*house, *tracetest.Collector) {
	t.Helper()
	needs(t, "redis-server", "python3", "node")
	project, c := t.TempDir(), tracetest.Start(t)
	write(t, filepath.Join(project, "flows", "traced.yaml"), traced)
	write(t, filepath.Join(project, "flows", "plain.yaml"), "jobs: { a: { job: debug } }\n")
	for name, text := range map[string]string{
		"tell.sh":  "#!/bin/sh\nprintf '{\"trace\": \"%s\"}' \"$TRACEPARENT\"\n",
		"flaky.sh": "#!/bin/sh\n[ \"$ORCHIS_ATTEMPT\" = 2 ]\n",
	} {
		write(t, filepath.Join(project, "jobs", name), text)
		if err := os.Chmod(filepath.Join(project, "jobs", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h := furnish(t, redistest.Real(t), 0, 0, false, project)
	h.more = []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL, "OTEL_BSP_SCHEDULE_DELAY=50", "ORCHIS_ALLOW_PRIVATE=true", "ORCHIS_UNKNOWN_HANDLERS=wait",
	}
	return h, c
}

// others starts the workers in Python and Node, with handlers that start a
// program which tells what it sees.
func (h *house) others() {
	h.t.Helper()
	workers, err := filepath.Abs("../workers")
	if err != nil {
		h.t.Fatal(err)
	}
	dir := h.t.TempDir()
	write(h.t, filepath.Join(dir, "worker.py"), `import subprocess
from orchis_worker import handler, run

@handler("pyTell")
def tell(job):
    seen = subprocess.run(["sh", "-c", 'printf %s "$TRACEPARENT"'], env=job.environ(), capture_output=True, check=True)
    assert seen.stdout.decode() == job.trace
    return {"trace": job.trace}

run()
`)
	write(h.t, filepath.Join(dir, "worker.mjs"), `import { execFileSync } from "node:child_process";
import { handle, run } from "`+workers+`/node/orchis-worker.mjs";

handle("jsTell", (job) => {
  const seen = execFileSync("sh", ["-c", 'printf %s "$TRACEPARENT"'], { env: job.environ() }).toString();
  if (seen !== job.trace) throw new Error(seen);
  return { trace: seen };
});
run();
`)
	for name, command := range map[string][]string{"py": {"python3", "worker.py"}, "js": {"node", "worker.mjs"}} {
		cmd := exec.Command(command[0], command[1])
		cmd.Dir = dir
		h.launch(name, cmd, "ORCHIS_QUEUES=others", "ORCHIS_SLOTS=1", "PYTHONPATH="+filepath.Join(workers, "python"))
	}
}

// spansOf waits until the span of a run has come, which is the last, and
// returns those of its trace.
func (h *house) spansOf(c *tracetest.Collector, recipe, id string) (root tracetest.Span, all []tracetest.Span) {
	h.t.Helper()
	h.until("the span of run "+id+" has come", func() bool {
		for _, s := range c.Spans() {
			if s.Name == "run "+recipe && s.Attributes["orchis.run"] == id {
				root = s
			}
		}
		return root.ID != ""
	})
	for _, s := range c.Spans() {
		if s.Trace == root.Trace {
			all = append(all, s)
		}
	}
	return root, all
}

func TestAnInstallationTellsOneTraceOfARun(t *testing.T) {
	t.Parallel()
	h, c := tracedHouse(t)
	called := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = fmt.Fprint(w, r.Header.Get("Traceparent"))
	}))
	t.Cleanup(called.Close)
	h.start("o1", "orchestrator")
	id := h.submit(client.Request{Recipe: "traced", Inputs: map[string]any{"server": called.URL}})
	h.start("w1", "worker") // now, so that everything has waited
	h.others()
	rec := h.succeeded(id)
	root, all := h.spansOf(c, "traced", id)
	if root.Parent != "" || root.Failed || len(c.Spans()) != len(all) {
		t.Errorf("the span of the run is %+v; %d of %d spans are of its trace", root, len(all), len(c.Spans()))
	}
	attempts := map[string][]tracetest.Span{}
	waits := map[string]int{}
	for _, s := range all {
		task := s.Attributes["orchis.task"]
		switch {
		case s.ID == root.ID:
			continue
		case strings.HasPrefix(s.Name, "process "):
			attempts[task] = append(attempts[task], s)
		case strings.HasPrefix(s.Name, "wait "):
			waits[task]++
		default:
			t.Errorf("the span %q is unknown", s.Name)
		}
		if s.Parent != root.ID || s.Start.Before(root.Start) || s.End.After(root.End) {
			t.Errorf("the span %q of %s is not in that of the run: %+v, %+v", s.Name, task, s, root)
		}
	}
	for _, task := range []string{"shell", "program", "flaky", "called", "python", "node"} {
		want := 1
		if task == "flaky" {
			want = 2
		}
		if len(attempts[task]) != want || waits[task] == 0 {
			t.Errorf("%s has %d spans of attempts and %d of waiting", task, len(attempts[task]), waits[task])
		}
	}
	if t.Failed() {
		return
	}
	flaky := attempts["flaky"]
	slices.SortFunc(flaky, func(a, b tracetest.Span) int { return a.Start.Compare(b.Start) })
	if !flaky[0].Failed || flaky[1].Failed || !slices.Equal(flaky[1].Links, []string{flaky[0].ID}) {
		t.Errorf("the attempts of flaky are %+v", flaky)
	}
	var seen map[string]string
	if err := json.Unmarshal(rec.Outputs, &seen); err != nil {
		t.Fatal(err)
	}
	for task, got := range seen {
		if want := "00-" + root.Trace + "-" + attempts[task][0].ID + "-01"; got != want {
			t.Errorf("%s sees the trace %q, want %q", task, got, want)
		}
	}
}

// TestARunIsAPartOfTheTraceOfItsCaller, whichever way it is submitted.
func TestARunIsAPartOfTheTraceOfItsCaller(t *testing.T) {
	t.Parallel()
	h, c := tracedHouse(t)
	address := freeAddress(t)
	h.start("o1", "orchestrator", "ORCHIS_LISTEN="+address)
	h.start("w1", "worker")
	caller := func(n int) string { return fmt.Sprintf("00-%032x-%016x-01", 0xabc0+n, 0xdef0+n) }
	byAPI := func(trace string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/api/v1/runs", strings.NewReader(`{"recipe": "plain"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Traceparent", trace)
		h.until("the API answers", func() bool { return answers(address) })
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		var out struct{ Run string }
		if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.Run == "" {
			t.Fatalf("the API answers %d: %v", res.StatusCode, err)
		}
		return out.Run
	}
	ctx := trail.Into(t.Context(), caller(3))
	entry, err := h.client.Submit(ctx, client.Request{Recipe: "plain"})
	if err != nil {
		t.Fatal(err)
	}
	runs := map[string]string{
		caller(1): h.orchisWith([]string{"TRACEPARENT=" + caller(1)}, "submit", "plain", "-q"),
		caller(2): byAPI(caller(2)),
		caller(3): h.accepted(entry),
		caller(4): h.redisCLI("XADD", "orchis:submit", "*", "recipe", "plain", "traceparent", caller(4)),
	}
	runs[caller(4)] = h.accepted(runs[caller(4)])
	for trace, id := range runs {
		id = strings.TrimSpace(id)
		if r := h.wait(id); r.State != run.Succeeded {
			t.Fatalf("run %s is %s", id, r.State)
		}
		if root, all := h.spansOf(c, "plain", id); root.Trace != trace[3:35] || root.Parent != trace[36:52] || len(all) < 2 {
			t.Errorf("the run of %s is %+v, with %d spans", trace, root, len(all))
		}
	}
	// A run in this process alone hands it on as well.
	h.orchisWith([]string{"TRACEPARENT=" + caller(5), "REDIS_URL="}, "run", "plain", "--progress", "quiet")
	h.until("the span of the run has come", func() bool { return c.Of(caller(5)[3:35])["run plain"].Parent == caller(5)[36:52] })
	// What is no traceparent is nobody's trace, and no error.
	id := strings.TrimSpace(h.orchisWith([]string{"TRACEPARENT=nonsense"}, "submit", "plain", "-q"))
	h.succeeded(id)
	if root, _ := h.spansOf(c, "plain", id); root.Parent != "" {
		t.Errorf("the run of nonsense is %+v", root)
	}
}

// answers reports whether somebody serves an address.
func answers(address string) bool {
	res, err := http.Get("http://" + address + "/readyz")
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}
