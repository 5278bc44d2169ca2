package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPlanShowsWhatChanged: against another file and against a revision, with
// the flows that are called.
func TestPlanShowsWhatChanged(t *testing.T) {
	t.Parallel()
	dir := project(t, map[string]string{
		"recipes/r.yaml": "inputs: {n: {default: 1}, gone: {default: 1}}\nflows: {f: {inputs: {n: '${inputs.n}'}}}\n",
		"flows/f.yaml":   "inputs: {n: {default: 2}}\njobs:\n  a: {job: debug, inputs: {x: 1, y: 2}}\n  b: {job: debug, dependsOn: [a]}\n  c: {job: debug}\n",
	})
	git := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x@localhost"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("git %v: %v %s", args, err, out)
		}
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "first")
	later := map[string]string{
		"recipes/r.yaml": "inputs: {n: {default: 5}, new: {default: 1}}\nflows: {f: {inputs: {n: '${inputs.n}'}}}\n",
		"flows/f.yaml":   "inputs: {n: {default: 2}}\njobs:\n  a: {job: debug, timeout: 5s, inputs: {x: 3, y: 2}}\n  b: {job: debug, dependsOn: [c]}\n  c: {job: debug}\n  d: {job: debug, dependsOn: [b]}\n",
	}
	for name, text := range later {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const want = `recipes/r.yaml
  - input gone
  ~ input n: default
  + input new
flows/f.yaml
  ~ job a: inputs.x, timeout
  + job d
  - edge a -> b
  + edge b -> d
  + edge c -> b
`
	out, errs, code := typed(t.Context(), t, "", "--project", dir, "plan", "r", "--diff", "HEAD")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("against HEAD (-want +got):\n%s", diff)
	}
	if out, _, code := typed(t.Context(), t, "", "--project", dir, "plan", "r", "--diff", filepath.Join(dir, "recipes", "r.yaml")); code != 0 || out != "nothing has changed\n" {
		t.Errorf("against itself: exit code %d, %s", code, out)
	}
	if _, _, code := typed(t.Context(), t, "", "--project", dir, "plan", "r", "--diff", "nonsense"); code != exitUsage {
		t.Errorf("against nothing: exit code %d", code)
	}
}
