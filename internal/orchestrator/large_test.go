package orchestrator

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// acks notes which events were acknowledged, call by call.
type acks struct {
	Store

	calls [][]string
}

// Load finds no run.
func (*acks) Load(context.Context, string) (*wire.Stored, error) { return nil, wire.ErrNotFound }

// AckEvents notes.
func (a *acks) AckEvents(_ context.Context, _ int, ids []string) error {
	a.calls = append(a.calls, ids)
	return nil
}

// numbered makes events of a run.
func numbered(id string, from, to int) []wire.Event {
	var all []wire.Event
	for i := from; i < to; i++ {
		all = append(all, wire.Event{ID: fmt.Sprintf("%s-%d", id, i), Run: id})
	}
	return all
}

// TestASmallRunOvertakesALargeOne: what has happened to a run with much to do
// waits while others have their turn, comes in order, and is not taken twice.
func TestASmallRunOvertakesALargeOne(t *testing.T) {
	t.Parallel()
	store := &acks{}
	pt := newPartition(&Orchestrator{cfg: Config{}.withDefaults(), store: store, turns: turns{many: 50, alone: 200, portion: 50}}, 0)
	pt.o.owned = map[int]bool{}
	deal := func(want string, events ...wire.Event) {
		t.Helper()
		store.calls = nil
		if err := pt.deal(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range store.calls {
			got = append(got, c[0]+".."+c[len(c)-1])
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("dealt with %s, want %s", text, want)
		}
	}
	deal("small-0..small-0 large-0..large-49", append(numbered("large", 0, 500), numbered("small", 0, 1)...)...)
	deal("small-1..small-1 large-50..large-99", append(numbered("large", 500, 501), numbered("small", 1, 2)...)...)
	deal("large-100..large-299", numbered("other", 0, 300)...)
	if left := pt.behind.without(append(numbered("large", 299, 302), numbered("small", 2, 4)...), numbered("small", 3, 4)); len(left) != 2 || left[0].ID != "large-299" || left[1].ID != "small-2" {
		t.Errorf("left behind by others are %v", left)
	}
	deal("other-0..other-199")
	deal("large-300..large-499")
	deal("other-200..other-299")
	deal("large-500..large-500")
	deal("")
	if pt.behind.events != 0 || len(pt.behind.order) != 0 {
		t.Errorf("%d events are left of %d runs", pt.behind.events, len(pt.behind.order))
	}
}

// batches is a store whose reads give one batch after the other.
type batches struct {
	Store

	left [][]wire.Event
}

func (b *batches) ReadEvents(context.Context, int, string, int, time.Duration) ([]wire.Event, error) {
	if len(b.left) == 0 {
		return nil, nil
	}
	next := b.left[0]
	b.left = b.left[1:]
	return next, nil
}

// TestWhatIsReadAheadComesNext: before what is read after it, and once.
func TestWhatIsReadAheadComesNext(t *testing.T) {
	t.Parallel()
	store := &batches{left: [][]wire.Event{numbered("r", 0, 3), numbered("r", 3, 5)}}
	pt := newPartition(&Orchestrator{cfg: Config{}.withDefaults(), store: store, turns: usualTurns()}, 0)
	pt.readAhead(t.Context())
	for _, want := range []string{"r-0 r-1 r-2", "r-3 r-4", ""} {
		events, err := pt.read(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, ev := range events {
			ids = append(ids, ev.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("read are %q, want %q", got, want)
		}
	}
}
