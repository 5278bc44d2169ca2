package engine

import (
	"fmt"
	"slices"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/pkg/run"
)

// mover is who moves a task or a run from one state to the next.
type mover uint8

const (
	// byEngine: the engine itself, when dependencies and limits allow, or when
	// the tasks of a nested flow or an iteration have ended.
	byEngine mover = iota
	// byWorker: a worker's report, or the loss of a worker or a ticket.
	byWorker
	// byTimer: a timer that is due.
	byTimer
	// byAnswer: the orchestrator's answer to a query, or an eviction.
	byAnswer
	// byPerson: a control request.
	byPerson
	// byStop: the stop of a run or a nested flow, whatever caused it. Only a
	// stop moves a task or a run to cancelled.
	byStop
	movers // the number of movers
)

func (by mover) String() string {
	return [movers]string{"engine", "worker", "timer", "answer", "person", "stop"}[by]
}

// moverOf returns who moves tasks by an event of a kind.
func moverOf(kind event.Kind) mover {
	switch info := kind.Info(); {
	case info.Fenced:
		return byWorker
	case info.Sender == event.Person:
		return byPerson
	case kind == event.TimerFired:
		return byTimer
	case kind == event.Answered || kind == event.Evicted:
		return byAnswer
	}
	return byEngine
}

// moves lists the states to which a mover may move a task or run of one state.
type moves[S ~string] struct {
	from S
	to   []S
}

// taskMoves are the allowed moves of tasks, by mover: setState checks them, and
// docs/states.md is generated from them. The table is never modified.
var taskMoves = [movers][]moves[run.TaskState]{
	byEngine: {
		{run.TaskPending, []run.TaskState{
			run.TaskDelayed, run.TaskWaiting, run.TaskQueued, run.TaskRunning, run.TaskSucceeded,
			run.TaskCached, run.TaskFailed, run.TaskSkipped, run.TaskBlocked,
		}},
		// A job that survives a stop starts at once when its delay is over and
		// only the timer's event is missing.
		{run.TaskDelayed, []run.TaskState{run.TaskPending}},
		// The signal arrived before the job waited for it.
		{run.TaskWaiting, []run.TaskState{run.TaskSucceeded, run.TaskFailed}},
		// Nested flows and iterations: no worker runs them.
		{run.TaskRunning, []run.TaskState{run.TaskSucceeded, run.TaskFailed, run.TaskRetrying}},
		// The timer fired, but a parallelism limit had no free place until now.
		{run.TaskRetrying, []run.TaskState{run.TaskQueued, run.TaskFailed}},
	},
	byWorker: {
		{run.TaskQueued, []run.TaskState{run.TaskQueued, run.TaskRunning, run.TaskRetrying, run.TaskSucceeded, run.TaskFailed}},
		{run.TaskRunning, []run.TaskState{run.TaskQueued, run.TaskRetrying, run.TaskSucceeded, run.TaskFailed}},
	},
	byTimer: {
		{run.TaskDelayed, []run.TaskState{run.TaskPending}},
		{run.TaskWaiting, []run.TaskState{run.TaskPending, run.TaskSucceeded, run.TaskFailed}},
		{run.TaskQueued, []run.TaskState{run.TaskFailed}},
		{run.TaskRetrying, []run.TaskState{run.TaskWaiting, run.TaskQueued, run.TaskRunning, run.TaskFailed}},
	},
	byAnswer: {
		{run.TaskPending, []run.TaskState{run.TaskFailed}},
		{run.TaskWaiting, []run.TaskState{run.TaskPending, run.TaskCached, run.TaskFailed, run.TaskSkipped}},
		{run.TaskQueued, []run.TaskState{run.TaskFailed}},
		{run.TaskRunning, []run.TaskState{run.TaskFailed}},
	},
	byPerson: {
		{run.TaskWaiting, []run.TaskState{run.TaskSucceeded, run.TaskFailed}},
	},
	byStop: {
		{run.TaskPending, []run.TaskState{run.TaskCancelled}},
		{run.TaskDelayed, []run.TaskState{run.TaskCancelled}},
		{run.TaskWaiting, []run.TaskState{run.TaskCancelled}},
		{run.TaskQueued, []run.TaskState{run.TaskCancelled}},
		{run.TaskRunning, []run.TaskState{run.TaskCancelled}},
		{run.TaskRetrying, []run.TaskState{run.TaskCancelled}},
	},
}

// runMoves are the allowed moves of runs, by mover: setRunState checks them, and
// docs/states.md is generated from them. The table is never modified.
var runMoves = [movers][]moves[run.State]{
	byEngine: {
		{run.Queued, []run.State{run.Running, run.Failed}},
		{run.Running, []run.State{run.Succeeded, run.Failed}},
		{run.Paused, []run.State{run.Failed}}, // see Abandon
	},
	byTimer: {
		{run.Paused, []run.State{run.Running}}, // to be stopped: its timeout passed
	},
	byAnswer: {
		{run.Queued, []run.State{run.Running, run.Failed}},
		{run.Paused, []run.State{run.Running}}, // to be stopped: it lost its slot
	},
	byPerson: {
		{run.Running, []run.State{run.Paused}},
		{run.Paused, []run.State{run.Running}},
	},
	byStop: {
		{run.Queued, []run.State{run.Cancelled}},
		{run.Running, []run.State{run.Cancelled}},
	},
}

// allowed reports whether a mover's part of a table has a move.
func allowed[S ~string](table []moves[S], from, to S) bool {
	for i := range table {
		if table[i].from == from {
			return slices.Contains(table[i].to, to)
		}
	}
	return false
}

// setState moves a task to a state and counts it. No other function changes the
// state of a task.
func (r *Run) setState(u *unit, to run.TaskState) {
	from, by := u.state(), r.mover
	if to == run.TaskCancelled {
		by = byStop
	}
	if !allowed(taskMoves[by], from, to) { // mutant: task-move-allowed (false)
		r.breach(fmt.Errorf("task %s cannot move from %s to %s by %s", u.path(), from, to, by))
	}
	r.rec.Counts.Add(from, -1)
	r.rec.Counts.Add(to, 1)
	u.rec.State = to
	r.markDirty(u)
}

// setRunState moves the run to a state. No other function changes the state of
// a run.
func (r *Run) setRunState(to run.State) {
	by := r.mover
	if to == run.Cancelled {
		by = byStop
	}
	if !allowed(runMoves[by], r.rec.State, to) { // mutant: run-move-allowed (false)
		r.breach(fmt.Errorf("the run cannot move from %s to %s by %s", r.rec.State, to, by))
	}
	r.rec.State, r.changed = to, true
}

// breach notes that the engine broke one of its own rules. The step has no
// effects then but Effects.Fault, so that nothing wrong is committed.
func (r *Run) breach(err error) {
	if r.fault == nil {
		r.fault = fmt.Errorf("engine fault: %w", err)
	}
}

// Abandon fails a run that cannot be stepped: its records cannot be restored, or
// its steps end in a fault. rec is the run as it was committed. The tasks stay
// as they are; the run becomes a dead letter.
func Abandon(rec run.Run, why string, now int64) Effects {
	r := &Run{rec: rec, now: now}
	r.setRunState(run.Failed)
	r.rec.Ended = now
	r.rec.Error = &run.Error{Code: run.CodeInternal, Message: why}
	return Effects{
		Run: r.rec, RunChanged: true, Fault: r.fault,
		Log:  []run.Change{{At: now, Run: run.Failed, Error: r.rec.Error}},
		Dead: []Dead{{Error: r.rec.Error}},
	}
}
