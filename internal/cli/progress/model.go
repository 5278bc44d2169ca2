// Package progress shows what happens in one run while it happens: as a live
// region on a terminal, as plain lines, or as JSON lines. All of them read
// the changes of the run's log and nothing else.
package progress

import (
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// row is one job of the run. The items of an iterated job have no rows of
// their own; they are counted in the row of the job.
type row struct {
	path     string
	state    run.TaskState
	attempt  int
	attempts int // that the job may make; 0 when unknown
	waits    []string
	workers  []string
	started  int64
	ended    int64
	due      int64
	items    int
	done     int                // items that are final
	failed   int                // items that failed
	parts    map[string]float64 // percent of items under way
	percent  float64
	note     string
	err      *run.Error
	wait     *run.Wait // what a delayed or waiting task waits for
	reason   string
	flow     bool // the job starts a flow
	iterated bool
}

// model is everything the log has told so far.
type model struct {
	state   run.State
	created int64
	ended   int64
	err     *run.Error
	rows    map[string]*row
	order   []string // paths in the order of the definition, then of appearance
	busy    map[string]map[string]bool
	skew    int64 // what the local clock is ahead of the log's
	skewed  bool
}

func newModel(b *flow.Bundle) *model {
	m := &model{state: run.Queued, rows: make(map[string]*row), busy: make(map[string]map[string]bool)}
	if b != nil {
		m.plan(b, b.Root, "", 10)
	}
	return m
}

// plan makes the rows of a definition. The jobs of iterated flows are only
// items, so they are left out.
func (m *model) plan(b *flow.Bundle, key, prefix string, depth int) {
	f := b.Flows[key]
	if f == nil || depth == 0 {
		return
	}
	for _, j := range f.Jobs {
		r := m.row(prefix + j.Name)
		r.attempts = j.Retries.Max + 1
		r.flow = j.Flow != ""
		r.iterated = j.Iterate != nil || j.Range != nil
		for _, d := range j.Deps {
			r.waits = append(r.waits, prefix+d.Job)
		}
		if r.flow && !r.iterated {
			m.plan(b, j.Flow, r.path+"/", depth-1)
		}
	}
}

func (m *model) row(path string) *row {
	r := m.rows[path]
	if r == nil {
		r = &row{path: path, state: run.TaskPending}
		m.rows[path] = r
		m.order = append(m.order, path)
	}
	return r
}

// apply takes over one change and returns the row it changed, nil when the
// change was about the run itself.
func (m *model) apply(c run.Change, now time.Time) *row {
	if d := now.UnixMilli() - c.At; !m.skewed || d < m.skew {
		m.skew, m.skewed = d, true
	}
	if m.created == 0 {
		m.created = c.At
	}
	if c.Run != "" {
		m.state = c.Run
		if c.Run.Final() {
			m.ended, m.err = c.At, c.Error
		}
	}
	if c.Task == "" {
		return nil
	}
	if job, rest, isItem := splitItem(c.Task); isItem {
		r := m.row(job)
		m.item(r, c, rest == "")
		return r
	}
	r := m.row(c.Task)
	r.change(c)
	m.occupy(r, c)
	return r
}

// change takes over a change of the row's own task.
func (r *row) change(c run.Change) {
	if c.State != "" {
		r.state = c.State
		r.due, r.err, r.reason, r.wait = c.Due, c.Error, c.Reason, c.Wait
	}
	if c.Attempt > 0 {
		if c.Attempt != r.attempt {
			r.percent, r.note = 0, ""
		}
		r.attempt = c.Attempt
	}
	if c.Items > 0 {
		r.items, r.iterated = c.Items, true
	}
	switch {
	case c.Started > 0:
		r.started = c.Started
	case c.State == run.TaskQueued || c.State == run.TaskRunning && r.started == 0:
		r.started = c.At
	}
	if c.Progress > 0 {
		r.percent = c.Progress
	}
	if c.Note != "" {
		r.note = c.Note
	}
	if r.state.Final() {
		r.ended = c.At
	}
}

// item takes over a change of an item of the row's job, or of a task inside
// the flow of an item.
func (m *model) item(r *row, c run.Change, whole bool) {
	m.occupy(r, c)
	if !whole {
		return
	}
	if c.Progress > 0 {
		if r.parts == nil {
			r.parts = make(map[string]float64)
		}
		r.parts[c.Task] = c.Progress
	}
	if c.State == run.TaskRetrying || c.State.Final() {
		delete(r.parts, c.Task)
	}
	if !c.State.Final() {
		return
	}
	r.done++
	if c.State == run.TaskFailed {
		r.failed++
	}
}

// share is how many items are done, those under way by their part.
func (r *row) share() float64 {
	sum := float64(r.done)
	for _, percent := range r.parts {
		sum += percent / 100
	}
	return sum
}

// occupy keeps in mind which worker is busy with which task of a row.
func (m *model) occupy(r *row, c run.Change) {
	if c.Worker == "" {
		return
	}
	if !slices.Contains(r.workers, c.Worker) {
		r.workers = append(r.workers, c.Worker)
		slices.Sort(r.workers)
	}
	if m.busy[c.Worker] == nil {
		m.busy[c.Worker] = make(map[string]bool)
	}
	if c.State.Final() || c.State == run.TaskRetrying {
		delete(m.busy[c.Worker], c.Task)
	} else {
		m.busy[c.Worker][c.Task] = true
	}
}

// counts returns how much is done of what is known: each job is one, each
// iterated job as many as it has items.
func (m *model) counts() (done, total int) {
	for _, r := range m.rows {
		if r.flow && !r.iterated {
			continue // its jobs are counted
		}
		n := max(1, r.items)
		total += n
		if r.state.Final() {
			done += n
		} else {
			done += min(r.done, n)
		}
	}
	return done, total
}

// elapsed is the time since the run was created, up to its end.
func (m *model) elapsed(now time.Time) time.Duration {
	return m.since(m.created, m.ended, now)
}

// since is the time from start to end, or to now while end is 0, by the
// clock of the log.
func (m *model) since(start, end int64, now time.Time) time.Duration {
	if start == 0 {
		return 0
	}
	if end == 0 {
		end = now.UnixMilli() - m.skew
	}
	return time.Duration(max(0, end-start)) * time.Millisecond
}

// active returns the rows that run or are about to, in order, without flows
// whose own jobs are shown.
func (m *model) active() []*row {
	return m.pick(func(r *row) bool {
		if r.flow && !r.iterated {
			return false
		}
		return r.state.InFlight() || r.state == run.TaskRetrying || r.wait != nil
	})
}

// waiting returns the rows that wait for others, nearest first.
func (m *model) waiting() []*row {
	return m.pick(func(r *row) bool {
		return r.state == run.TaskPending && (!r.flow || r.iterated || len(m.unfinished(r)) > 0)
	})
}

func (m *model) pick(want func(*row) bool) []*row {
	var out []*row
	for _, p := range m.order {
		if r := m.rows[p]; want(r) {
			out = append(out, r)
		}
	}
	return out
}

// unfinished returns the jobs that a row still waits for; a job of a flow
// that has not started waits for what the flow waits for.
func (m *model) unfinished(r *row) []string {
	var out []string
	for _, w := range r.waits {
		if d := m.rows[w]; d != nil && !d.state.Final() {
			out = append(out, w)
		}
	}
	if parent := m.rows[parentOf(r.path)]; len(out) == 0 && parent != nil && parent.state == run.TaskPending {
		return m.unfinished(parent)
	}
	return out
}

// parentOf returns the path of the job whose flow a job is in, "" for none.
func parentOf(path string) string {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)]
}

// splitItem cuts the path of a task inside an iterated job into the job and
// what follows the item's index.
func splitItem(path string) (job, rest string, ok bool) {
	job, after, ok := strings.Cut(path, "[")
	if !ok {
		return path, "", false
	}
	_, rest, _ = strings.Cut(after, "]")
	return job, rest, true
}
