package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// TestPatternsRunForReal: every file of flows/patterns, with its defaults, on
// real workers. What their cases expect of them is tested beside pkg/flowtest.
func TestPatternsRunForReal(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouse(t, 2, 3)
	files, err := filepath.Glob("../flows/patterns/*.yaml")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d patterns, %v", len(files), err)
	}
	ids := map[string]string{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		ids[name] = h.submit(client.Request{Recipe: "flows/patterns/" + name + ".yaml"})
		if _, err := os.Stat(filepath.Join("../tests/patterns", name+".yaml")); err != nil {
			t.Errorf("the pattern %s has no cases: %v", name, err)
		}
	}
	h.inState(ids["approval"], "go", run.TaskWaiting)
	h.does(0, "", "approve", ids["approval"], "--as", "ann")
	h.inState(ids["signal"], "paid", run.TaskWaiting)
	h.does(0, "", "signal", ids["signal"], "paid", "--data", `{"order": 7, "amount": 3}`)
	for name, id := range ids {
		if rec := h.wait(id); rec.State != run.Succeeded {
			t.Errorf("%s is %s: %v", name, rec.State, rec.Error)
		}
		h.once(id)
	}
	h.does(0, "0 failed", "test")
	h.quiet()
}

// TestTheTestingPageIsTrue runs the example of docs/testing.md.
func TestTheTestingPageIsTrue(t *testing.T) {
	t.Parallel()
	h := &house{t: t, project: t.TempDir(), procs: map[string]*process{}}
	save(t, blocks(t, "docs/testing.md"), h.project)
	h.does(0, "3 cases, 0 failed", "test")
	h.does(0, "1 cases, 0 failed", "test", "tests/roll-out.yaml", "--run", "attempt")
}
