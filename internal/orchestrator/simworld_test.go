package orchestrator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// actor is a process's goroutine, as a coroutine: it runs from one command of
// Redis to the next when the scheduler lets it.
type actor struct {
	w       *world
	name    string
	process string
	next    func() (struct{}, bool)
	end     func()
	yield   func(struct{}) bool
	over    bool

	// What it is about to do: a command, or to wait until something is there
	// or a time has come.
	doing   string
	ready   func() bool
	until   int64
	leaving bool  // SIGTERM came
	frozen  int64 // until when it is not scheduled at all
	verdict verdict
	local   strings.Builder // what it has learnt since it began anew
}

// step hands over to the scheduler before a command.
func (a *actor) step(name string) verdict {
	if a.w.quiet != nil && a.w.quiet(name) {
		return proceed
	}
	a.doing = name
	a.hand()
	return a.verdict
}

func (a *actor) hand() {
	if !a.yield(struct{}{}) {
		panic(crashed{})
	}
}

// wait lets the actor sleep until something is there, at most for a time.
func (a *actor) wait(is func() bool, d time.Duration) {
	if d <= 0 || is() {
		return
	}
	a.doing, a.ready, a.until = "wait", is, a.w.now+d.Milliseconds()
	a.hand()
	a.ready, a.until = nil, 0
}

func (a *actor) sleep(d time.Duration) { a.wait(func() bool { return false }, d) }

// note remembers a reply, for the transcript and for telling states apart.
func (a *actor) note(got any, err error) {
	if a.w.remember {
		fmt.Fprintf(&a.local, "%s=%s,%v;", a.doing, brief(got), err)
	}
	if a.w.transcript != nil {
		a.w.say("%s: %s -> %.600s", a.name, a.doing, cmp.Or(errText(err), brief(got)))
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// brief is a reply for people.
func brief(v any) string {
	if s, is := v.([]byte); is {
		return fmt.Sprintf("%d bytes", len(s))
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%+v", v)
	}
	return string(raw)
}

// runnable reports whether the scheduler may choose the actor.
func (a *actor) runnable() bool {
	if a.over || a.frozen > a.w.now {
		return false
	}
	return a.ready == nil || a.ready() || a.until <= a.w.now
}

// world is a simulated installation.
type world struct {
	*model
	now    int64
	actors []*actor
	// choose returns a number below n: by a seed, or one after the other.
	choose func(n int) int
	// decide says what becomes of the command an actor is about to send.
	decide func(a *actor) verdict
	// quiet names commands that are no step of their own, since nothing that
	// others do changes their reply; same says that two actors are as good as
	// each other.
	quiet      func(name string) bool
	same       func(a, b *actor) bool
	remember   bool
	steps      int
	nonces     uint64
	transcript *strings.Builder
	turns      turns // of all orchestrators
	violations []string
	fx         effects
	fences     map[string]bool
}

func newWorld() *world {
	w := &world{now: 1_000_000, turns: usualTurns(), fx: effects{starts: map[string]int{}, published: map[string]int{}, fences: map[string]bool{}, ends: map[string]int{}, reported: map[string]int{}, first: map[string]int{}, firstEnd: map[string]int{}}}
	w.model = newModel(func() int64 { return w.now })
	w.committed = w.check
	return w
}

func (w *world) say(format string, args ...any) {
	if w.transcript != nil {
		fmt.Fprintf(w.transcript, "%9d ms  ", w.now)
		fmt.Fprintf(w.transcript, format+"\n", args...)
	}
}

func (w *world) violated(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.violations = append(w.violations, text)
	w.say("VIOLATION: %s", text)
}

// spawn adds a goroutine of a process.
func (w *world) spawn(process, name string, body func(a *actor, v *view)) *actor {
	a := &actor{w: w, name: name, process: process, doing: "begin"}
	a.next, a.end = iter.Pull(func(yield func(struct{}) bool) {
		a.yield = yield
		defer func() {
			a.over = true
			if v := recover(); v != nil {
				if _, is := v.(crashed); !is {
					panic(v)
				}
			}
		}()
		body(a, &view{model: w.model, a: a})
	})
	w.actors = append(w.actors, a)
	return a
}

// kill ends a process between two of its commands.
func (w *world) kill(process string) {
	w.say("%s is killed", process)
	for _, a := range w.actors {
		if a.process == process {
			a.end()
			a.over = true
		}
	}
	w.actors = slices.DeleteFunc(w.actors, func(a *actor) bool { return a.process == process })
}

// stop lets a process end in good order.
func (w *world) stop(process string) {
	w.say("%s is told to stop", process)
	for _, a := range w.actors {
		if a.process == process {
			a.leaving = true
		}
	}
}

// close ends all actors.
func (w *world) close() {
	for _, a := range w.actors {
		a.end()
	}
}

// advance lets one actor go on; false means that nobody can.
func (w *world) advance() bool {
	var can []*actor
	for _, a := range w.actors {
		if a.runnable() && !slices.ContainsFunc(can, func(b *actor) bool { return w.same != nil && w.same(a, b) }) {
			can = append(can, a)
		}
	}
	if len(can) == 0 {
		return w.skip()
	}
	a := can[w.choose(len(can))]
	w.resume(a)
	return true
}

// skip moves the clock to when the next actor wakes.
func (w *world) skip() bool {
	wake := int64(0)
	for _, a := range w.actors {
		if a.over {
			continue
		}
		at := max(a.until, a.frozen)
		if at > w.now && (wake == 0 || at < wake) {
			wake = at
		}
	}
	if wake == 0 {
		return false
	}
	w.now = wake
	return true
}

func (w *world) resume(a *actor) {
	w.steps++
	a.verdict = proceed
	if a.ready == nil && a.doing != "begin" {
		a.verdict = w.decide(a)
		if a.verdict != proceed {
			w.say("%s: %s -> %s", a.name, a.doing, verdictNames[a.verdict])
		}
	}
	dies := a.verdict == crash || a.verdict == crashAfter
	if _, more := a.next(); !more {
		a.over = true
	}
	if dies {
		w.kill(a.process)
	}
}

// processes returns the names of those that live.
func (w *world) processes() []string {
	names := map[string]bool{}
	for _, a := range w.actors {
		if !a.over {
			names[a.process] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
