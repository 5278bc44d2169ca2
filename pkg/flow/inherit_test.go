package flow

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// project writes files and returns a loader of them.
func project(t *testing.T, files map[string]string) *Loader {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return loader(t, Options{Root: root})
}

// TestDefaults_StayWithTheFlowsBelow: a flow that two flows call has the
// defaults of the one that says some, and none of the other, whichever of its
// keys they are.
func TestDefaults_StayWithTheFlowsBelow(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"retries": "9", "timeout": "9s", "queueTimeout": "9s", "heartbeatTimeout": "9s", "queue": "gpu", "priority": "9", "env": "{A: b}", "cache": "true",
	}
	l := newLanguage()
	if diff := cmp.Diff(slices.Sorted(slices.Values(l.defaults.names())), slices.Sorted(maps.Keys(values))); diff != "" {
		t.Fatalf("not all keys are tried:\n%s", diff)
	}
	for key, v := range values {
		l := project(t, map[string]string{
			"recipes/r.yaml":    "flows: {one: , two: , three: }\n",
			"flows/one.yaml":    "defaults: {" + key + ": " + v + "}\njobs: {call: {flow: shared}}\n",
			"flows/two.yaml":    "jobs: {call: {flow: shared}}\n",
			"flows/three.yaml":  "jobs: {call: {flow: shared}}\n",
			"flows/shared.yaml": "jobs: {work: {job: debug}}\n",
		})
		b, diags := l.Load("r")
		if err := diags.Err(); err != nil {
			t.Fatal(err)
		}
		work := func(name string) Job {
			return b.Flows[b.Flows["flows/"+name+".yaml"].Jobs[0].Flow].Jobs[0]
		}
		plain, err := l.LoadLocal("flows/shared.yaml")
		if err.HasErrors() {
			t.Fatal(err)
		}
		if diff := cmp.Diff(encodedJob(t, plain.RootFlow().Jobs[0]), encodedJob(t, work("two"))); diff != "" {
			t.Errorf("%s of another flow reaches it:\n%s", key, diff)
		}
		if encodedJob(t, work("one")) == encodedJob(t, work("two")) {
			t.Errorf("%s does not reach the flow below", key)
		}
	}
}

func encodedJob(t *testing.T, j Job) string {
	t.Helper()
	raw, err := (&Bundle{Root: "x", Flows: map[string]*Flow{"x": {Jobs: []Job{j}}}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
