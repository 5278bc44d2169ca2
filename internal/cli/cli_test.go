package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/charmbracelet/colorprofile"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/orchis-run/orchis/internal/redistest"
)

// TestMain keeps the artifacts of the tests out of the source.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "orchis-cli-")
	if err == nil {
		err = os.Setenv("ORCHIS_ARTIFACTS", dir)
	}
	if err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// typed runs the command as a person would type it.
func typed(ctx context.Context, t *testing.T, in string, args ...string) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	a := &app{in: strings.NewReader(in), out: colorprofile.NewWriter(&o, nil), err: colorprofile.NewWriter(&e, nil), asks: in != ""}
	root := a.command()
	root.SetArgs(args)
	code = a.code(root.ExecuteContext(ctx))
	return o.String(), e.String(), code
}

// project makes a project of files and returns its folder.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var files = map[string]string{
	"recipes/ok.yaml":      "inputs: {name: {default: world}, n: {type: integer, default: 1}}\njobs: {a: {job: debug, inputs: {text: 'Hello ${inputs.name}', n: '${inputs.n}'}}}\noutputs: '${a.text}'\n",
	"recipes/must.yaml":    "inputs: {size: {type: integer, label: How large, max: 9}}\njobs: {a: {job: debug, inputs: {n: '${inputs.size}'}}}\noutputs: '${a.n}'\n",
	"recipes/fails.yaml":   "jobs: {a: {job: broken, retries: 0}}\n",
	"recipes/waits.yaml":   "jobs: {a: {job: sleep, inputs: {duration: 60s}}}\n",
	"recipes/bad.yaml":     "jobs: {a: {jbo: debug}}\n",
	"recipes/nobody.yaml":  "jobs: {a: {job: nobody}}\n",
	"jobs/broken.sh":       "#!/bin/sh\necho something went wrong >&2\nexit 7\n",
	"inputs.yaml":          "name: file\n",
	"bo.yaml":              "name: Bo\nn: 1\n",
	"inputs.json":          `{"name": "json"}`,
	"broken.json":          `{"name"`,
	"flows/nested/in.yaml": "jobs: {a: {job: debug}}\n",
}

