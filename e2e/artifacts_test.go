package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// fetch reads an artifact with the command.
func (h *house) fetch(text string) string {
	h.t.Helper()
	return h.orchisOK("artifact", "get", text, "--to", "-")
}

// bucket starts an object store and returns the settings that lead to it.
func bucket(t *testing.T) []string {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("media"); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(srv.Close)
	return []string{"ORCHIS_ARTIFACTS=s3://media/team?region=us-east-1&endpoint=" + srv.URL, "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=a-secret-of-the-store"}
}

// TestTheMediaSampleRunsOnWorkersThatShareNoFolder but an object store. Each
// process has a working directory of its own.
func TestTheMediaSampleRunsOnWorkersThatShareNoFolder(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "ffmpeg")
	project, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	h := furnish(t, redistest.Real(t), 0, 0, false, project)
	h.more = bucket(t)
	h.start("o1", "orchestrator")
	h.start("w1", "worker")
	h.start("w2", "worker")
	id := h.submit(client.Request{Recipe: "weave"})
	rec := h.succeeded(id)
	if workers := h.once(id); len(workers) < 2 {
		t.Errorf("only %v worked on it", workers)
	}
	var out struct {
		Master     string
		Renditions []struct{ File string }
		Poster     string
	}
	if err := json.Unmarshal(rec.Outputs, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.Master, "artifact://sha256/") || len(h.fetch(out.Master)) < 1000 {
		t.Errorf("the outputs are %s", rec.Outputs)
	}
	if n := strings.Count(h.orchisOK("artifact", "list", id), "artifact://"); n < 10 {
		t.Errorf("the run refers to %d artifacts", n)
	}
	all := h.redisCLI("--no-raw", "KEYS", "*")
	for name, p := range h.procs {
		if strings.Contains(p.log.String(), "a-secret-of-the-store") {
			t.Errorf("the log of %s tells the secret of the store", name)
		}
	}
	if strings.Contains(all, "a-secret") {
		t.Error("Redis knows the secret of the store")
	}
}

const passing = `
inputs: {text: {type: file}}
jobs:
  brief:
    job: exec
    artifacts: {keep: 1h}
    inputs: {command: "tr a-z A-Z < in > out.txt", files: {in: "${inputs.text}"}, outputs: {file: path out.txt}}
  again: {job: shout, inputs: {file: "${brief.file}", deep: [{f: "${inputs.text}"}]}}
outputs: {brief: "${brief.file}", again: "${again.file}"}
`

const shout = `#!/usr/bin/env python3
import json, sys
given = json.load(sys.stdin)
with open("both.txt", "w") as out:
    out.write(open(given["file"]).read() + open(given["deep"][0]["f"]).read())
print(json.dumps({"file": "artifact:both.txt"}))
`

// TestFilesGoWithTheirRuns from the command line through a shell and a program,
// and are removed when the last run that refers to them is gone.
func TestFilesGoWithTheirRuns(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "python3")
	project := t.TempDir()
	write(t, filepath.Join(project, "flows", "passing.yaml"), passing)
	write(t, filepath.Join(project, "jobs", "shout.py"), shout)
	if err := os.Chmod(filepath.Join(project, "jobs", "shout.py"), 0o755); err != nil {
		t.Fatal(err)
	}
	given := filepath.Join(t.TempDir(), "my text.txt")
	write(t, given, "hello")
	h := furnish(t, redistest.Real(t), 1, 1, false, project)
	id := h.orchisOK("submit", "flows/passing.yaml", "-i", "text="+given, "--wait")
	var out struct{ Brief, Again string }
	if err := json.Unmarshal([]byte(id), &out); err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	if h.fetch(out.Brief) != "HELLO" || h.fetch(out.Again) != "HELLOhello" {
		t.Errorf("the outputs are %s", id)
	}
	runs, err := h.client.List(t.Context(), client.Filter{})
	if err != nil || len(runs) != 1 {
		t.Fatal(runs, err)
	}
	if in := string(runs[0].Inputs); !strings.Contains(in, "artifact://sha256/") || !strings.Contains(in, "/my-text.txt") {
		t.Errorf("the inputs are %s", in)
	}
	if got := h.orchisOK("artifact", "collect", "--age", "1ns"); got != "0 removed, 0 bytes" {
		t.Errorf("while the run is there: %s", got)
	}
	stray := h.orchisOK("artifact", "put", filepath.Join(project, "flows", "passing.yaml"))
	if got := h.orchisOK("artifact", "collect", "--age", "1ns"); got != fmt.Sprintf("1 removed, %d bytes", len(passing)) {
		t.Errorf("with a stray file: %s", got)
	}
	if _, code := h.orchis("artifact", "get", stray, "--to", "-"); code != 4 {
		t.Errorf("getting a removed file ends with %d", code)
	}
	h.kill("o1")
	h.start("o1", "orchestrator", "ORCHIS_RETENTION_AGE=1ms")
	h.until("the run is deleted", func() bool {
		all, err := h.client.List(t.Context(), client.Filter{})
		return err == nil && len(all) == 0
	})
	// What brief made is kept for an hour, the other two files went with the run.
	if got := h.orchisOK("artifact", "collect", "--age", "1ns"); got != "2 removed, 15 bytes" {
		t.Errorf("without the run: %s", got)
	}
	if h.fetch(out.Brief) != "HELLO" {
		t.Error("the file that is kept for an hour is gone")
	}
}

