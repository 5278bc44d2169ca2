package engine

import (
	"encoding/base64"
	"encoding/binary"
	"slices"

	"github.com/orchis-run/orchis/pkg/run"
)

// work is one thing that is to be done now.
type work struct {
	do   func(*Run, work)
	node *node
	// unit is set for work on a unit, scope for work on a scope.
	unit  *unit
	scope *scope
	// by is who moves the unit.
	by mover
}

func (r *Run) enqueue(w work) { r.work = append(r.work, w) }

func (r *Run) enqueueNode(n *node)   { r.enqueue(work{do: (*Run).advanceNode, node: n}) }
func (r *Run) enqueueItems(n *node)  { r.enqueue(work{do: (*Run).advanceItems, node: n}) }
func (r *Run) enqueueScope(s *scope) { r.enqueue(work{do: (*Run).advanceScope, scope: s}) }
func (r *Run) enqueueUnit(u *unit)   { r.enqueue(work{do: (*Run).advanceUnit, unit: u}) }

// wake advances a unit whose timer is due.
func (r *Run) wake(u *unit) { r.enqueue(work{do: (*Run).advanceUnit, unit: u, by: byTimer}) }

// wakeNode starts a job whose delay is over.
func (r *Run) wakeNode(n *node) { r.enqueue(work{do: (*Run).advanceNode, node: n, by: byTimer}) }

// Step takes events in, in order, and says what follows from them. now is the
// time in Unix milliseconds; nonce is random and makes publication ids unique.
func (r *Run) Step(now int64, nonce uint64, events ...Event) Effects {
	r.now, r.nonce, r.fences, r.spent = now, nonce, 0, 0
	r.fx, r.changed, r.dirty, r.before = Effects{}, false, nil, r.rec.Counts
	for i := range events {
		r.mover = moverOf(events[i].Kind)
		if !r.apply(&events[i]) {
			r.fx.Stale++
		}
	}
	r.doWork()
	if r.fault != nil {
		return Effects{Fault: r.fault}
	}
	return r.finishStep()
}

// doWork does what has to be done, first come first served, up to the budget.
func (r *Run) doWork() {
	if r.rec.Paused != nil { // mutant: pause-stops-work (false)
		return // what is to be done stays in the list
	}
	done := 0
	for done < len(r.work) && r.spent < r.limits.Budget && !r.Final() && r.fault == nil {
		w := r.work[done]
		r.work[done] = work{}
		done++
		r.mover = w.by
		w.do(r, w)
	}
	if done == len(r.work) || r.Final() {
		clear(r.work)
		r.work = r.work[:0]
		return
	}
	r.work = append([]work(nil), r.work[done:]...)
}

func (r *Run) finishStep() Effects {
	r.fx.Tasks = make([]run.Task, 0, len(r.dirty))
	for _, u := range r.dirty {
		u.dirty = false
		if u.forgotten {
			continue
		}
		rec := u.rec
		rec.ID = u.path()
		if raw := r.outputs[rec.ID]; len(raw) <= run.InlineResult {
			rec.Result = raw
		}
		r.fx.Tasks = append(r.fx.Tasks, rec)
	}
	if len(r.fx.Forget) > 0 {
		r.fx.Outputs = slices.DeleteFunc(r.fx.Outputs, func(o Output) bool {
			_, there := r.outputs[o.Task]
			return !there
		})
	}
	r.fx.More = len(r.work) > 0 && !r.Final() && r.rec.Paused == nil
	r.fx.Run = r.rec
	r.fx.RunChanged = r.changed || r.before != r.rec.Counts
	fx := r.fx
	r.fx, r.dirty = Effects{}, nil
	return fx
}

// move puts a unit into a state, counts it and logs the change.
func (r *Run) move(u *unit, to run.TaskState) {
	r.setState(u, to)
	c := run.Change{At: r.now, Task: u.path(), State: to, Attempt: u.rec.Attempt}
	switch {
	case to.Final():
		c.Error, c.Reason, c.Started = u.rec.Error, u.rec.Reason, u.rec.Started
		c.Worker = u.rec.Worker
	case to == run.TaskWaiting || to == run.TaskDelayed:
		c.Wait = u.rec.Wait
	case to == run.TaskRunning:
		c.Worker, c.Items, c.Started = u.rec.Worker, u.rec.Items, u.rec.Started
	case to == run.TaskRetrying:
		c.Error, c.Due, c.Worker, c.Started = u.rec.Error, u.rec.Due, u.rec.Worker, u.rec.Started
	}
	if r.fx.Log == nil {
		r.fx.Log = make([]run.Change, 0, 2) // one ends, the next begins
	}
	r.fx.Log = append(r.fx.Log, c)
}

// markDirty has the unit's record written at the end of the step.
func (r *Run) markDirty(u *unit) {
	r.spent++
	if !u.dirty {
		u.dirty = true
		r.dirty = append(r.dirty, u)
	}
}

// newFence makes a publication id: the nonce and a running number, mixed.
func (r *Run) newFence() string {
	r.fences++
	return text64(mix(r.nonce + r.fences*0x9e3779b97f4a7c15))
}

// mix spreads a number over all 64 bits (the finisher of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// text64 writes a number as 11 letters of base64url: ids stand in every record
// and ticket.
func text64(x uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], x)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (r *Run) setTimer(kind, task, fence string, due int64) {
	r.fx.SetTimers = append(r.fx.SetTimers, Timer{Kind: kind, Task: task, Fence: fence, Due: due})
}

func (r *Run) clearTimer(kind, task, fence string) {
	for i, t := range r.fx.SetTimers {
		if t.Kind == kind && t.Task == task && t.Fence == fence {
			r.fx.SetTimers = append(r.fx.SetTimers[:i], r.fx.SetTimers[i+1:]...)
			break
		}
	}
	r.fx.ClearTimers = append(r.fx.ClearTimers, Timer{Kind: kind, Task: task, Fence: fence})
}
