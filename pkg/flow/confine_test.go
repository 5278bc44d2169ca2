package flow

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAFlowIsReadInsideTheProjectOnly tries every way out that is known.
func TestAFlowIsReadInsideTheProjectOnly(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	root, outside := filepath.Join(base, "project"), filepath.Join(base, "outside")
	for _, dir := range []string{filepath.Join(root, "flows"), outside} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	good := "jobs: {a: {job: debug}}\n"
	for path, text := range map[string]string{
		filepath.Join(outside, "f.yaml"): good, filepath.Join(root, "flows", "good.yaml"): good,
		filepath.Join(root, "flows", "huge.yaml"): good + strings.Repeat("# x\n", 300_000),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{
		"link.yaml": "../../outside/f.yaml", "absolute.yaml": filepath.Join(outside, "f.yaml"), "inside.yaml": "good.yaml",
		"environ.yaml": "/proc/self/environ", "zero.yaml": "/dev/zero", "loop.yaml": "loop.yaml",
	} {
		if err := os.Symlink(to, filepath.Join(root, "flows", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(root, "folder")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(root, "flows", "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := loader(t, Options{Root: root})
	for ref, want := range map[string]string{
		"good": "", "flows/good.yaml": "", "./flows/../flows/good.yaml": "", "inside": "",
		"../outside/f.yaml": "is outside the project", "flows/../../outside/f.yaml": "is outside the project", filepath.Join(outside, "f.yaml"): "must be relative",
		"/proc/self/environ": "must be relative", "link": "cannot be read", "absolute": "cannot be read", "environ": "cannot be read", "zero": "cannot be read", "loop": "cannot be read",
		"folder/f.yaml": "cannot be read", "pipe": "not a regular file", "%2e%2e/outside/f.yaml": "there is no", `..\outside\f.yaml`: "this is not a path", `C:\f.yaml`: "this is not a path",
		"C:/f.yaml": "there is no", `flows/good.yaml\0`: "this is not a path", "flows": "there is no", "flows/": "not a regular file", "huge": "more than the limit of 1048576",
	} {
		text := "jobs:\n  a:\n    flow: '" + ref + "'\n"
		_, diags := l.LoadText("t.yaml", []byte(text))
		err := diags.Err()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("flow %s gives %v, want %q", ref, err, want)
		}
		old := "jobs:\n  a:\n    job: runWorkflow\n    workflowPath: '" + ref + "'\n"
		if _, diags := l.LoadText("t.yaml", []byte(old)); diags.HasErrors() != (want != "") {
			t.Errorf("workflowPath %s gives %v", ref, diags.Err())
		}
		// What is submitted by name is confined in the same way.
		if b, _ := l.LoadLocal(ref); b != nil && want != "" {
			t.Errorf("submitting %s gives %v", ref, b.Root)
		}
	}
	if _, diags := l.LoadText("t.yaml", []byte("jobs:\n  a:\n    flow: \"flows/good.yaml\\0\"\n")); !diags.HasErrors() {
		t.Error("a NUL in a path is accepted")
	}
}
