package engine

import (
	"fmt"

	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// groupGate asks for a slot of the job's group.
func (r *Run) groupGate(u *unit) bool {
	c := u.node.step.def.Concurrency
	return c == nil || r.queryGroup(u, c, r.view(u), false)
}

// flowGate asks for a slot of the group of the flow that the unit starts.
func (r *Run) flowGate(u *unit) bool {
	if u.node.step.sub == nil || u.node.isHook || u.node.step.sub.def.Concurrency == nil {
		return true
	}
	s, bad := r.newFlow(u)
	if bad != nil {
		r.failNow(u, bad)
		return false
	}
	return r.queryGroup(u, u.node.step.sub.def.Concurrency, &view{run: r, scope: s}, true)
}

func (r *Run) queryGroup(u *unit, c *flow.Concurrency, v *view, ofFlow bool) bool {
	name, bad := groupName(c, v)
	if bad != nil {
		r.failNow(u, bad)
		return false
	}
	for _, s := range u.rec.Slots {
		if s.Group == name {
			return true // it has one already
		}
	}
	r.query(u, run.Wait{Kind: run.WaitGroup, Key: name, Limit: c.Limit, Mode: c.OnLimit, Flow: ofFlow})
	return false
}

func groupName(c *flow.Concurrency, v *view) (string, *run.Error) {
	value, err := c.Group.Eval(v)
	if err != nil {
		return "", expressionError(inPart("concurrency.group", err))
	}
	return textOf(value), nil
}

// groupFull ends a unit for which its group had no slot.
func (r *Run) groupFull(u *unit, w *run.Wait, ev *Event) {
	reason := fmt.Sprintf("group %s is full", w.Key)
	if ev.Reason != "" {
		reason += ": " + ev.Reason
	}
	if w.Mode == "skip" {
		u.rec.Reason = reason
		r.end(u, run.TaskSkipped)
		return
	}
	r.failNow(u, &run.Error{Code: run.CodeLimit, Message: reason})
}

// rateGate takes a token for the attempt.
func (r *Run) rateGate(u *unit) bool {
	l := u.node.step.def.RateLimit
	if l == nil {
		return true
	}
	value, err := l.Key.Eval(r.view(u))
	if err != nil {
		r.failNow(u, expressionError(inPart("rateLimit.key", err)))
		return false
	}
	r.query(u, run.Wait{Kind: run.WaitRate, Key: textOf(value), Limit: l.Limit, Per: l.Per.Milliseconds()})
	return false
}

// releaseSlots gives back what a unit holds of groups, and what it asks for. A
// worker that wants no more attempts before a time says so to all of the group.
func (r *Run) releaseSlots(u *unit, until int64) {
	path := u.path()
	for _, s := range u.rec.Slots {
		// mutant: slots-released (skip)
		r.fx.SlotReleases = append(r.fx.SlotReleases, SlotRelease{Task: path, Group: s.Group, Query: s.Query, Until: until})
	}
	u.rec.Slots = nil
	if w := u.rec.Wait; w != nil && w.Kind == run.WaitGroup {
		r.fx.SlotReleases = append(r.fx.SlotReleases, SlotRelease{Task: path, Group: w.Key, Query: w.Query})
	}
	l := u.node.step.def.RateLimit
	if until == 0 || l == nil {
		return
	}
	if value, err := l.Key.Eval(r.view(u)); err == nil {
		r.fx.RateHolds = append(r.fx.RateHolds, RateHold{
			Task: path, Key: textOf(value), Limit: l.Limit, Per: l.Per.Milliseconds(), Until: until,
		})
	}
}

// admit asks for a slot for the run itself, and says whether it must wait.
func (r *Run) admit() bool {
	c := r.program.root.def.Concurrency
	if c == nil || r.rec.Slot != nil || r.dryRun != nil {
		return false
	}
	s := newScope(r.program.root, "", nil)
	if err := r.fill(s, r.inputs()); err != nil {
		return false // the start tells
	}
	name, bad := groupName(c, &view{run: r, scope: s})
	if bad != nil {
		r.stop(run.Stop{Cause: bad, Hard: true})
		return true
	}
	r.rec.Wait = &run.Wait{Kind: run.WaitGroup, Key: name, Limit: c.Limit, Mode: c.OnLimit, Query: r.newFence(), Since: r.now}
	r.changed = true
	r.fx.Log = append(r.fx.Log, run.Change{At: r.now, Run: run.Queued, By: r.rec.SubmittedBy, Wait: r.rec.Wait})
	r.fx.Queries = append(r.fx.Queries, Query{Priority: r.program.root.def.Priority, Wait: *r.rec.Wait})
	return true
}

// admitted takes in the answer for the run itself.
func (r *Run) admitted(ev *Event) bool {
	w := r.rec.Wait
	if w == nil || w.Query != ev.Fence || r.rec.State != run.Queued {
		return false
	}
	if ev.Due > 0 {
		next := *w
		next.Due = ev.Due
		r.rec.Wait, r.changed = &next, true
		r.setTimer(TimerWait, "", "", ev.Due)
		return true
	}
	r.rec.Wait, r.changed = nil, true
	if ev.Granted {
		r.rec.Slot = &run.Slot{Group: w.Key, Query: w.Query}
		return r.start()
	}
	message := fmt.Sprintf("group %s is full", w.Key)
	if ev.Reason != "" {
		message += ": " + ev.Reason
	}
	code := run.CodeLimit
	if w.Mode == "skip" {
		code, message = run.CodeCancelled, "skipped: "+message
	}
	r.stop(run.Stop{Cause: &run.Error{Code: code, Message: message}, Hard: true})
	return true
}

// repeatRunQuery asks again for the slot of the run, when it is time.
func (r *Run) repeatRunQuery() bool {
	w := r.rec.Wait
	if w == nil || w.Due == 0 {
		return false
	}
	if r.now < w.Due {
		r.setTimer(TimerWait, "", "", w.Due)
		return true
	}
	next := *w
	next.Due = 0
	r.rec.Wait, r.changed = &next, true
	r.fx.Queries = append(r.fx.Queries, Query{Priority: r.program.root.def.Priority, Wait: next})
	return true
}

// releaseRunSlot gives back the slot of the run.
func (r *Run) releaseRunSlot() {
	if s := r.rec.Slot; s != nil {
		r.fx.SlotReleases = append(r.fx.SlotReleases, SlotRelease{Group: s.Group, Query: s.Query})
	}
	if w := r.rec.Wait; w != nil {
		r.fx.SlotReleases = append(r.fx.SlotReleases, SlotRelease{Group: w.Key, Query: w.Query})
		if w.Due > 0 {
			r.clearTimer(TimerWait, "", "")
		}
	}
	r.rec.Slot, r.rec.Wait = nil, nil
}

// evicted ends what has lost its slot to a newer one.
func (r *Run) evicted(ev *Event) bool {
	by := "its slot of the group went to " + ev.Reason
	if ev.Task == "" {
		if r.rec.Slot == nil || r.rec.Slot.Query != ev.Fence {
			return false
		}
		r.rec.Slot = nil
		r.changed = true
		r.stop(run.Stop{Cause: &run.Error{Code: run.CodeCancelled, Message: "cancelled: " + by}})
		return true
	}
	u := r.active[ev.Task]
	if u == nil {
		return false
	}
	for i, s := range u.rec.Slots {
		if s.Query == ev.Fence {
			u.rec.Slots = append(u.rec.Slots[:i:i], u.rec.Slots[i+1:]...)
			r.evict(u, by)
			return true
		}
	}
	return false
}

// evict stops a unit; it has failed then, since what depends on it cannot go on.
func (r *Run) evict(u *unit, why string) {
	err := &run.Error{Code: run.CodeLimit, Message: why}
	if u.sub != nil {
		r.markDirty(u)
		r.stopFlow(u, run.Stop{Cause: err})
		return
	}
	r.withdraw(u)
	r.failNow(u, err)
}