// TestAFileOfTheWebBecomesAnArtifact when the command line is given its URL. By
// other ways of submitting, the worker fetches it for each attempt.
func TestAFileOfTheWebBecomesAnArtifact(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "python3")
	var asked atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1); r.URL.Path != "/my text.txt" {
			http.NotFound(w, r)
			return
		}
		_, _ = fmt.Fprint(w, "hello")
	}))
	t.Cleanup(web.Close)
	file := web.URL + "/my%20text.txt"
	project := t.TempDir()
	write(t, filepath.Join(project, "flows", "passing.yaml"), passing)
	write(t, filepath.Join(project, "jobs", "shout.py"), shout)
	if err := os.Chmod(filepath.Join(project, "jobs", "shout.py"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := furnish(t, redistest.Real(t), 1, 0, false, project)
	h.start("w1", "worker", "ORCHIS_ALLOW_PRIVATE=true")
	right := func(outputs string) {
		t.Helper()
		var out struct{ Brief, Again string }
		if err := json.Unmarshal([]byte(outputs), &out); err != nil {
			t.Fatalf("%s: %v", outputs, err)
		}
		if h.fetch(out.Brief) != "HELLO" || h.fetch(out.Again) != "HELLOhello" {
			t.Errorf("the outputs are %s", outputs)
		}
	}
	for _, recipe := range []string{"flows/passing.yaml", "passing"} { // with its text, and by its name
		before := asked.Load()
		right(h.orchisOK("submit", recipe, "-i", "text="+file, "--wait"))
		if n := asked.Load() - before; n != 1 {
			t.Errorf("the file was fetched %d times for %s", n, recipe)
		}
	}
	runs, err := h.client.List(t.Context(), client.Filter{})
	if err != nil || len(runs) != 2 || !strings.Contains(string(runs[0].Inputs), "artifact://sha256/") || !strings.Contains(string(runs[0].Inputs), "/my-text.txt") {
		t.Fatalf("%v: the inputs are %s", err, runs[0].Inputs)
	}
	if out, code := h.orchis("submit", "flows/passing.yaml", "-i", "text="+web.URL+"/none"); code != 4 {
		t.Errorf("a file that is not there ends with %d: %s", code, out)
	}
	before := asked.Load()
	rec := h.succeeded(h.accepted(h.redisCLI("XADD", "orchis:submit", "*", "recipe", "passing", "input.text", file)))
	right(string(rec.Outputs))
	if in := string(rec.Inputs); !strings.Contains(in, `"artifact+http://`) {
		t.Errorf("the inputs are %s", in)
	}
	if n := asked.Load() - before; n != 2 {
		t.Errorf("the workers fetched it %d times, for two jobs", n)
	}
	h.kill("w1")
	h.start("w2", "worker") // which may not reach private addresses
	rec = h.wait(h.accepted(h.redisCLI("XADD", "orchis:submit", "*", "recipe", "passing", "input.text", file)))
	if rec.State != run.Failed || rec.Error.Code != "privateAddress" {
		t.Errorf("the run ends with %s, %+v", rec.State, rec.Error)
	}
	if n := asked.Load() - before; n != 2 {
		t.Error("a server in a private network was asked all the same")
	}
}
