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

// silent is a store without runs: every event is dismissed.
type silent struct{ Store }

// Load finds no run.
func (silent) Load(context.Context, string) (*wire.Stored, error) { return nil, wire.ErrNotFound }

// numbered makes events of a run, each in an entry of its own.
func numbered(id string, from, to int) []wire.Event {
	var all []wire.Event
	for i := from; i < to; i++ {
		all = append(all, wire.Event{Entry: &wire.Entry{ID: fmt.Sprintf("%s-%d", id, i), Events: 1}, Run: id})
	}
	return all
}

// TestFairness_ASmallRunOvertakesALargeOne: events of a run with much to do wait
// while others are handled, stay in order, and are handled once.
func TestFairness_ASmallRunOvertakesALargeOne(t *testing.T) {
	t.Parallel()
	pt := newPartition(&Orchestrator{cfg: Config{}.withDefaults(), store: silent{}, turns: turns{many: 50, alone: 200, portion: 50}}, 0)
	pt.o.owned = map[int]bool{}
	deal := func(want string, events ...wire.Event) {
		t.Helper()
		pt.ledger.ready = nil
		pt.ledger.add(events)
		if err := pt.deal(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		var got []string // the first and the last entry of each run
		for i, id := range pt.ledger.ready {
			run, _, _ := strings.Cut(id, "-")
			if i == 0 || !strings.HasPrefix(pt.ledger.ready[i-1], run) {
				got = append(got, id)
			}
			if i == len(pt.ledger.ready)-1 || !strings.HasPrefix(pt.ledger.ready[i+1], run) {
				got[len(got)-1] += ".." + id
			}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("handled %s, want %s", text, want)
		}
	}
	deal("small-0..small-0 large-0..large-49", append(numbered("large", 0, 500), numbered("small", 0, 1)...)...)
	deal("small-1..small-1 large-50..large-99", append(numbered("large", 500, 501), numbered("small", 1, 2)...)...)
	deal("large-100..large-299", numbered("other", 0, 300)...)
	if left := pt.ledger.without(append(numbered("large", 299, 302), numbered("small", 2, 4)...)); len(left) != 3 || left[0].Entry.ID != "large-299" || left[1].Entry.ID != "small-2" {
		t.Errorf("abandoned by others are %v", left)
	}
	deal("other-0..other-199")
	deal("large-300..large-499")
	deal("other-200..other-299")
	deal("large-500..large-500")
	deal("")
	if pt.behind.events != 0 || len(pt.behind.order) != 0 || len(pt.ledger.open) != 0 {
		t.Errorf("%d events are left of %d runs, %d entries", pt.behind.events, len(pt.behind.order), len(pt.ledger.open))
	}
}

// batches is a store whose reads return one batch after the other.
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

// TestReading_APendingReadIsReturnedOnceAndInOrder: while a read is pending no
// event is passed over.
func TestReading_APendingReadIsReturnedOnceAndInOrder(t *testing.T) {
	t.Parallel()
	store := &batches{left: [][]wire.Event{numbered("r", 0, 3), numbered("r", 3, 5)}}
	pt := newPartition(&Orchestrator{cfg: Config{}.withDefaults(), store: store, turns: usualTurns(), concurrent: true}, 0)
	pt.startReading(t.Context())
	for _, want := range []string{"r-0 r-1 r-2", "r-3 r-4", ""} {
		events, err := pt.read(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, ev := range events {
			ids = append(ids, ev.Entry.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("read are %q, want %q", got, want)
		}
	}
	pt.endReading()
}

// TestLedger_AnEntryIsAcknowledgedWithTheLastOfItsEvents: by the commit that
// covers it, or alone when several did.
func TestLedger_AnEntryIsAcknowledgedWithTheLastOfItsEvents(t *testing.T) {
	t.Parallel()
	entry := &wire.Entry{ID: "1-0", Events: 3}
	a, b := wire.Event{Entry: entry, Run: "a"}, wire.Event{Entry: entry, Run: "b"}
	var l ledger
	l.add([]wire.Event{a, a, b})
	whole := change{who: []*todo{{id: "a", events: []wire.Event{a, a}}, {id: "b", events: []wire.Event{b}}}, commits: make([]wire.Commit, 2), results: make([]wire.CommitResult, 2)}
	whole.nameAcks()
	for i, c := range whole.commits {
		if len(c.Acks) != 1 || c.Acks[0] != (wire.Ack{Entry: "1-0", Of: 2}) {
			t.Errorf("commit %d acknowledges %v", i, c.Acks)
		}
	}
	if !whole.acked()["1-0"] {
		t.Error("two commits of two do not acknowledge the entry")
	}
	whole.results[1].Err = wire.ErrConflict
	if whole.acked()["1-0"] {
		t.Error("one commit of two acknowledges the entry")
	}
	part := change{who: whole.who[:1], commits: make([]wire.Commit, 1), results: make([]wire.CommitResult, 1)}
	part.nameAcks()
	if len(part.commits[0].Acks) > 0 {
		t.Errorf("two events of three acknowledge %v", part.commits[0].Acks)
	}
	l.cover(&a, false)
	l.cover(&a, false)
	if len(l.ready) > 0 || l.open["1-0"] == nil {
		t.Errorf("after two of three: %v, %v", l.ready, l.open)
	}
	rest := change{who: whole.who[1:], commits: make([]wire.Commit, 1), results: make([]wire.CommitResult, 1)}
	rest.nameAcks()
	if len(rest.commits[0].Acks) != 1 || rest.commits[0].Acks[0].Of != 1 {
		t.Errorf("the last event acknowledges %v", rest.commits[0].Acks)
	}
	l.cover(&b, true)
	if len(l.ready) > 0 || len(l.open) > 0 {
		t.Errorf("after the last: %v, %v", l.ready, l.open)
	}
}
