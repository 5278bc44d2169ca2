package orchestrator

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// Large definitions, of a submission or of a file, are read beside the others;
// each once, and only so many wait.
func TestLargeSubmissionsDoNotHoldUpSmallOnes(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "flows"), 0o700); err != nil {
		t.Fatal(err)
	}
	long := "# " + strings.Repeat("x", asideFrom) + "\njobs: {a: {job: work}}\n"
	if err := os.WriteFile(filepath.Join(root, "flows", "generated.yaml"), []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	loader, err := flow.NewLoader(flow.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = loader.Close() }()
	began, goOn := make(chan string, 10), make(chan bool)
	o := &Orchestrator{loader: loader}
	o.aside.accept = func(_ context.Context, subs []wire.Submission) error {
		began <- subs[0].Entry
		<-goOn
		return nil
	}
	huge := strings.Repeat("x", mostAside)
	subs := []wire.Submission{
		{Entry: "1", Definition: "jobs: {}"},
		{Entry: "2", Definition: long},
		{Entry: "3", Recipe: "other"},
		{Entry: "4", Recipe: "generated"},
		{Entry: "5", Recipe: "flows/generated.yaml"},
		{Entry: "6", Definition: huge},
	}
	for range 2 { // they come again while they are being read
		rest := o.setAside(t.Context(), subs)
		if len(rest) != 2 || rest[0].Entry != "1" || rest[1].Entry != "3" {
			t.Fatalf("left are %+v", rest)
		}
	}
	close(goOn)
	o.aside.all.Wait()
	close(began)
	seen := map[string]int{}
	for entry := range began {
		seen[entry]++
	}
	if len(seen) != 3 || seen["2"] != 1 || seen["4"] != 1 || seen["5"] != 1 {
		t.Errorf("read aside: %v", seen)
	}
	if o.aside.size != 0 || len(o.aside.entries) != 0 {
		t.Errorf("%d bytes of %v are still held", o.aside.size, o.aside.entries)
	}
}

// A large submission becomes a run as others do.
func TestALargeSubmissionRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Embedded(t))
	s.start(s.orchestrator("o").Run)
	s.worker("w")
	s.ended(s.submit("# "+strings.Repeat("x", asideFrom)+"\njobs: {a: {job: work}}"), run.Succeeded)
	s.quiet()
}

// Runs of which much has happened come after the others.
func TestRunsWithManyEventsComeLast(t *testing.T) {
	t.Parallel()
	var order []*todo
	for i, n := range []int{1, manyEvents, 3, 500} {
		order = append(order, &todo{id: fmt.Sprint("r", i), events: make([]wire.Event, n)})
	}
	few, many := apart(order)
	if len(few) != 2 || few[0].id != "r0" || few[1].id != "r2" || len(many) != 2 || many[0].id != "r1" || many[1].id != "r3" {
		t.Errorf("few are %v, many are %v", few, many)
	}
}
