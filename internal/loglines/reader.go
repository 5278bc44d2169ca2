// Package loglines reads the log lines of a run's tasks, while the run is under
// way and afterwards.
//
// Each task writes to a stream of its own. Nothing in Redis lists the tasks that
// have lines, since workers in any language write them and one that forgot to
// keep such a list would be invisible. A Reader derives the streams from the
// records of the tasks instead: a task has a record from its first ticket on. It
// follows the run's log to notice tasks that start, and reads up to 1,000 streams
// with one command, so that a run of 100,000 tasks costs a hundred commands.
package loglines

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

const (
	// mostStreams is how many streams one command reads.
	mostStreams = 1000
	// mostLines is about how many lines Next returns, fewest and most how many it
	// reads of a task at a time.
	mostLines = 20_000
	fewest    = 20
	most      = 1000
)

// Source is what a Reader needs of Redis; redisstore.Store describes the methods.
type Source interface {
	Run(ctx context.Context, runID string) (run.Run, error)
	Tasks(ctx context.Context, runID string) ([]run.Task, error)
	ForgottenTasks(ctx context.Context, runID string) ([]string, error)
	Log(ctx context.Context, runID, after string, count int, block time.Duration) ([]wire.LogEntry, error)
	MoreLines(ctx context.Context, runID string, after map[string]string, count int, block time.Duration) (map[string][]wire.Line, error)
	TailLines(ctx context.Context, runID string, tasks []string, count int) ([]wire.Line, error)
}

// Options choose lines.
type Options struct {
	// Wants reports whether the lines of a task are read; nil is all.
	Wants func(task string) bool
	// Tail, when positive, begins with that many newest lines of each task.
	Tail int
}

// Reader reads the lines of a run. It is not safe for concurrent use.
type Reader struct {
	from    Source
	run     string
	o       Options
	version string // of the run: changes after it have not been read
	moved   bool   // there were changes since the records were read
	tails   map[string]*tail
	// busy are the tails that each sweep reads, idle those of which a sweep reads
	// some. Invariant: a tail with the place isBusy is in busy once; one with the
	// place isIdle is in idle at least once. Tails that have left idle are dropped
	// from it when a sweep meets them.
	busy, idle []*tail
	begun      bool // the first sweep has been made
	attempts   map[string]int
}

// tail is how far the lines of a task have been read.
type tail struct {
	task    string
	after   string // the entry that was read last
	running bool   // by the newest change
	ended   bool   // by the newest change: no line follows those that are stored
	place   place
}

// place says when a tail is read.
type place int

const (
	nowhere place = iota // the task has ended, and all its lines have been read
	isBusy               // the task is running, or there may be more to read
	isIdle               // no worker is known to work on the task
)

// Open returns a reader of the lines of a run, from the first one on.
func Open(ctx context.Context, from Source, runID string, o Options) (*Reader, error) {
	r := &Reader{from: from, run: runID, o: o, tails: map[string]*tail{}, attempts: map[string]int{}}
	return r, r.refresh(ctx)
}

// refresh reads the records of the tasks.
func (r *Reader) refresh(ctx context.Context) error {
	rec, err := r.from.Run(ctx, r.run)
	if err != nil {
		return err
	}
	r.version = strconv.FormatInt(rec.Version, 10)
	forgotten, err := r.from.ForgottenTasks(ctx, r.run)
	if err != nil {
		return err
	}
	for _, task := range forgotten {
		r.note(task, run.TaskCancelled)
	}
	tasks, err := r.from.Tasks(ctx, r.run)
	if err != nil {
		return err
	}
	for i := range tasks {
		t := &tasks[i]
		if t.Attempt > 0 { // the others have had no ticket
			r.note(t.ID, t.State)
		}
		r.attempts[t.ID] = t.Attempt
	}
	r.moved = false
	return nil
}

// Has reports whether the run has a task whose lines are wanted.
func (r *Reader) Has() bool {
	for task := range r.attempts {
		if r.wants(task) {
			return true
		}
	}
	return false
}

// Attempt returns the number of a task's newest attempt.
func (r *Reader) Attempt(task string) int { return r.attempts[task] }

func (r *Reader) wants(task string) bool { return r.o.Wants == nil || r.o.Wants(task) }

// note takes in the state of a task that has had a ticket.
func (r *Reader) note(task string, state run.TaskState) {
	if !r.wants(task) {
		return
	}
	t := r.tails[task]
	if t == nil {
		t = &tail{task: task}
		r.tails[task] = t
	}
	t.running, t.ended = state == run.TaskRunning, state.Final()
	if t.running || t.ended {
		r.put(t, isBusy)
	} else if t.place == nowhere {
		r.put(t, isIdle)
	}
}

func (r *Reader) put(t *tail, at place) {
	if t.place == at {
		return
	}
	t.place = at
	switch at {
	case isBusy:
		r.busy = append(r.busy, t)
	case isIdle:
		r.idle = append(r.idle, t)
	case nowhere:
	}
}

// Next returns lines that no call before has returned: those of each task in
// order, and all that come together by time. It waits for block when there are
// none. Without block, no lines mean that all stored lines have been read. Lines
// that come with an error will not come again.
func (r *Reader) Next(ctx context.Context, block time.Duration) ([]wire.Line, error) {
	lines, err := r.next(ctx, block)
	slices.SortStableFunc(lines, func(x, y wire.Line) int {
		return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.Task, y.Task))
	})
	return lines, err
}

