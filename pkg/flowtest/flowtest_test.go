package flowtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/pkg/flowtest"
)

// TestThisProject runs the cases that stand beside our own flows.
func TestThisProject(t *testing.T) {
	t.Parallel()
	flowtest.Run(t, "../..")
}

// TestTheExamples runs four larger projects: media, nightly ETL, batch inference
// and a deployment.
func TestTheExamples(t *testing.T) {
	t.Parallel()
	flowtest.Run(t, "testdata/examples")
}

// TestTheLanguage tries nested flows and keys of jobs.
func TestTheLanguage(t *testing.T) {
	t.Parallel()
	flowtest.Run(t, "testdata/language")
}

// TestEveryExpectationCanFail: each of them is wrong once, and says so.
func TestEveryExpectationCanFail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{
		"flows/x.yaml": "inputs: {n: {type: integer, default: 1}}\njobs:\n  a: {job: work, inputs: {n: '${inputs.n}'}, timeout: 1m, retries: {delay: 1s, jitter: 0}}\n  b: {job: debug, dependsOn: [a]}\n  c: {job: debug, if: inputs.n > 5}\noutputs: {a: '${a}'}\n",
		"tests/x.yaml": `
flow: x
handlers: { work: { return: { twice: "${inputs.n * 2}" }, takes: 5s } }
cases:
  - { name: as it is, expect: { state: succeeded, outputs: { a: { twice: 2 } }, order: [a, b], never: [c], duration: 5s, jobs: { a: succeeded, c: skipped } } }
  - { name: state, expect: { state: failed } }
  - { name: outputs, expect: { outputs: { a: { twice: 3 } } } }
  - { name: includes, expect: { outputsInclude: { a: 1 } } }
  - { name: error, expect: { error: broke } }
  - { name: order, expect: { order: [b, a] } }
  - { name: never began, expect: { order: [c] } }
  - { name: never, expect: { never: [b] } }
  - { name: duration, expect: { duration: 6s } }
  - { name: job state, expect: { jobs: { c: succeeded } } }
  - { name: job attempts, expect: { jobs: { a: { attempts: 2 } } } }
  - { name: job reason, expect: { jobs: { c: { reason: weather } } } }
  - { name: job error, expect: { jobs: { a: { error: broke } } } }
  - { name: job outputs, expect: { jobs: { a: { outputs: 1 } } } }
  - { name: no fake, handlers: { work: [] }, expect: {} }
  - { name: slow, handlers: { work: { takes: 2m } }, expect: {} }
  - { name: bad input, inputs: { m: 1 } }
  - { name: refused, at: { 1s: { approve: { by: ann } } } }
`,
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		"as it is": "", "state": "the run is succeeded, want failed", "outputs": "outputs (-want +got)", "includes": "output a (-want +got)",
		"error": `want "broke" in it`, "order": "a began before b", "never began": "c never began", "never": "b began", "duration": "the run took 5s, want 6s",
		"job state": "c is skipped, want succeeded: its condition was false", "job attempts": "a took 1 attempts, want 2", "job reason": `the reason of c is "its condition was false"`,
		"job error": `the error of a is ""`, "job outputs": "the result of a (-want +got)", "no fake": `no fake for the handler "work"`,
		"slow": "the run is failed, want succeeded", "bad input": `input "m"`, "refused": "approve is refused: no job of the run waits for an approval",
	}
	r, err := flowtest.New(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	results, diags := r.File(t.Context(), filepath.Join(dir, "tests", "x.yaml"))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	if len(results) != len(want) {
		t.Errorf("there are %d cases, want %d", len(results), len(want))
	}
	for _, res := range results {
		got := strings.Join(res.Problems, "\n")
		if piece := want[res.Case]; !strings.Contains(got, piece) || piece == "" && got != "" || piece != "" && !strings.HasPrefix(got, "tests/x.yaml:") {
			t.Errorf("%s: %q, want %q in it", res.Case, got, piece)
		}
	}
}

// TestBadTestFilesSayWhere: unknown keys and wrong values have a place.
func TestBadTestFilesSayWhere(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"cases: []\n":                     "1:1: error E105: the file does not say what it tests",
		"flow: x\n":                       "1:1: error E105: there are no cases",
		"flow: x\ncases:\n  - {nam: a}\n": `3:6: error E102: unknown key "nam" in the case (did you mean "name"?)`,
		"flow: x\ncases:\n  - expect: {sate: a}\n":  `3:14: error E102: unknown key "sate" in expect (did you mean "state"?)`,
		"flow: x\ncases:\n  - at: {soon: cancel}\n": `3:10: error E104: "soon" is not a time after the start`,
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "t.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := flowtest.New(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, diags := r.File(t.Context(), path)
		if err := diags.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %q", text, err, want)
		}
		_ = r.Close()
	}
}
