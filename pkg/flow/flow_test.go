package flow

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files anew")

func loader(t testing.TB, o Options) *Loader {
	t.Helper()
	if o.Root == "" {
		o.Root = "testdata/project"
	}
	o.Retries = 3
	l, err := NewLoader(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestABadFileGivesItsExactMessages(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	codes := map[string]bool{}
	l := loader(t, Options{})
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		with := l
		if strings.HasSuffix(file, "contracts.yaml") {
			with = l.With(Contracts{Complete: true, Handlers: map[string]Contract{"cut": {Handler: "cut", Inputs: ShapeOf(cutInputs), Outputs: ShapeOf(cutOutputs)}}})
		}
		b, diags := with.LoadText(filepath.Base(file), text)
		if b != nil || !diags.HasErrors() {
			t.Errorf("%s: is valid", file)
			continue
		}
		var got strings.Builder
		diags.Render(&got, RenderOptions{})
		golden(t, strings.TrimSuffix(file, ".yaml")+".golden", got.String())
		for _, d := range diags {
			codes[d.Code] = true
			if d.Severity != SeverityError && d.Severity != SeverityWarning || Codes()[d.Code] == "" {
				t.Errorf("%s: diagnostic %+v", file, d)
			}
		}
	}
	for code := range Codes() {
		if !codes[code] && code != "W001" {
			t.Errorf("no bad file gives %s", code)
		}
	}
}

func load(t *testing.T, text string) (*Bundle, Diagnostics) {
	t.Helper()
	b, diags := loader(t, Options{}).LoadText("<test>", []byte(text))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	return b, diags
}

// The example as the readme of the first Orchis shows it, tabs included.
const seed = "name: MySampleFlow\n" +
	"jobs:\n" +
	"\tdownloadFile:\n\t\tjob: fetchData\n\t\tdependsOn: []\n\t\tinputs:\n\t\t\turl: \"https://example.com/data.csv\"\n" +
	"\tprocessData:\n\t\tjob: analyzeData\n\t\tdependsOn: [\"downloadFile\"]\n\t\tinputs:\n\t\t\tfile: ${downloadFile.file}\n"

func TestTheSeedsExampleIsReadWithItsTabs(t *testing.T) {
	t.Parallel()
	b, diags := load(t, seed)
	if len(diags) != 1 || diags[0].Code != "W001" || diags[0].Line != 3 {
		t.Errorf("diagnostics are %+v", diags)
	}
	f := b.RootFlow()
	if f.Name != "MySampleFlow" || f.Kind != KindFlow || len(f.Jobs) != 2 {
		t.Fatalf("flow is %+v", f)
	}
	p := f.Jobs[1]
	if diff := cmp.Diff([]Dep{{Job: "downloadFile"}}, p.Deps); diff != "" || p.Handler != "analyzeData" || p.Retries.Max != 3 || p.Timeout != 30*time.Minute {
		t.Errorf("job is %+v\n%s", p, diff)
	}
}

func TestTheFirstOrchisIterationIsRead(t *testing.T) {
	t.Parallel()
	b, _ := load(t, `
jobs:
  fade:
    job: runWorkflow
    workflowPath: "./flows/fade.yaml"
    iterate: ["https://example.org/a.mp4", "https://example.org/b.mp4"]
    iteratePick: fadedFile
    inputs:
      url: ${iterate.item}
      seconds: 120
`)
	j := b.RootFlow().Jobs[0]
	if j.Flow != "flows/fade.yaml" || j.Handler != "" || j.IteratePick != "fadedFile" || j.Iterate == nil || !j.FailFast {
		t.Errorf("job is %+v", j)
	}
	if b.Flows["flows/fade.yaml"] == nil {
		t.Errorf("the bundle has %v", slices.Sorted(maps.Keys(b.Flows)))
	}
}

func TestFlowsOfARecipeAsAListWaitForEachOther(t *testing.T) {
	t.Parallel()
	b, _ := load(t, `
flows:
  - first: { flow: cut, inputs: { url: "https://example.org" } }
  - second: { flow: cut, inputs: { url: "https://example.org" } }
  - third: { flow: cut, dependsOn: [], inputs: { url: "https://example.org" } }
`)
	var got []string
	for _, j := range b.RootFlow().Jobs {
		got = append(got, fmt.Sprint(j.Name, j.Deps))
	}
	if diff := cmp.Diff([]string{"first[]", "second[{first  false}]", "third[]"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestReferencesAddEdges(t *testing.T) {
	t.Parallel()
	b, _ := load(t, `
jobs:
  a: { job: debug }
  plain: { job: debug, inputs: { x: "${a.y}" } }
  guarded: { job: debug, inputs: { x: "${a.y ?? 0}" } }
  state: { job: debug, if: "jobs.a.status == 'failed'" }
  declared: { job: debug, dependsOn: { a: failed }, inputs: { x: "${jobs.a.error.code}" } }
`)
	got := map[string][]Dep{}
	for _, j := range b.RootFlow().Jobs {
		got[j.Name] = j.Deps
	}
	want := map[string][]Dep{
		"a": nil, "plain": {{Job: "a", Implied: true}}, "guarded": {{Job: "a", On: OnFinished, Implied: true}},
		"state": {{Job: "a", On: OnFinished, Implied: true}}, "declared": {{Job: "a", On: OnFailed}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultsReachNestedFlows(t *testing.T) {
	t.Parallel()
	b, _ := load(t, `
priority: high
defaults: { retries: { max: 7, backoff: fixed, delay: 2s }, timeout: 90000, queue: gpu, env: { A: "1" } }
flows:
  one: { flow: cut, inputs: { url: "https://example.org" } }
`)
	one := b.RootFlow().Jobs[0]
	cut := b.Flows[one.Flow].Jobs[0]
	if one.Retries.Max != 0 || one.Timeout != 0 {
		t.Errorf("the step itself is %+v", one)
	}
	if cut.Retries.Max != 7 || cut.Retries.Backoff != "fixed" || cut.Retries.Delay != 2*time.Second || cut.Timeout != 90*time.Second || cut.Queue != "gpu" || cut.Priority != PriorityHigh || cut.Env["A"] == nil {
		t.Errorf("the job is %+v", cut)
	}
}

func TestALongDelayIsNotCutOffByADefault(t *testing.T) {
	t.Parallel()
	b, _ := load(t, "jobs: {a: {job: debug, retries: {delay: 1h}}}")
	if r := b.RootFlow().Jobs[0].Retries; r.Delay != time.Hour || r.MaxDelay != time.Hour {
		t.Errorf("retries are %+v", r)
	}
}

func TestABundleIsTheSameAfterItWasStored(t *testing.T) {
	t.Parallel()
	b, _ := load(t, "inputs: { n: 3 }\nvars: { m: '${inputs.n * 2}' }\njobs:\n  a: { job: debug, iterate: { from: 1, to: 3 }, inputs: { x: '${iterate.item}' }, if: 'inputs.n > 1' }\noutputs: { a: '${a}' }\n")
	first, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeBundle(first)
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(first), string(second)); diff != "" {
		t.Error(diff)
	}
	d1, err1 := b.Digest()
	d2, err2 := again.Digest()
	if d1 != d2 || err1 != nil || err2 != nil {
		t.Errorf("digests are %s and %s (%v, %v)", d1, d2, err1, err2)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	var many, wide strings.Builder
	many.WriteString("jobs:\n")
	for i := range 100_001 {
		fmt.Fprintf(&many, "  j%d: {job: debug}\n", i)
	}
	wide.WriteString("jobs:\n  a:\n    job: debug\n    inputs:\n")
	for i := range 100_000 {
		fmt.Fprintf(&wide, "      k%d: 1\n", i)
	}
	tests := []struct{ name, text, want string }{
		{"jobs", many.String(), "the flow has 100001 jobs, more than the limit of 100000"},
		{"depth", "jobs: " + strings.Repeat("[", 10_000), "nested more than 64 deep"},
		{"block depth", "jobs:\n" + deep(100), "nested more than 64 deep"},
		{"bytes", strings.Repeat("#", 5<<20), "more than the limit of 4194304"},
		{"keys", strings.Replace(wide.String(), "job: debug", "jbo: debug", 1), `did you mean "job"?`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, diags := loader(t, Options{MaxBytes: 4 << 20}).LoadText("<test>", []byte(test.text))
			if err := diags.Err(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %.300v", err)
			}
		})
	}
}

// TestNestingHasALimit: ten flows in one another, and no eleventh.
func TestNestingHasALimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "flows"), 0o750); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		text := fmt.Sprintf("jobs: {a: {flow: f%d}}\n", i+1)
		if i == 11 {
			text = "jobs: {a: {job: debug}}\n"
		}
		if err := os.WriteFile(filepath.Join(dir, "flows", fmt.Sprintf("f%d.yaml", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := loader(t, Options{Root: dir})
	if _, diags := l.Load("f1"); diags.HasErrors() {
		t.Errorf("ten nested flows: %v", diags.Err())
	}
	_, diags := l.Load("f0")
	want := "flows/f10.yaml:1:18: error E003: flows are nested more than 10 deep"
	if err := diags.Err(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("eleven nested flows: %v, want %s", err, want)
	}
}

func deep(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i+1) + "k:\n")
	}
	return b.String()
}

func TestOnlyTheProjectIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "flows"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "flows", "link.yaml")); err != nil {
		t.Fatal(err)
	}
	l := loader(t, Options{Root: dir})
	for _, name := range []string{"../x", "/etc/hostname", "flows/../../x.yaml", "flows/link.yaml", "flows/none.yaml", "flows", "link", "a\x00b", ""} {
		b, diags := l.LoadLocal(name)
		if b != nil || len(diags) != 1 || diags[0].Code != "E001" {
			t.Errorf("%q gives %+v", name, diags)
		}
	}
}

func TestEveryDiagnosticIsJSON(t *testing.T) {
	t.Parallel()
	_, diags := loader(t, Options{}).LoadText("x.yaml", []byte("jobs: {a: {jbo: debug}}"))
	raw, err := json.Marshal(diags)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"severity":"error","code":"E102","file":"x.yaml","line":1,"column":12,"message":"unknown key \"jbo\" in job \"a\"","hint":"did you mean \"job\"?","source":"jobs: {a: {jbo: debug}}","length":3}]`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Error(diff)
	}
	var invalid *InvalidError
	if !errors.As(diags.Err(), &invalid) {
		t.Errorf("error is %T", diags.Err())
	}
}

func BenchmarkLoad(b *testing.B) {
	var text strings.Builder
	text.WriteString("jobs:\n  j0: {job: debug}\n")
	for i := 1; i < 10_000; i++ {
		fmt.Fprintf(&text, "  j%d: {job: debug, dependsOn: [j%d]}\n", i, i-1)
	}
	l := loader(b, Options{})
	for b.Loop() {
		if _, diags := l.LoadText("x", []byte(text.String())); diags.HasErrors() {
			b.Fatal(diags.Err())
		}
	}
}
