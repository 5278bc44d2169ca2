package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// block is a fenced block of a page; info is what stands behind its language.
type block struct{ lang, info, text string }

func blocks(t *testing.T, page string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", page))
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)([^\n]*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		out = append(out, block{m[1], m[2], m[3]})
	}
	return out
}

var savedAs = regexp.MustCompile(`(?m)^# ((?:tests|recipes|flows|jobs)/\S+)$`)

// save writes the blocks of a page that say which file they are.
func save(t *testing.T, all []block, project string) {
	t.Helper()
	for _, b := range all {
		if m := savedAs.FindStringSubmatch(b.text); m != nil {
			path := filepath.Join(project, m[1])
			if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(b.text), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTheReadmeIsTrue(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouseOn(t, redistest.Real(t), 0, 0)
	h.project = t.TempDir()
	for _, dir := range []string{"recipes", "flows", "jobs"} {
		if err := os.CopyFS(filepath.Join(h.project, dir), os.DirFS(filepath.Join("..", dir))); err != nil {
			t.Fatal(err)
		}
	}
	all := blocks(t, "README.md")
	save(t, all, h.project)
	h.start("o1", "orchestrator")
	h.start("w1", "worker")
	h.until("the worker is registered", func() bool {
		workers, err := h.client.Workers(t.Context())
		return err == nil && len(workers) == 1
	})
	shims := redisCLI(t, h.redis)
	var firstOutput, wantOutput string
	for _, b := range all {
		switch {
		case b.lang == "json":
			wantOutput = b.text
		case b.lang == "go":
			sameCode(t, b.text)
		case b.lang == "" && strings.Contains(b.text, "error E"):
			checkMessage(t, h, b.text)
		case b.lang != "sh" || strings.HasPrefix(b.text, "#!") || strings.Contains(b.text, "orchestrator &"):
		case strings.HasPrefix(b.text, "make "):
			target := strings.Fields(b.text)[1]
			if text, err := os.ReadFile("../Makefile"); err != nil || !strings.Contains(string(text), "\n"+target+":") {
				t.Errorf("there is no %q (%v)", b.text, err)
			}
		case strings.HasPrefix(b.text, "go run"):
			firstOutput = shell(t, b.text, "..", append(os.Environ(), "REDIS_URL=", "ORCHIS_REDIS_URL="))
		default:
			shell(t, b.text, h.project, append(h.env(""), "PATH="+shims+":"+bin+":"+os.Getenv("PATH")))
		}
	}
	if diff := cmp.Diff(wantOutput, firstOutput); diff != "" {
		t.Errorf("the first command gives (-readme +real):\n%s", diff)
	}
	h.until("all that was submitted has ended", func() bool {
		runs, err := h.client.List(t.Context(), client.Filter{})
		return err == nil && len(runs) == 4 && !slices.ContainsFunc(runs, func(r run.Run) bool { return r.State != run.Succeeded })
	})
}

func shell(t *testing.T, script, dir string, env []string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script)
	cmd.Dir, cmd.Env = dir, env
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v\n%s%s", script, err, out, errs.String())
	}
	return string(out)
}

// sameCode holds the page's Go code against the example that compiles.
func sameCode(t *testing.T, text string) {
	t.Helper()
	sameCodeAs(t, "../pkg/worker/example_test.go", text)
}

func sameCodeAs(t *testing.T, file, text string) {
	t.Helper()
	example, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flat := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if !strings.Contains(flat(string(example)), flat(text)) {
		t.Errorf("this code does not stand in %s:\n%s", file, text)
	}
}

// checkMessage makes the mistake that the page shows.
func checkMessage(t *testing.T, h *house, want string) {
	t.Helper()
	path := filepath.Join(h.project, "recipes", "thumbs.yaml")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(good), "${inputs.sizes}", "${inputs.size}", 1)
	if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "orchis"), "validate", "recipes/thumbs.yaml")
	cmd.Dir = h.project
	out, _ := cmd.CombinedOutput()
	if !strings.Contains(string(out), want) || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("exit code %d, message (-readme +real):\n%s", cmd.ProcessState.ExitCode(), cmp.Diff(want, string(out)))
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheRecipeReferenceIsTrue(t *testing.T) {
	t.Parallel()
	project := t.TempDir()
	save(t, blocks(t, "docs/recipes.md"), project)
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "orchis"), "run", "report", "-i", "day=2026-11-24", "--progress", "quiet")
	cmd.Dir = project
	cmd.Env = append(os.Environ(), "REDIS_URL=", "ORCHIS_PROJECT="+project)
	var errs strings.Builder
	cmd.Stderr = &errs
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var out map[string]string
	if err := json.Unmarshal(got, &out); err != nil || out["file"] != "/tmp/reports/2026-11-24/report.txt" {
		t.Errorf("outputs are %s", got)
	}
	page, err := os.ReadFile("../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range flow.InputTypes() { // functions: internal/expr
		if !strings.Contains(string(page), "`"+word+"`") {
			t.Errorf("the page says nothing of %s", word)
		}
	}
	for code := range flow.Codes() {
		if !strings.Contains(string(page), code) {
			t.Errorf("the page says nothing of %s", code)
		}
	}
}

// TestRedisCLIIsAWorker does a job with the commands of docs/protocol.md alone.
func TestRedisCLIIsAWorker(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouseOn(t, redistest.Real(t), 1, 0)
	const stream = "orchis:{0}:tickets:default"
	id := h.accepted(h.redisCLI("XADD", "orchis:submit", "*", "definition", "jobs: {a: {job: anything, inputs: {x: 1}}}\noutputs: '${a}'"))
	_ = exec.CommandContext(t.Context(), "redis-cli", "-s", h.redis.Socket(), "XGROUP", "CREATE", stream, "workers", "0", "MKSTREAM").Run()
	words := strings.Fields(h.redisCLI("XREADGROUP", "GROUP", "workers", "cli", "COUNT", "1", "BLOCK", "20000", "STREAMS", stream, ">"))
	var short struct {
		R, T, F, H string
		I          json.RawMessage
	}
	if err := json.Unmarshal([]byte(words[slices.Index(words, "ticket")+1]), &short); err != nil {
		t.Fatal(err, words)
	}
	ticket := words[1]
	if got := h.redisCLI("XCLAIM", stream, "workers", "cli", "0", ticket, "JUSTID"); got != ticket {
		t.Errorf("the heartbeat gives %q, want %s", got, ticket)
	}
	if string(short.I) != `{"x":1}` || words[slices.Index(words, "v")+1] != "2" || short.H != "anything" || short.R != id {
		t.Fatalf("the ticket is %v", words)
	}
	report := strings.Join([]string{
		"MULTI",
		"XADD orchis:{0}:events * v 2 worker cli events '" + fmt.Sprintf(`[{"type":"succeeded","run":"%s","task":"%s","fence":"%s","at":1,"result":{"y":2}}]`, id, short.T, short.F) + "'",
		"XACK " + stream + " workers " + ticket, "XDEL " + stream + " " + ticket, "EXEC", "",
	}, "\n")
	for range 2 { // the second time it has no effect
		cmd := exec.CommandContext(t.Context(), "redis-cli", "-s", h.redis.Socket())
		cmd.Stdin = strings.NewReader(report)
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "ERR") {
			t.Fatalf("%v %s", err, out)
		}
	}
	if r := h.succeeded(id); string(r.Outputs) != `{"y":2}` {
		t.Errorf("outputs are %s", r.Outputs)
	}
	h.once(id)
	h.quiet()
}