func TestCommandsAndTheirExitCodes(t *testing.T) {
	t.Parallel()
	dir := project(t, files)
	recipe := func(name string) string { return filepath.Join(dir, "recipes", name+".yaml") }
	tests := []struct {
		args      string
		in        string
		code      int
		out, errs string // regular expressions
	}{
		{args: "run " + recipe("ok") + " --progress quiet", out: `^"Hello world"\n$`, errs: `^$`},
		{args: "run " + recipe("ok") + " --progress plain -i name=Ada", out: `^"Hello Ada"\n$`, errs: `a succeeded`},
		{args: "run " + recipe("ok") + " --progress json", out: `^(\{.*\}\n)*\{"result":.*"outputs":"Hello world".*\}\n$`, errs: `^$`},
		{args: "run " + recipe("ok") + " --progress quiet -f " + dir + "/inputs.yaml", out: `Hello file`},
		{args: "run " + recipe("ok") + " --progress quiet -f " + dir + "/inputs.json -i name=flag", out: `Hello flag`},
		{args: "run " + recipe("ok") + " -f " + dir + "/broken.json", code: 3, errs: `broken.json: `},
		{args: "run " + recipe("ok") + " -f " + dir + "/none.json", code: 2, errs: `read the inputs: .*no such file`},
		{args: "run " + recipe("ok") + " -i name", code: 2, errs: `the input "name" is not of the form name=value`},
		{args: "run " + recipe("ok") + " -i nam=x", code: 3, errs: `input "nam": it is not an input of ok \(did you mean "name"\?\)`},
		{args: "run " + recipe("ok") + " -i n=x", code: 3, errs: `input "n": expected an integer, got "x"`},
		{args: "run " + recipe("must"), code: 3, errs: `input "size": it is required and missing`},
		{args: "run " + recipe("must") + " --progress quiet", in: "many\n11\n7\n", out: `^7\n$`, errs: `How large: .*expected an integer.*\n.*more than the largest`},
		{args: "run " + recipe("must"), in: "a\nb\nc\nd\n", code: 3, errs: `input "size": no usable value after 3 tries`},
		{args: "run " + recipe("fails") + " --progress quiet", code: 1, errs: `job "a" failed: something went wrong \(exit:7\)[^$]*last lines of a:\n  something went wrong`},
		{args: "run " + recipe("waits") + " --progress quiet --timeout 2s", code: 124, errs: `cancelling the run`},
		{args: "run " + recipe("bad"), code: 3, errs: `recipes/bad.yaml:1:12: error E102: unknown key "jbo" in job "a" \(did you mean "job"\?\)\n    1 \| jobs: \{a: \{jbo: debug\}\}\n      \|            \^~~\n`},
		{args: "run " + recipe("nobody"), code: 3, errs: `job "a" wants the handler "nobody", which is neither built in nor in `},
		{args: "run " + recipe("okk"), code: 4, errs: `did you mean "ok"\?`},
		{args: "run", code: 2, errs: `accepts 1 arg`},
		{args: "rnu", code: 2, errs: `unknown command "rnu"`},
		{args: "run --wrong x", code: 2, errs: `unknown flag: --wrong`},
		{args: "list -o xml", code: 2, errs: `--output is "xml"`},
		{args: "list --redis redis://127.0.0.1:1", code: 5, errs: `connection refused`},
		{args: "list --redis http://x", code: 5, errs: `redis`},
		{args: "validate " + recipe("ok"), out: `^1 valid\n$`},
		{args: "validate -o json " + recipe("bad"), code: 3, out: `"code": "E102"`},
		{args: "validate --project " + dir, code: 3, errs: `recipes/bad.yaml:1:12`},
		{args: "graph --format dot " + recipe("ok"), out: `^digraph`},
		{args: "graph --format mermaid " + recipe("ok"), out: `flowchart`},
		{args: "graph --format svg " + recipe("ok"), out: `^<svg`},
		{args: "graph --format pdf " + recipe("ok"), code: 2, errs: `want ascii, mermaid, dot or svg`},
		{args: "graph " + recipe("ok"), out: `│ a`},
		{args: "plan " + recipe("ok") + " -i n=5", out: `inputs  \{"n":5,"name":"world"\}\n 1  a\n.*a: debug \(here\)`},
		{args: "plan -o json " + recipe("nobody"), out: `"here": false`},
		{args: "config", out: `MAX_RETRIES +3 +default`},
		{args: "config --redis redis://:secret@127.0.0.1:6379", out: `REDIS_URL +redis://:x+@|REDIS_URL +redis://[^s]*127.0.0.1:6379 +flag`},
		{args: "version", out: `^orchis `},
		{args: "completion bash", out: `__start_orchis`},
	}
	for _, test := range tests {
		t.Run(strings.ReplaceAll(test.args, dir, ""), func(t *testing.T) {
			t.Parallel()
			out, errs, code := typed(t.Context(), t, test.in, strings.Fields(test.args)...)
			if code != test.code || !regexp.MustCompile("(?s)"+test.out).MatchString(out) || !regexp.MustCompile("(?s)"+test.errs).MatchString(errs) {
				t.Errorf("exit code %d, want %d\n--- out (want %s)\n%s\n--- err (want %s)\n%s", code, test.code, test.out, out, test.errs, errs)
			}
			if strings.Contains(out+errs, "secret") {
				t.Error("a password is shown")
			}
		})
	}
}

