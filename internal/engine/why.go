package engine

import (
	"slices"

	"github.com/orchis-run/orchis/pkg/run"
)

// WaitKind says what a task waits for.
type WaitKind string

// What a task that is not final can wait for.
const (
	ForJobs         WaitKind = "jobs"         // those in On
	ForPlace        WaitKind = "place"        // under the parallelism of the flow In; without In, under Limits.InFlight
	ForItems        WaitKind = "items"        // other items of its iteration
	ForWorker       WaitKind = "worker"       // to take its ticket
	ForResult       WaitKind = "result"       // of the worker that is at it
	ForTimer        WaitKind = "timer"        // of its next attempt
	ForTime         WaitKind = "time"         // at which it starts
	ForApproval     WaitKind = "approval"     // of one of By
	ForSignal       WaitKind = "signal"       // named Key
	ForGroup        WaitKind = "group"        // named Key, of Limit slots
	ForRate         WaitKind = "rate"         // of Key
	ForAnswer       WaitKind = "answer"       // of the orchestrator itself
	ForResume       WaitKind = "resume"       // of the run, which By has paused
	ForTasks        WaitKind = "tasks"        // below it, its own
	ForOrchestrator WaitKind = "orchestrator" // to take it up
)

// Wait says why a task is not final.
type Wait struct {
	Task  string        `json:"task"`
	State run.TaskState `json:"state"`
	Kind  WaitKind      `json:"kind"`
	// Tasks is the number of tasks that wait alike: 1, or that of the items of
	// Task that have not been started.
	Tasks int      `json:"tasks"`
	On    []string `json:"on,omitempty"`
	In    string   `json:"in,omitempty"`
	Limit int      `json:"limit,omitempty"`
	Key   string   `json:"key,omitempty"`
	By    []string `json:"by,omitempty"`

	Queue    string  `json:"queue,omitempty"`
	Priority int     `json:"priority,omitempty"`
	Handler  string  `json:"handler,omitempty"`
	Worker   string  `json:"worker,omitempty"`
	Attempt  int     `json:"attempt,omitempty"`
	Since    int64   `json:"since,omitempty"`
	Due      int64   `json:"due,omitempty"`
	Progress float64 `json:"progress,omitempty"`
	Note     string  `json:"note,omitempty"`
	// Error is why the newest attempt failed, or why the flow is being stopped.
	Error *run.Error `json:"error,omitempty"`
}

// Waits says of each task that is not final why it is not. It changes nothing.
func (r *Run) Waits() []Wait {
	if w := r.rec.Wait; w != nil && r.root == nil && !r.Final() {
		out := Wait{State: run.TaskWaiting, Tasks: 1}
		out.waits(w)
		return []Wait{out}
	}
	if r.root == nil || r.Final() {
		return nil
	}
	out := r.scopeWaits(r.root, nil)
	for i := range out {
		if w := &out[i]; r.rec.Paused != nil && slices.Contains([]WaitKind{ForOrchestrator, ForPlace, ForItems}, w.Kind) {
			w.Kind, w.By, w.Since, w.Note = ForResume, []string{r.rec.Paused.By}, r.rec.Paused.At, r.rec.Paused.Reason
		}
	}
	return out
}

func (r *Run) scopeWaits(s *scope, out []Wait) []Wait {
	for i := range s.hooks {
		if n := &s.hooks[i]; n.unit.sub != nil {
			out = r.unitWaits(&n.unit, out)
		}
	}
	for i := range s.nodes {
		n := &s.nodes[i]
		if n.state().Final() {
			if n.hook != nil && n.hook.unit.sub != nil {
				out = r.unitWaits(&n.hook.unit, out)
			}
			continue
		}
		if n.iter == nil {
			out = r.unitWaits(&n.unit, out)
			continue
		}
		out = append(out, Wait{Task: n.unit.path(), State: n.state(), Kind: ForTasks, Tasks: 1, Since: n.unit.rec.Started})
		rest := 0
		for _, u := range n.iter.units {
			switch {
			case u == nil || u.state() == run.TaskPending && u.place != parked:
				rest++
			case !u.state().Final():
				out = r.unitWaits(u, out)
			}
		}
		if rest > 0 {
			w := Wait{
				Task: n.unit.path() + "[...]", State: run.TaskPending, Kind: ForItems, Tasks: rest,
				Limit: windowOf(n.step.def, r.limits),
			}
			r.full(&n.unit, &w)
			out = append(out, w)
		}
	}
	return out
}

func (r *Run) unitWaits(u *unit, out []Wait) []Wait {
	rec, def := &u.rec, u.node.step.def
	w := Wait{
		Task: u.path(), State: u.state(), Tasks: 1, Handler: def.Handler, Queue: def.Queue, Priority: def.Priority,
		Worker: rec.Worker, Attempt: rec.Attempt, Error: rec.Why(),
	}
	switch {
	case u.sub != nil:
		w.Kind, w.Since = ForTasks, rec.Started
		return r.scopeWaits(u.sub, append(out, w))
	case rec.Wait != nil:
		w.waits(rec.Wait)
	case w.State == run.TaskQueued:
		w.Kind, w.Since, w.Worker = ForWorker, rec.Queued, ""
	case w.State == run.TaskRunning:
		w.Kind, w.Since, w.Progress, w.Note = ForResult, rec.Started, rec.Progress, rec.Note
	case w.State == run.TaskRetrying && u.place != parked:
		w.Kind, w.Due = ForTimer, rec.Due
	default:
		r.pendingWait(u, &w)
	}
	return append(out, w)
}

// waits tells of a record's wait.
func (w *Wait) waits(rec *run.Wait) {
	w.Key, w.Limit, w.Since, w.Due, w.By, w.Note = rec.Key, rec.Limit, rec.Since, rec.Due, rec.By, rec.Message
	switch rec.Kind {
	case run.WaitDelay:
		w.Kind = ForTime
	case run.WaitApproval:
		w.Kind = ForApproval
	case run.WaitSignal:
		w.Kind = ForSignal
	case run.WaitGroup:
		w.Kind = ForGroup
	case run.WaitRate:
		w.Kind = ForRate
	default:
		w.Kind = ForAnswer
	}
}

// pendingWait says what keeps a unit without a ticket from getting one.
func (r *Run) pendingWait(u *unit, w *Wait) {
	n := u.node
	if u.index < 0 {
		for _, d := range n.step.deps {
			if other := &n.scope.nodes[d.job]; !other.settled() {
				w.On = append(w.On, other.unit.path())
			}
		}
	}
	switch {
	case len(w.On) > 0:
		slices.Sort(w.On)
		w.Kind = ForJobs
	case w.Kind == ForPlace || r.full(u, w):
	default:
		w.Kind = ForOrchestrator
	}
}

// full reports whether a flow above the unit has no free place.
func (r *Run) full(u *unit, w *Wait) bool {
	for s := u.node.scope; s != nil; s = s.above() {
		if limit := r.placesOf(s); limit > 0 && s.inFlight >= limit {
			w.Kind, w.Limit, w.In = ForPlace, limit, s.plan.def.Name
			if s.parent == nil && limit == r.limits.InFlight {
				w.In = "" // the limit of the installation
			}
			return true
		}
	}
	return false
}
