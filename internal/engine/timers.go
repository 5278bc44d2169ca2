package engine

import (
	"maps"
	"slices"

	"github.com/orchis-run/orchis/pkg/run"
)

// Timers returns the timers that the run counts on, by its records alone: what
// became of those that were set is another matter.
func (r *Run) Timers() []Timer {
	if r.Final() {
		return nil
	}
	var out []Timer
	add := func(kind, task, fence string, due int64) {
		if due > 0 {
			out = append(out, Timer{Kind: kind, Task: task, Fence: fence, Due: due})
		}
	}
	if w := r.rec.Wait; w != nil {
		add(TimerWait, "", "", w.Due)
	}
	if limit := r.program.root.def.Timeout; limit > 0 && r.rec.Started > 0 && !r.rec.Stopping() {
		add(TimerTimeout, "", "", r.rec.Started+limit.Milliseconds())
	}
	for _, path := range slices.Sorted(maps.Keys(r.active)) {
		u := r.active[path]
		switch def := u.node.step.def; {
		case u.rec.Wait != nil:
			add(TimerWait, path, "", u.rec.Wait.Due)
		case u.rec.State == run.TaskRetrying && u.place != parked:
			add(TimerRetry, path, "", u.rec.Due)
		case u.rec.State == run.TaskQueued && def.QueueTimeout > 0:
			add(TimerQueueTimeout, path, u.rec.Fence, u.rec.Queued+def.QueueTimeout.Milliseconds())
		case u.sub != nil && !u.rec.Stopping() && u.flowLimit() > 0:
			add(TimerTimeout, path, "", u.rec.Started+u.flowLimit().Milliseconds())
		}
	}
	return out
}

// Overdue returns the timers that should have fired before a time. One that
// vanished is made good by having it fire.
func (r *Run) Overdue(before int64) []Timer {
	return slices.DeleteFunc(r.Timers(), func(t Timer) bool { return t.Due > before })
}

// HasWork reports whether the run could go on by itself, without any event but
// Continue.
func (r *Run) HasWork() bool { return len(r.work) > 0 && r.rec.Paused == nil && !r.Final() }
