// Package explain answers why a run, or a task of it, is not going on.
package explain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/resume"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// Reason says of one task, or of the run as a whole (an empty Task), why it
// stands where it does.
type Reason struct {
	engine.Wait
	// Text is the answer in words.
	Text string `json:"text"`
}

// facts is what stands outside of the run.
type facts struct {
	now     time.Time
	workers []wire.Worker
	lanes   map[string]redisstore.QueueStat
	owner   string
	paused  map[string]wire.Paused
	groups  map[string]wire.Group
}

// Run answers for a run, the most telling reasons first. With a task it
// answers for that task alone: for its newest state, also when it has ended.
func Run(ctx context.Context, store *redisstore.Store, id, task string) ([]Reason, error) {
	stored, err := store.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	snap, err := resume.Snapshot(id, store.PartitionOf(id), stored)
	if err != nil {
		return nil, err
	}
	rec, tasks := snap.Run, snap.Tasks
	if t, there := tasks[task]; there && t.State.Final() {
		return []Reason{ended(&t)}, nil
	}
	if rec.State.Final() {
		return finished(&rec, tasks, task), nil
	}
	waits, err := waits(ctx, store, snap)
	if err != nil {
		return nil, err
	}
	f, err := look(ctx, store, rec.Partition)
	if err != nil {
		return nil, err
	}
	var out []Reason
	if f.owner == "" {
		out = append(out, Reason{Text: "no orchestrator is running: nothing is published and no result is taken in"})
	}
	if rec.Stopping() {
		out = append(out, Reason{Text: "the run is being stopped: " + rec.Stop.Cause.Error()})
	}
	if err := f.lookAtGroups(ctx, store, waits); err != nil {
		return nil, err
	}
	found := false
	for _, w := range waits {
		if task == "" || w.Task == task || strings.HasPrefix(w.Task, task+"/") || strings.HasPrefix(w.Task, task+"@") || strings.HasPrefix(w.Task, task+"[") || items(w.Task, task) {
			found = true
			out = append(out, Reason{Wait: w, Text: f.text(&w)})
		}
	}
	if task != "" && !found {
		return nil, fmt.Errorf("task %s of run %s: %w", task, id, wire.ErrNotFound)
	}
	slices.SortStableFunc(out, func(a, b Reason) int { return rank(a.Kind) - rank(b.Kind) })
	return out, nil
}

// items reports whether a task is one of the items that a wait is about.
func items(wait, task string) bool {
	base, ok := strings.CutSuffix(wait, "[...]")
	return ok && strings.HasPrefix(task, base+"[")
}

// rank puts what somebody can do something about before what follows from it.
func rank(k engine.WaitKind) int {
	return slices.Index([]engine.WaitKind{
		"", engine.ForResume, engine.ForApproval, engine.ForSignal, engine.ForWorker, engine.ForGroup, engine.ForRate, engine.ForTime, engine.ForTimer, engine.ForResult, engine.ForPlace,
		engine.ForAnswer, engine.ForOrchestrator, engine.ForItems, engine.ForTasks, engine.ForJobs,
	}, k)
}

func waits(ctx context.Context, store *redisstore.Store, snap engine.Snapshot) ([]engine.Wait, error) {
	rec := &snap.Run
	raw, err := store.Definition(ctx, rec.Partition, rec.Definition)
	if err != nil {
		return nil, err
	}
	bundle, err := flow.DecodeBundle(raw)
	if err != nil {
		return nil, err
	}
	limits, err := resume.Limits(ctx, store)
	if err != nil {
		return nil, err
	}
	program, err := engine.Compile(bundle, limits)
	if err != nil {
		return nil, err
	}
	r, err := engine.Restore(program, snap)
	if err != nil {
		return nil, err
	}
	return r.Waits(), nil
}

func look(ctx context.Context, store *redisstore.Store, p int) (*facts, error) {
	f := &facts{lanes: map[string]redisstore.QueueStat{}}
	var errs [5]error
	var stats []redisstore.QueueStat
	f.now, errs[0] = store.Now(ctx)
	f.workers, errs[1] = store.Workers(ctx)
	stats, errs[2] = store.QueueStats(ctx)
	f.owner, errs[3] = store.Owner(ctx, p)
	f.paused, errs[4] = store.PausedQueues(ctx)
	for _, s := range stats {
		f.lanes[s.Queue+" "+string(s.Priority)] = s
	}
	return f, errors.Join(errs[:]...)
}

func (f *facts) ago(ms int64) string {
	return max(0, f.now.Sub(time.UnixMilli(ms))).Round(time.Second / 10).String()
}

// text says in words what a task waits for.
func (f *facts) text(w *engine.Wait) string {
	last := ""
	if w.Error != nil {
		last = fmt.Sprintf("; attempt %d failed: %s", w.Attempt, w.Error.Error())
	}
	switch w.Kind {
	case engine.ForJobs:
		return "waits for " + strings.Join(w.On, ", ")
	case engine.ForPlace:
		why := fmt.Sprintf("the parallelism of %s is %d", w.In, w.Limit)
		if w.In == "" {
			why = fmt.Sprintf("the run has its %d tickets in flight (ORCHIS_RUN_WINDOW)", w.Limit)
		}
		if w.Tasks > 1 {
			return fmt.Sprintf("%d items have not been started: %s", w.Tasks, why)
		}
		return "waits for a free place: " + why + last
	case engine.ForItems:
		return fmt.Sprintf("%d items have not been started: at most %d are under way at once", w.Tasks, w.Limit)
	case engine.ForWorker:
		return f.queue(w) + last
	case engine.ForResult:
		return f.atWork(w) + last
	case engine.ForTimer:
		in := time.UnixMilli(w.Due).Sub(f.now).Round(time.Second / 10)
		return fmt.Sprintf("tries again in %s", max(0, in)) + last
	case engine.ForGroup, engine.ForRate, engine.ForAnswer:
		return f.group(w) + last
	case engine.ForTime, engine.ForApproval, engine.ForSignal, engine.ForResume:
		return f.world(w)
	case engine.ForTasks:
		return "waits for its own tasks, since " + f.ago(w.Since)
	}
	return "can start; the orchestrator takes it up with its next step"
}