// TestWhatIsShownOfRuns submits to a development server and looks.
func TestWhatIsShownOfRuns(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	dir := project(t, files)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		a := &app{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}}
		root := a.command()
		root.SetArgs([]string{"dev", "--redis", srv.URL, "--project", dir, "--listen", "off"})
		done <- a.code(root.ExecuteContext(ctx))
	}()
	t.Cleanup(func() {
		stop()
		if code := <-done; code != 0 {
			t.Errorf("dev ends with %d", code)
		}
	})
	ask := func(args ...string) string {
		t.Helper()
		out, errs, code := typed(t.Context(), t, "", append(args, "--redis", srv.URL, "--project", dir)...)
		if code != 0 {
			t.Errorf("%v: exit code %d: %s", args, code, errs)
		}
		return out
	}
	redistest.Until(t, "the workers are ready", func() bool {
		out, _, code := typed(t.Context(), t, "", "workers", "--redis", srv.URL)
		return code == 0 && strings.Contains(out, "ready")
	})
	if got := ask("submit", "ok", "--id", "one", "--wait", "-f", filepath.Join(dir, "bo.yaml"), "-i", "n=2"); !strings.Contains(got, "Hello Bo") {
		t.Errorf("submit --wait gives %q", got)
	}
	for _, c := range []struct{ args, want string }{
		{"list", `one +ok +succeeded +1/1 `},
		{"describe one", `state    succeeded(?s).*a +succeeded +1 +worker`},
		{"logs one", `^\d\d:\d\d:\d\d a │ n: 2\n\d\d:\d\d:\d\d a │ text: Hello Bo\n$`},
		{"logs one a --no-prefix --tail 1 --attempt -1", `^text: Hello Bo\n$`},
		{"logs one -f --since 1h -o json", `^\{"runId":"one","task":"a","attempt":1,"source":"log","at":\d+,"number":1,"text":"n: 2"\}\n`},
		{"logs one --attempt 2", `^$`},
		{"events one --utc", `^\d\d:\d\d:\d\d\.\d{3} ok: run one running .*\n\S+ a succeeded in .*\n\S+ ok: run one succeeded\n$`},
		{"events one -f -o json", `^\{"runId":"one","at":\d+,"run":"running".*\}\n(.*\n)*.*"run":"succeeded"`},
		{"list -o yaml", `(?m)^- id: one$\n^  state: succeeded$`},
		{"list -q", `^one\n$`},
		{"list -o name --no-headers", `^one\n$`},
		{"list --no-headers", `^one +ok +succeeded`},
		{"list -o wide", `^RUN .* TOOK +BY +WHY\n`},
		{"workers -o wide --no-headers", `ready +\S+ +\d+ +20\d\d-`},
		{"why one", `the run succeeded`},
		{"queues", `default +normal +0 +0`},
		{"workers", `\d/\d +default +\d+ +ready`},
		{"doctor", `version +7\.|ok`},
	} {
		if got := ask(strings.Fields(c.args)...); !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("%s shows\n%s", c.args, got)
		}
	}
	var runs []map[string]any
	if err := json.Unmarshal([]byte(ask("list", "-o", "json")), &runs); err != nil || len(runs) != 1 {
		t.Fatal(runs, err)
	}
	if diff := cmp.Diff(map[string]any{"name": "Bo", "n": 2.0}, runs[0]["inputs"]); diff != "" {
		t.Error(diff)
	}
	ask("submit", "waits", "--id", "two")
	redistest.Until(t, "the job runs", func() bool { return strings.Contains(ask("describe", "two"), "running") })
	ask("cancel", "two", "--reason", "enough")
	_, _, code := typed(t.Context(), t, "", "watch", "two", "--progress", "quiet", "--redis", srv.URL)
	if code != exitCancelled {
		t.Errorf("watch ends with %d", code)
	}
	srv.Do(t, "DEL", "orchis:{0}:run:one:changes") // as of a run of an older build
	if got := ask("events", "one", "-f"); got != "" {
		t.Errorf("of no log there is %q", got)
	}
	if _, errs, code := typed(t.Context(), t, "", "describe", "none", "--redis", srv.URL); code != exitNotFound || !strings.Contains(errs, "not found") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if _, errs, code := typed(t.Context(), t, "", "submit", "bad", "--redis", srv.URL, "--project", dir); code != exitInvalid {
		t.Errorf("exit code %d: %s", code, errs)
	}
}