func (r *Reader) next(ctx context.Context, block time.Duration) ([]wire.Line, error) {
	if err := r.catchUp(ctx, 0); err != nil {
		return nil, err
	}
	if r.o.Tail > 0 {
		n := r.o.Tail
		r.o.Tail = 0
		if lines, err := r.last(ctx, n); err != nil || len(lines) > 0 {
			return lines, err
		}
	}
	lines, err := r.sweep(ctx)
	if err != nil || len(lines) > 0 {
		return lines, err
	}
	if block > 0 {
		return r.wait(ctx, block)
	}
	if !r.moved { // mutant: log-reader-refreshes (true)
		return nil, nil
	}
	// The run's log keeps its newest entries only: a slow reader may have missed
	// that a task began.
	if err := r.refresh(ctx); err != nil {
		return nil, err
	}
	return r.sweep(ctx)
}

// catchUp reads which tasks have moved since.
func (r *Reader) catchUp(ctx context.Context, block time.Duration) error {
	for {
		entries, err := r.from.Log(ctx, r.run, r.version, 100, block)
		if err != nil || len(entries) == 0 {
			return err
		}
		block, r.moved = 0, true
		for _, e := range entries {
			r.version = e.ID
			for _, c := range e.Changes {
				r.change(&c)
			}
		}
	}
}

func (r *Reader) change(c *run.Change) {
	if c.Task == "" {
		return
	}
	r.attempts[c.Task] = max(c.Attempt, r.attempts[c.Task])
	switch c.State {
	case run.TaskPending, run.TaskDelayed, run.TaskWaiting, run.TaskSkipped, run.TaskBlocked, run.TaskCached:
		if t := r.tails[c.Task]; t != nil {
			t.running, t.ended = false, c.State.Final()
		}
	default:
		r.note(c.Task, c.State)
	}
}

// sweep reads the streams of all busy tasks, and of some idle ones: of all of
// them the first time.
func (r *Reader) sweep(ctx context.Context) ([]wire.Line, error) {
	idle := mostStreams
	if !r.begun {
		idle, r.begun = len(r.idle), true
	}
	due := r.busy
	r.busy = nil
	for ; idle > 0 && len(r.idle) > 0; r.idle = r.idle[1:] {
		if t := r.idle[0]; t.place == isIdle {
			t.place = nowhere
			due = append(due, t)
			idle--
		}
	}
	count := min(most, max(fewest, mostLines/max(1, min(len(due), mostStreams))))
	var lines []wire.Line
	for len(due) > 0 && len(lines) < mostLines {
		n := min(mostStreams, len(due))
		got, err := r.read(ctx, due[:n], count, 0)
		if err != nil {
			r.keep(due)
			return lines, err
		}
		lines = append(lines, r.take(due[:n], got, count)...)
		due = due[n:]
	}
	r.keep(due) // next time, after those that were read
	return lines, nil
}

// keep puts tails back that were not read.
func (r *Reader) keep(tails []*tail) {
	for _, t := range tails {
		t.place = nowhere
		r.put(t, isBusy)
	}
}

func (r *Reader) read(ctx context.Context, tails []*tail, count int, block time.Duration) (map[string][]wire.Line, error) {
	after := make(map[string]string, len(tails))
	for _, t := range tails {
		after[t.task] = t.after
	}
	return r.from.MoreLines(ctx, r.run, after, count, block)
}

// take notes what was read of tails, and says when each is read again.
func (r *Reader) take(tails []*tail, got map[string][]wire.Line, count int) []wire.Line {
	var lines []wire.Line
	for _, t := range tails {
		some := got[t.task]
		t.place = nowhere
		switch {
		case t.running, len(some) == count, t.ended && len(some) > 0:
			r.put(t, isBusy)
		case !t.ended:
			r.put(t, isIdle)
		}
		if len(some) > 0 {
			t.after = some[len(some)-1].ID
			lines = append(lines, some...)
		}
	}
	return lines
}

// wait waits for a line of the tasks of which one is most likely to come.
func (r *Reader) wait(ctx context.Context, block time.Duration) ([]wire.Line, error) {
	some := slices.Clone(r.busy[:min(mostStreams, len(r.busy))])
	for _, t := range r.idle {
		if len(some) == mostStreams {
			break
		}
		if t.place == isIdle {
			some = append(some, t)
		}
	}
	if len(some) == 0 {
		return nil, r.catchUp(ctx, block)
	}
	got, err := r.read(ctx, some, fewest, block)
	var lines []wire.Line
	for task, these := range got {
		r.tails[task].after = these[len(these)-1].ID
		lines = append(lines, these...)
	}
	return lines, err
}

// last returns the newest lines of each task.
func (r *Reader) last(ctx context.Context, count int) ([]wire.Line, error) {
	var have []string
	for some := range slices.Chunk(slices.Collect(maps.Values(r.tails)), mostStreams/4) { // of each, a line of up to 16 KiB
		got, err := r.read(ctx, some, 1, 0)
		if err != nil {
			return nil, err
		}
		for task := range got {
			have = append(have, task)
		}
	}
	lines, err := r.from.TailLines(ctx, r.run, have, count)
	for i := range lines {
		if t := r.tails[lines[i].Task]; newer(lines[i].ID, t.after) {
			t.after = lines[i].ID
		}
	}
	return lines, err
}

// newer compares the ids of stream entries.
func newer(id, than string) bool {
	part := func(s string) (string, string) { ms, n, _ := strings.Cut(s, "-"); return ms, n }
	a, b := part(id)
	x, y := part(than)
	return cmp.Or(cmp.Compare(len(a), len(x)), cmp.Compare(a, x), cmp.Compare(len(b), len(y)), cmp.Compare(b, y)) > 0
}