// world says what a task waits for that is not done by workers.
func (f *facts) world(w *engine.Wait) string {
	limit := ""
	if w.Due > 0 {
		limit = "; it ends by itself in " + f.in(w.Due)
	}
	switch w.Kind {
	case engine.ForApproval:
		text := "waits for an approval, since " + f.ago(w.Since) + ": " + w.Note
		if len(w.By) > 0 {
			text += " (by " + strings.Join(w.By, ", ") + ")"
		}
		return text + limit
	case engine.ForSignal:
		return fmt.Sprintf("waits for the signal %q, since %s%s", w.Key, f.ago(w.Since), limit)
	case engine.ForResume:
		text := "the run is paused, since " + f.ago(w.Since)
		if by := strings.Join(w.By, ", "); by != "" {
			text += ", by " + by
		}
		if w.Note != "" {
			text += ": " + w.Note
		}
		return text
	}
	return "starts in " + f.in(w.Due)
}

func (f *facts) in(ms int64) string {
	return max(0, time.UnixMilli(ms).Sub(f.now)).Round(time.Second / 10).String()
}

// queue says why a ticket is not with a worker.
func (f *facts) queue(w *engine.Wait) string {
	since := "published " + f.ago(w.Since) + " ago in queue " + w.Queue
	if p, paused := f.paused[w.Queue]; paused {
		since += "; the queue is paused"
		if p.By != "" {
			since += " by " + p.By
		}
		if p.Reason != "" {
			since += ": " + p.Reason
		}
		return since
	}
	var able, serving, busy, slots int
	var seen *wire.Worker
	for i := range f.workers {
		x := &f.workers[i]
		has := slices.ContainsFunc(x.Handlers, func(h wire.HandlerInfo) bool { return h.Name == w.Handler })
		if !x.Alive(f.now) {
			if has && (seen == nil || x.Seen > seen.Seen) {
				seen = x
			}
			continue
		}
		if !slices.Contains(x.Queues, w.Queue) {
			continue
		}
		serving++
		if has {
			able++
			busy += x.Busy
			slots += x.Slots
		}
	}
	switch {
	case serving == 0:
		since += "; no live worker serves this queue"
	case able == 0:
		since += fmt.Sprintf("; none of the %d live workers of this queue has the handler %s", serving, w.Handler)
	default:
		lane := f.lanes[w.Queue+" "+string(wire.LaneOf(w.Priority))]
		return since + fmt.Sprintf("; %d workers can do it, %d of their %d slots are busy, %d tickets wait", able, busy, slots, lane.Waiting)
	}
	if seen != nil {
		since += fmt.Sprintf(" (%s had it, last seen %s ago)", seen.Name, f.ago(seen.Seen))
	}
	return since
}

func (f *facts) atWork(w *engine.Wait) string {
	text := fmt.Sprintf("worker %s has been at it for %s", w.Worker, f.ago(w.Since))
	if w.Progress > 0 {
		text += fmt.Sprintf(", %.0f %% done", w.Progress)
	}
	if w.Note != "" {
		text += " (" + w.Note + ")"
	}
	at := slices.IndexFunc(f.workers, func(x wire.Worker) bool { return x.Name == w.Worker })
	switch {
	case at < 0:
		text += "; this worker is not registered: when its lease is over the task goes to another"
	case !f.workers[at].Alive(f.now):
		text += "; this worker was last seen " + f.ago(f.workers[at].Seen) + " ago: when its lease is over the task goes to another"
	}
	return text
}

// ended says why a final task ended as it did.
func ended(t *run.Task) Reason {
	text := string(t.State)
	if t.Reason != "" {
		text += ": " + t.Reason
	}
	if t.Error != nil {
		text += ": " + t.Error.Error()
	}
	return Reason{Wait: engine.Wait{Task: t.ID, State: t.State, Tasks: 1, Attempt: t.Attempt, Worker: t.Worker, Error: t.Error}, Text: text}
}

// finished says how a run ended and which tasks made it so.
func finished(rec *run.Run, tasks map[string]run.Task, task string) []Reason {
	text := "the run " + string(rec.State)
	if rec.State == run.Cancelled {
		text = "the run was cancelled"
	}
	if rec.Error != nil {
		text += ": " + rec.Error.Error()
	}
	out := []Reason{{Text: text}}
	if task != "" {
		return append(out, Reason{Wait: engine.Wait{Task: task, State: run.TaskPending}, Text: "never started: the run ended before"})
	}
	paths := make([]string, 0, len(tasks))
	for path := range tasks {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		if t := tasks[path]; t.State != run.TaskSucceeded && t.State.Final() {
			out = append(out, ended(&t))
		}
	}
	return out
}
