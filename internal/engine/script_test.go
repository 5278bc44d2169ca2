package engine

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// rig drives one run: it keeps what was committed, and hands events over.
type rig struct {
	t       reporter
	program *Program
	run     *Run
	now     int64
	nonce   uint64

	tasks   map[string]run.Task
	outputs map[string]json.RawMessage
	tickets map[string]Ticket // in flight, by task
	timers  map[string]Timer
	started map[string]int
	ends    int
	robbed  bool // timers have vanished
	single  bool // a step is not followed by Continue
}

// compile loads definitions that stand in a map of files; the first is asked for.
func compile(t testing.TB, files []txtar.File, l Limits) *Program {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	loader, err := flow.NewLoader(flow.Options{Root: dir, Retries: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = loader.Close() })
	bundle, diags := loader.Load(filepath.Join(dir, filepath.FromSlash(files[0].Name)))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	data, err := bundle.Encode()
	if err != nil {
		t.Fatal(err)
	}
	frozen, err := flow.DecodeBundle(data)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(frozen, l)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newRig(t reporter, p *Program, inputs map[string]any) *rig {
	return &rig{
		t: t, program: p, now: 1000,
		run:     New(p, Create{ID: "r1", Digest: "sha256:x", Inputs: inputs, SubmittedBy: "ann", Now: 1000}),
		tasks:   map[string]run.Task{},
		outputs: map[string]json.RawMessage{},
		tickets: map[string]Ticket{},
		timers:  map[string]Timer{},
		started: map[string]int{},
	}
}

// step commits one step and, like the orchestrator, goes on while there is more.
func (g *rig) step(events ...Event) []Effects {
	var all []Effects
	for {
		g.nonce++
		fx := g.run.Step(g.now, g.nonce, events...)
		if fx.Fault != nil {
			g.t.Fatal(fx.Fault)
		}
		g.commit(&fx)
		g.checkInvariants()
		all = append(all, fx)
		if !fx.More || g.single {
			return all
		}
		events = []Event{{Kind: event.Continue}}
	}
}

func (g *rig) commit(fx *Effects) {
	for _, path := range fx.Forget {
		delete(g.tasks, path)
		delete(g.outputs, path)
	}
	for _, rec := range fx.Tasks {
		if old, ok := g.tasks[rec.ID]; ok && old.State.Final() && !recovered(old, rec) {
			g.t.Fatalf("task %s left its final state %s for %s", rec.ID, old.State, rec.State)
		}
		g.tasks[rec.ID] = rec
	}
	for _, o := range fx.Outputs {
		if _, twice := g.outputs[o.Task]; twice {
			g.t.Fatalf("the result of %s is recorded twice", o.Task)
		}
		g.outputs[o.Task] = o.Value
	}
	for _, r := range fx.Revokes {
		if g.tickets[r.Task].Fence == r.Fence {
			delete(g.tickets, r.Task)
		}
	}
	for _, k := range fx.Tickets {
		g.tickets[k.Task] = k
		g.started[k.Task]++
	}
	for _, tm := range fx.ClearTimers {
		delete(g.timers, tm.Kind+"|"+tm.Task+"|"+tm.Fence)
	}
	for _, tm := range fx.SetTimers {
		g.timers[tm.Kind+"|"+tm.Task+"|"+tm.Fence] = tm
	}
	for _, c := range fx.Log {
		if c.Run.Final() {
			g.ends++
		}
	}
}

// recovered reports whether all that is new is that a hook made a failure good.
func recovered(old, rec run.Task) bool {
	old.Tolerated, old.ID = true, rec.ID
	return old.State == run.TaskFailed && cmp.Equal(old, rec)
}

// restore throws the run away and makes it anew from what was committed.
func (g *rig) restore() {
	rec := g.run.Record()
	r, err := Restore(g.program, Snapshot{Run: rec, Tasks: maps.Clone(g.tasks), Outputs: maps.Clone(g.outputs)})
	if err != nil {
		g.t.Fatal(err)
	}
	g.run = r
	g.checkInvariants()
}

// checkInvariants looks at the whole run, unless that costs too much.
func (g *rig) checkInvariants() {
	if g.run.Size() > 1000 {
		return
	}
	if err := g.run.check(); err != nil {
		g.t.Fatal(err)
	}
}

// next fires the timer that is due first.
func (g *rig) next() (Timer, bool) {
	keys := slices.Sorted(maps.Keys(g.timers))
	slices.SortStableFunc(keys, func(a, b string) int { return int(g.timers[a].Due - g.timers[b].Due) })
	if len(keys) == 0 {
		return Timer{}, false
	}
	tm := g.timers[keys[0]]
	delete(g.timers, keys[0])
	g.now = max(g.now, tm.Due)
	return tm, true
}

// play carries out one line of a script: an operation, a task and the rest.
func (g *rig) play(line string) []Effects {
	op, rest, _ := strings.Cut(line, " ")
	task, rest, _ := strings.Cut(rest, " ")
	fence := g.tickets[task].Fence
	ev := Event{Task: task, Fence: fence, Worker: "w1", At: g.now, Started: g.now}
	g.now += 10
	switch op {
	case "start":
		return g.step(Event{Kind: event.Start})
	case "continue":
		return g.step(Event{Kind: event.Continue})
	case "restore":
		g.restore()
		return g.step(Event{Kind: event.Continue})
	case "pause", "resume":
		return g.step(Event{Kind: event.Kind(op), By: "bob", Reason: rest, Reply: "c1"})
	case "grant", "refuse", "later":
		ev := Event{Kind: event.Answered, Task: task, Granted: op == "grant", Reason: rest}
		if w := g.tasks[task].Wait; w != nil {
			ev.Fence = w.Query
		}
		if op == "later" {
			ev.Due, _ = strconv.ParseInt(rest, 10, 64)
		}
		return g.step(ev)
	case "evict":
		return g.step(Event{Kind: event.Evicted, Task: task, Fence: g.tasks[task].Slots[0].Query, Reason: "run r2"})
	case "approve":
		return g.step(Event{Kind: event.Approve, Task: task, By: "bob", Reason: "fine", Data: []byte(rest), Reply: "c1"})
	case "reject":
		return g.step(Event{Kind: event.Reject, Task: task, By: "bob", Reason: rest, Reply: "c1"})
	case "signal":
		return g.step(Event{Kind: event.Signal, Signal: task, Data: []byte(rest), By: "bob", Reply: "c1"})
	case "cancel":
		return g.step(Event{Kind: event.Cancel, By: "bob", Reason: rest})
	case "timer":
		tm, ok := g.next()
		if !ok {
			g.t.Fatal("no timer is set")
		}
		return g.step(Event{Kind: event.TimerFired, Timer: tm.Kind, Task: tm.Task, Fence: tm.Fence})
	case "ok":
		ev.Kind, ev.Result = event.Succeeded, []byte(rest)
	case "fail":
		code, message, _ := strings.Cut(rest, " ")
		ev.Kind, ev.Error = event.Failed, &run.Error{Code: strings.TrimSuffix(code, "!"), Message: message}
		ev.Permanent = strings.HasSuffix(code, "!")
	case "stale":
		ev.Kind, ev.Fence, ev.Result = event.Succeeded, "0123456789abcdef", []byte("1")
	case "release":
		ev.Kind = event.Released
		if rest != "" {
			ev.Error = &run.Error{Code: rest, Message: "no such handler"}
		}
	default:
		ev.Kind = event.Kind(op)
	}
	if op == "ok" || op == "fail" || op == "release" {
		delete(g.tickets, task)
	}
	return g.step(ev)
}

// describe writes what a step did, a line for each effect.
func describe(b *strings.Builder, fx *Effects) {
	for _, c := range fx.Log {
		who := c.Task
		state := string(c.State)
		if c.Run != "" {
			who, state = "run", string(c.Run)
		}
		fmt.Fprintf(b, "  %s %s", who, state)
		if c.Op != "" {
			fmt.Fprintf(b, "%s", c.Op)
		}
		if c.By != "" {
			fmt.Fprintf(b, " by %s", c.By)
		}
		if c.Wait != nil {
			fmt.Fprintf(b, " for %s %s%s", c.Wait.Kind, c.Wait.Key, c.Wait.Message)
		}
		if c.Error != nil {
			fmt.Fprintf(b, ": %s", c.Error.Error())
		}
		if c.Reason != "" {
			fmt.Fprintf(b, " because %s", c.Reason)
		}
		b.WriteByte('\n')
	}
	for _, k := range fx.Tickets {
		fmt.Fprintf(b, "  -> ticket %s attempt %d to %s: %s %s\n", k.Task, k.Attempt, k.Queue, k.Handler, k.Inputs)
	}
	for _, o := range fx.Outputs {
		fmt.Fprintf(b, "  = %s %s\n", o.Task, o.Value)
	}
	for _, r := range fx.Revokes {
		fmt.Fprintf(b, "  <- revoke %s\n", r.Task)
	}
	for _, tm := range fx.SetTimers {
		fmt.Fprintf(b, "  timer %s %s at %d\n", tm.Kind, tm.Task, tm.Due)
	}
	for _, tm := range fx.ClearTimers {
		fmt.Fprintf(b, "  no timer %s %s\n", tm.Kind, tm.Task)
	}
	for _, a := range fx.Queries {
		fmt.Fprintf(b, "  query %s %s %s %d %s\n", a.Task, a.Kind, a.Key, a.Limit, a.Mode)
	}
	for _, f := range fx.SlotReleases {
		fmt.Fprintf(b, "  release %s of group %s until %d\n", f.Task, f.Group, f.Until)
	}
	for _, h := range fx.RateHolds {
		fmt.Fprintf(b, "  hold %s of rate %s until %d\n", h.Task, h.Key, h.Until)
	}
	for _, r := range fx.Replies {
		fmt.Fprintf(b, "  reply %s\n", r.Error)
	}
	for _, d := range fx.Dead {
		fmt.Fprintf(b, "  dead letter %s\n", d.Task)
	}
	if len(fx.Forget) > 0 {
		fmt.Fprintf(b, "  forget %s\n", strings.Join(fx.Forget, " "))
	}
	if fx.Stale > 0 {
		fmt.Fprintf(b, "  stale %d\n", fx.Stale)
	}
	if fx.Run.State.Final() && fx.RunChanged {
		fmt.Fprintf(b, "  outputs %s\n", fx.Run.Outputs)
	}
}

// TestTranscripts plays the scripts in testdata and compares what follows from
// each line. A file holds the definitions, then "script", then "transcript".
func TestTranscripts(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string][]byte{}
			var definitions []txtar.File
			for _, f := range a.Files {
				files[f.Name] = f.Data
				if strings.HasSuffix(f.Name, ".yaml") {
					definitions = append(definitions, f)
				}
			}
			inputs := map[string]any{}
			if len(files["inputs"]) > 0 {
				inputs = decode(files["inputs"]).(map[string]any)
			}
			g := newRig(t, compile(t, definitions, Limits{}), inputs)
			var b strings.Builder
			for line := range strings.Lines(string(files["script"])) {
				line = strings.TrimSpace(line)
				b.WriteString("> " + line + "\n")
				for _, fx := range g.play(line) {
					describe(&b, &fx)
				}
			}
			c := g.run.Record().Counts
			b.WriteString("counts total " + strconv.Itoa(c.Total()) + " final " + strconv.Itoa(c.Final()) + "\n")
			if *update {
				last := &a.Files[len(a.Files)-1]
				if last.Name != "transcript" {
					a.Files = append(a.Files, txtar.File{Name: "transcript"})
					last = &a.Files[len(a.Files)-1]
				}
				last.Data = []byte(b.String())
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(files["transcript"]), b.String()); diff != "" {
				t.Errorf("transcript (-want +got):\n%s", diff)
			}
		})
	}
}
