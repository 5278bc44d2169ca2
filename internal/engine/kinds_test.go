package engine

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orchis-run/orchis/internal/event"
)

const kindsFlow = `
jobs:
  work: {job: work, retries: {max: 1, delay: 1s, jitter: 0}}
  grouped: {job: work, concurrency: {group: g, limit: 1}}
  approved: {approval: {message: Go}}
  signalled: {waitFor: {signal: s}}
`

// kindScripts gives each kind of event a script whose last line sends one that
// has an effect.
func kindScripts() map[event.Kind]string {
	return map[event.Kind]string{
		event.Start:      "start",
		event.TimerFired: "start|fail work error no|timer",
		event.Continue:   "start|continue",
		event.Started:    "start|started work",
		event.Progress:   "start|progress work",
		event.Succeeded:  "start|ok work 1",
		event.Failed:     "start|fail work error no",
		event.Released:   "start|release work",
		event.Lost:       "start|lost work",
		event.Missing:    "start|missing work",
		event.Answered:   "start|grant grouped",
		event.Evicted:    "start|grant grouped|evict grouped",
		event.Cancel:     "start|cancel",
		event.Pause:      "start|pause",
		event.Resume:     "start|pause|resume",
		event.Approve:    "start|approve approved",
		event.Reject:     "start|reject approved",
		event.Signal:     "start|signal s 1",
	}
}

// TestEvents_EveryKindHasAnEffect: a kind of the table that the engine does not
// handle would be a silent stale event.
func TestEvents_EveryKindHasAnEffect(t *testing.T) {
	t.Parallel()
	scripts := kindScripts()
	for _, row := range event.Table() {
		script, ok := scripts[row.Kind]
		if !ok {
			t.Errorf("no script sends an event of kind %s", row.Kind)
			continue
		}
		limits := Limits{}
		if row.Kind == event.Continue {
			limits.Budget = 1
		}
		g := newRig(t, compile(t, []txtar.File{{Name: "flows/kinds.yaml", Data: []byte(kindsFlow)}}, limits), nil)
		g.single = row.Kind == event.Continue
		var last []Effects
		for line := range strings.SplitSeq(script, "|") {
			last = g.play(line)
		}
		if last[0].Stale > 0 || last[0].Empty() {
			t.Errorf("%s: the event has no effect", row.Kind)
		}
	}
}

// TestEvents_AnUnknownKindIsStale, also when it carries the current fence.
func TestEvents_AnUnknownKindIsStale(t *testing.T) {
	t.Parallel()
	g := newRig(t, compile(t, []txtar.File{{Name: "flows/kinds.yaml", Data: []byte(kindsFlow)}}, Limits{}), nil)
	g.play("start")
	for _, kind := range []event.Kind{"", "bogus"} {
		fx := g.run.Step(g.now, 1, Event{Kind: kind, Task: "work", Fence: g.tickets["work"].Fence, Worker: "w9"})
		if fx.Stale != 1 || !fx.Empty() || g.run.active["work"].rec.Worker != "" {
			t.Errorf("an event of kind %q has an effect", kind)
		}
	}
}
