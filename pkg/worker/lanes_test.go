package worker

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/wire"
)

// claimed counts the claims of n plans of one ticket each, by lane.
func claimed(l *lanes, n int) map[wire.Priority]int {
	got := map[wire.Priority]int{}
	for range n {
		for _, take := range l.plan(1) {
			got[take.Stream.Priority] += take.Count
		}
	}
	return got
}

func TestLanes_ShareClaimsByWeight(t *testing.T) {
	t.Parallel()
	l := newLanes()
	l.serve(wire.LanesOf("a", "b"))
	if takes := l.plan(5); takes != nil {
		t.Errorf("without a warm stream the plan is %v", takes)
	}
	l.heat(wire.LanesOf("a", "b"))
	if diff := cmp.Diff(map[wire.Priority]int{wire.High: 160, wire.Normal: 40, wire.Low: 10}, claimed(l, 210)); diff != "" {
		t.Errorf("claims while all lanes hold tickets (-want +got):\n%s", diff)
	}
	l.learn([]redisstore.Take{{Stream: wire.Stream{Queue: "a", Priority: wire.High}, Count: 2}, {Stream: wire.Stream{Queue: "b", Priority: wire.High}, Count: 2}},
		map[wire.Stream]int{{Queue: "a", Priority: wire.High}: 1})
	if diff := cmp.Diff(map[wire.Priority]int{wire.Normal: 80, wire.Low: 20}, claimed(l, 100)); diff != "" {
		t.Errorf("claims while the high lane is empty (-want +got):\n%s", diff)
	}
	l.heat(wire.LanesOf("b"))
	if first := l.plan(1); first[0].Stream != (wire.Stream{Queue: "b", Priority: wire.High}) {
		t.Errorf("after a high ticket came, the first claim is from %s", first[0].Stream)
	}
}

// TestLanes_PlanAsksForNoMoreThanThereAreSlots: the counts of a plan add up to
// the slots, whatever the number of streams.
func TestLanes_PlanAsksForNoMoreThanThereAreSlots(t *testing.T) {
	t.Parallel()
	for _, queues := range []int{1, 3, 50} {
		l := newLanes()
		var names []string
		for i := range queues {
			names = append(names, fmt.Sprint("q", i))
		}
		l.serve(wire.LanesOf(names...))
		l.heat(wire.LanesOf(names...))
		for n := 1; n < 120; n += 7 {
			sum, twice := 0, map[wire.Stream]bool{}
			for _, take := range l.plan(n) {
				if twice[take.Stream] {
					t.Errorf("%s is asked twice", take.Stream)
				}
				twice[take.Stream] = true
				sum += take.Count
			}
			if sum != n {
				t.Errorf("%d queues: a plan for %d slots asks for %d tickets", queues, n, sum)
			}
		}
	}
}

func TestLanes_StreamsOfALaneTakeTurns(t *testing.T) {
	t.Parallel()
	l := newLanes()
	l.serve(wire.LanesOf("a", "b", "c"))
	normal := []wire.Stream{{Queue: "a", Priority: wire.Normal}, {Queue: "b", Priority: wire.Normal}, {Queue: "c", Priority: wire.Normal}}
	l.heat(normal)
	got := map[string]int{}
	for i := range 300 {
		for _, take := range l.plan(1) {
			got[take.Stream.Queue]++
			if i%10 == 0 { // it turns out to be empty, and fills again
				l.learn([]redisstore.Take{take}, nil)
				l.heat([]wire.Stream{take.Stream})
			}
		}
	}
	for _, queue := range []string{"a", "b", "c"} {
		if n := got[queue]; n < 90 || n > 110 {
			t.Errorf("queue %s has %d of 300 claims", queue, n)
		}
	}
}

func TestLanes_KeepWhatIsKnownWhenStreamsChange(t *testing.T) {
	t.Parallel()
	l := newLanes()
	l.serve(wire.LanesOf("a", "b"))
	l.heat([]wire.Stream{{Queue: "a", Priority: wire.Low}, {Queue: "b", Priority: wire.Low}})
	l.serve(wire.LanesOf("b", "c"))
	for range 3 {
		if takes := l.plan(2); len(takes) != 1 || takes[0].Stream != (wire.Stream{Queue: "b", Priority: wire.Low}) {
			t.Errorf("the plan is %v", takes)
		}
	}
	// Results for a stream that is served no more have no effect.
	l.learn([]redisstore.Take{{Stream: wire.Stream{Queue: "a", Priority: wire.Low}, Count: 1}}, nil)
}

// TestLanes_LooksReachAllColdStreams: a few looks of a part each see every
// stream that is not warm.
func TestLanes_LooksReachAllColdStreams(t *testing.T) {
	t.Parallel()
	l := newLanes()
	l.serve(wire.LanesOf("a", "b", "c", "d"))
	l.heat([]wire.Stream{{Queue: "b", Priority: wire.High}})
	seen := map[wire.Stream]bool{}
	for range 4 {
		for _, stream := range l.cold(3) {
			seen[stream] = true
		}
	}
	if len(seen) != 11 || seen[wire.Stream{Queue: "b", Priority: wire.High}] {
		t.Errorf("seen are %d streams: %v", len(seen), seen)
	}
}

func TestWatchCount(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ free, streams, want int }{{1, 3, 1}, {3, 3, 1}, {4, 3, 2}, {8, 3, 2}, {24, 3, 8}, {2, 1800, 1}, {8, 1800, 2}} {
		if got := watchCount(test.free, test.streams); got != test.want {
			t.Errorf("%d free slots, %d streams: %d, want %d", test.free, test.streams, got, test.want)
		}
	}
}
