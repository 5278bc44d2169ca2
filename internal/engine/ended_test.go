package engine

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/pkg/run"
)

const endsFlow = `
jobs:
  good: {job: work}
  picky: {job: work, outputs: {n: {type: number}}, retries: 0, continueOnError: true}
  bad: {job: work, retries: {max: 1, delay: 1s, jitter: 0}, continueOnError: true}
  dies: {job: work}
  slow: {job: work, queue: far, queueTimeout: 1h, retries: 0, continueOnError: true}
  late: {job: work, retries: 0, continueOnError: true}
  long: {job: work}
`

// TestTheEndOfEachAttemptIsTold, once, with its outcome and its times.
func TestTheEndOfEachAttemptIsTold(t *testing.T) {
	t.Parallel()
	p := compile(t, cutFiles(endsFlow, nestedFlow)[:1], Limits{})
	g := newRig(t, p, nil)
	var got []string
	tell := func(all []Effects) {
		for _, fx := range all {
			for _, a := range fx.Ended {
				text := fmt.Sprintf("%s %d %s of %s by %q: queued %d, from %d to %d", a.Task, a.Number, a.Outcome, a.Queue, a.Worker, a.Queued, a.Started, a.Ended)
				if a.Handler != "work" || a.First != 1000 {
					t.Errorf("%s: by the handler %q, first at %d", text, a.Handler, a.First)
				}
				if a.Error != nil {
					text += ": " + a.Error.Code
				}
				got = append(got, text)
			}
		}
	}
	report := func(task string, ev Event) {
		ev.Task, ev.Fence = task, g.tickets[task].Fence
		tell(g.step(ev))
	}
	tell(g.step(Event{Kind: event.Start}))
	g.now = 2000
	report("good", Event{Kind: event.Succeeded, Result: []byte(`{}`), Worker: "w1", Started: 1200, At: 1500})
	tell(g.play("stale good"))
	report("picky", Event{Kind: event.Succeeded, Result: []byte(`{"n": "one"}`), Worker: "w1", Started: 1900, At: 1950})
	report("bad", Event{Kind: event.Failed, Error: &run.Error{Code: "exit:1"}, Worker: "w1", Started: 1900, At: 1950})
	report("late", Event{Kind: event.Failed, Error: &run.Error{Code: run.CodeTimeout}, Worker: "w2", Started: 1900, At: 2000})
	report("dies", Event{Kind: event.Started, Worker: "w2", Started: 1950, At: 1950})
	report("dies", Event{Kind: event.Released, Worker: "w2", Started: 1950, At: 2000})
	report("dies", Event{Kind: event.Lost, Worker: "w3"})
	report("long", Event{Kind: event.Missing}) // a ticket that vanished is no end of an attempt
	for range 2 {
		tm, ok := g.next() // the retry of bad, and the time in which slow was to be taken
		if !ok {
			t.Fatal("no timer is set")
		}
		tell(g.step(Event{Kind: event.TimerFired, Timer: tm.Kind, Task: tm.Task, Fence: tm.Fence}))
	}
	tell(g.play("cancel"))
	want := []string{
		`good 1 succeeded of default by "w1": queued 1000, from 1200 to 1500`,
		`picky 1 failed of default by "w1": queued 1000, from 1900 to 1950: outputs`,
		`bad 1 failed of default by "w1": queued 1000, from 1900 to 1950: exit:1`,
		`late 1 timeout of default by "w2": queued 1000, from 1900 to 2000: timeout`,
		`dies 1 lost of default by "w3": queued 1000, from 0 to 2010`,
		`slow 1 untaken of far by "": queued 1000, from 0 to 3601000`,
		`bad 2 cancelled of default by "": queued 3010, from 0 to 3601010`,
		`dies 2 cancelled of default by "": queued 2010, from 0 to 3601010`,
		`long 1 cancelled of default by "": queued 1000, from 0 to 3601010`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got): %s", diff)
	}
}
