package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestANewProjectWorks: it is made, runs, passes its own tests and is never
// written over.
func TestANewProjectWorks(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	out, errs, code := typed(t.Context(), t, "", "init", dir)
	if code != 0 || !strings.Contains(out, "orchis run hello") {
		t.Fatalf("init: exit code %d, %s%s", code, out, errs)
	}
	if _, errs, code := typed(t.Context(), t, "", "init", dir); code != exitUsage || !strings.Contains(errs, "is there already") {
		t.Errorf("init again: exit code %d, %s", code, errs)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, errs, code = typed(ctx, t, "", "--project", dir, "run", "hello", "-i", "names=Ada,Bo", "--progress", "quiet")
	if want := `{"greetings":["Hello Ada!","Hello Bo!"],"letters":19}`; code != 0 || strings.Join(strings.Fields(out), "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("run: exit code %d, %s%s", code, out, errs)
	}
	out, errs, code = typed(t.Context(), t, "", "--project", dir, "test")
	if code != 0 || !strings.Contains(out, "2 cases, 0 failed") {
		t.Errorf("test: exit code %d, %s%s", code, out, errs)
	}
	for _, check := range [][]string{{"fmt", "--check"}, {"lint", "--strict"}, {"validate"}} {
		if out, errs, code := typed(t.Context(), t, "", append([]string{"--project", dir}, check...)...); code != 0 {
			t.Errorf("%v: exit code %d, %s%s", check, code, out, errs)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "jobs", "greet.sh")); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("the handler cannot be executed: %v", err)
	}
}
