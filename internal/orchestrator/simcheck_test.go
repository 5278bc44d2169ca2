package orchestrator

import (
	"maps"
	"slices"
	"strings"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// check holds each commit against what may never happen: a final task or run
// that moves, a publication that is used twice, a task that begins before what
// it depends on has ended.
func (w *world) check(c *wire.Commit, old, now *modelRun) {
	if old != nil && run.State(old.fields["state"]).Final() {
		w.violated("%s is changed after its end", c.Run)
	}
	if c.Version == 0 && old != nil {
		w.violated("%s is created twice", c.Run)
	}
	for task, text := range now.tasks {
		rec, err := run.ParseTask(task, text)
		if err != nil {
			w.violated("%s/%s: %v", c.Run, task, err)
			continue
		}
		if old == nil || old.tasks[task] == text {
			continue
		}
		before, err := run.ParseTask(task, old.tasks[task])
		if old.tasks[task] != "" && err == nil && before.State.Final() && !slices.Contains(c.Forget, task) {
			w.violated("%s/%s moves from %s to %s", c.Run, task, before.State, rec.State)
		}
	}
	for _, t := range c.Tickets {
		if w.fences == nil {
			w.fences = map[string]bool{}
		}
		if w.fences[t.Fence] {
			w.violated("publication %s of %s/%s is used twice", t.Fence, t.Run, t.Task)
		}
		w.fences[t.Fence] = true
		rec, err := run.ParseTask(t.Task, now.tasks[t.Task])
		for _, s := range rec.Slots {
			if err == nil && !w.groupOf(s.Group).holds(wire.Member{Run: t.Run, Task: t.Task, Ask: s.Query}) {
				w.violated("%s/%s is published without its slot of group %s", t.Run, t.Task, s.Group)
			}
		}
		w.fx.published[t.Run+"/"+t.Task]++
	}
}

// checkRun holds an ended run against its log and against what its jobs did.
func (w *world) checkRun(id string, d *simDAG) {
	r := w.runs[id]
	if r == nil {
		w.violated("%s was accepted and is not there", id)
		return
	}
	ends := map[string]int{}
	runEnds := 0
	for _, e := range r.log {
		for _, c := range e.Changes {
			if c.Task != "" && c.State.Final() {
				ends[c.Task]++
			}
			if c.Run.Final() {
				runEnds++
			}
		}
	}
	if runEnds != 1 {
		w.violated("%s ended %d times", id, runEnds)
	}
	for _, task := range slices.Sorted(maps.Keys(r.tasks)) {
		rec, err := run.ParseTask(task, r.tasks[task])
		if err != nil || !rec.State.Final() {
			w.violated("%s/%s is %s at the end (%v)", id, task, rec.State, err)
		}
		if ends[task] != 1 {
			w.violated("%s/%s ended %d times", id, task, ends[task])
		}
		w.checkEffects(id+"/"+task, rec)
		w.checkCached(id, task, rec)
	}
	for _, e := range d.edges {
		for _, after := range tasksNamed(r.tasks, e[1]) {
			for _, before := range tasksNamed(r.tasks, e[0]) {
				if rec, err := run.ParseTask(before, r.tasks[before]); err != nil || rec.State != run.TaskSucceeded {
					continue // what was cancelled may still come to its end
				}
				begin, end := w.fx.first[id+"/"+after], w.fx.firstEnd[id+"/"+before]
				if begin > 0 && end > 0 && begin < end {
					w.violated("%s: %s began before %s had ended\n%s", id, after, before, d.text)
				}
			}
		}
	}
}

// checkTold: the client of a run is told of its end at most once, and no other
// client is. What it is told is checked when it is told.
func (w *world) checkTold(id string) {
	r := w.runs[id]
	if r == nil {
		return
	}
	want := 0
	if r.fields["inbox"] != "" {
		want = 1
	}
	if told := w.told[id]; told > want {
		w.violated("the client of %s was told of its end %d times", id, told)
	}
}

// checkEffects: what succeeded has had its effect, and nothing began more often
// than it was published.
func (w *world) checkEffects(key string, rec run.Task) {
	if rec.Items > 0 || rec.Attempt == 0 || rec.Queue == "" { // it has no ticket of its own
		return
	}
	if rec.State == run.TaskSucceeded && w.fx.ends[key] == 0 {
		w.violated("%s succeeded without its effect", key)
	}
	if w.fx.starts[key] > w.fx.published[key] {
		w.violated("%s began %d times and was published %d times", key, w.fx.starts[key], w.fx.published[key])
	}
	if (rec.State == run.TaskSkipped || rec.State == run.TaskBlocked) && w.fx.starts[key] > 0 {
		w.violated("%s is %s and began", key, rec.State)
	}
}

// checkCached: what a task has from another run is what that run has.
func (w *world) checkCached(id, task string, rec run.Task) {
	if rec.State != run.TaskCached {
		return
	}
	if w.fx.starts[id+"/"+task] > 0 {
		w.violated("%s/%s is cached and began", id, task)
	}
	from := w.runs[rec.From]
	if from == nil {
		w.violated("%s/%s is cached by the run %q, which is not there", id, task, rec.From)
		return
	}
	result := w.runs[id].result(task)
	for other, text := range from.tasks {
		if was, err := run.ParseTask(other, text); err == nil && was.State == run.TaskSucceeded && from.result(other) == result {
			w.fx.cached++
			return
		}
	}
	w.violated("%s/%s has the result %s, which run %s does not", id, task, result, rec.From)
}

// tasksNamed returns a job's tasks: itself, or its items.
func tasksNamed(tasks map[string]string, job string) []string {
	var out []string
	for task := range tasks {
		if task == job || strings.HasPrefix(task, job+"[") {
			out = append(out, task)
		}
	}
	slices.Sort(out)
	return out
}

// checkQuiet: at rest nothing is left in streams, lists, timers.
func (w *world) checkQuiet() {
	if n := len(w.events.entries) + len(w.events.pel); n > 0 {
		w.violated("%d events are left", n)
	}
	if n := len(w.submit.entries) + len(w.submit.pel) + len(w.wishes.entries) + len(w.wishes.pel); n > 0 {
		w.violated("%d submissions or wishes are left", n)
	}
	for name, s := range w.tickets {
		if n := len(s.entries) + len(s.pel); n > 0 {
			w.violated("%d tickets are left in %s", n, name)
		}
	}
	if len(w.timers) > 0 {
		w.violated("timers are left: %v", slices.Sorted(maps.Keys(w.timers)))
	}
	for name, g := range w.groups {
		if len(g.waiters) > 0 {
			w.violated("some still wait in group %s: %v", name, g.waiters)
		}
		if len(g.holders) > 0 {
			w.violated("slots of group %s are left behind: %v", name, g.holders)
		}
	}
	if len(w.active) > 0 {
		w.violated("runs are left among the active: %v", slices.Sorted(maps.Keys(w.active)))
	}
}

// outcome is how a run ended, without what depends on chance: times, workers,
// attempts.
func (w *world) outcome(id string) map[string]string {
	out := map[string]string{"state": w.runs[id].fields["state"], "outputs": w.runs[id].fields["outputs"]}
	for task, text := range w.runs[id].tasks {
		rec, err := run.ParseTask(task, text)
		if err != nil {
			continue
		}
		if rec.State == run.TaskCached { // whether it is depends on who came first
			rec.State = run.TaskSucceeded
		}
		out[task] = string(rec.State) + " " + w.runs[id].result(task)
	}
	return out
}
