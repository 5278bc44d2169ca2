package web

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// timeline is when which task waited and ran. Its bars are in thousandths of
// the whole.
type timeline struct {
	Rows  []span
	More  int
	Ticks []tick
	Total string
}

// span is a row: a task with its attempts.
type span struct {
	Task     string
	State    run.TaskState
	Depth    int
	Y        int
	Critical bool
	Whole    bool // it is made of other tasks
	Bars     []barOf
	Took     string
	length   int64 // in milliseconds
}

// barOf is a piece of a row: a wait, or a try that ended in a state.
type barOf struct {
	Wait     bool
	State    string
	X, Width float64
	Title    string
}

type tick struct {
	X     float64
	Label string
}

// try is an attempt as the log tells of it.
type try struct {
	Number                 int
	Queued, Started, Ended int64
	State                  run.TaskState
	Worker                 string
	Error                  *run.Error
	Reason                 string
}

// tries gathers the attempts of all tasks from the log.
func (m *model) tries() map[string][]try {
	out := map[string][]try{}
	for _, e := range m.log {
		for _, ch := range e.Changes {
			if ch.Task == "" || ch.State == "" {
				continue
			}
			list := out[ch.Task]
			last := len(list) - 1
			if ch.State == run.TaskQueued || last < 0 || list[last].Ended > 0 && !ch.State.Final() {
				list = append(list, try{Number: ch.Attempt, Queued: ch.At, State: ch.State})
				last = len(list) - 1
			}
			a := &list[last]
			if a.Ended > 0 {
				continue
			}
			a.Number, a.State = max(a.Number, ch.Attempt), ch.State
			a.Started, a.Worker = cmp.Or(ch.Started, a.Started), cmp.Or(ch.Worker, a.Worker)
			if ch.State == run.TaskRunning && a.Started == 0 {
				a.Started = ch.At
			}
			if ch.State.Final() || ch.State == run.TaskRetrying {
				a.Ended, a.Error, a.Reason = ch.At, ch.Error, ch.Reason
				if ch.State == run.TaskRetrying { // this try failed; another one will be made
					a.State = run.TaskFailed
				}
			}
			out[ch.Task] = list
		}
	}
	return out
}

const rowHeight = 22

func (m *model) timeline(now time.Time) *timeline {
	t := &timeline{}
	to := m.end(now)
	whole := float64(max(1, to-m.rec.Created))
	at := m.scale(now)
	critical := m.critical()
	all := m.tries()
	var paths []string
	for path := range m.tasks {
		if _, there := all[path]; there {
			paths = append(paths, path)
		}
	}
	slices.SortFunc(paths, func(a, b string) int {
		return cmp.Or(cmp.Compare(all[a][0].Queued, all[b][0].Queued), natural(a, b))
	})
	t.More = max(0, len(paths)-mostRows)
	for i, path := range paths[:min(len(paths), mostRows)] {
		rec := m.tasks[path]
		row := span{Task: path, State: rec.State, Depth: strings.Count(path, "/"), Y: i * rowHeight, Critical: critical[path], Whole: rec.Worker == "" && rec.Queue == ""}
		for _, a := range all[path] {
			row.Bars = append(row.Bars, bars(a, to, at)...)
		}
		row.Took = took(cmp.Or(rec.Started, rec.Queued), rec.Ended, now)
		t.Rows = append(t.Rows, row)
	}
	t.Total = length(time.Duration(whole) * time.Millisecond)
	for i := range 6 {
		t.Ticks = append(t.Ticks, tick{float64(i) * 200, length(time.Duration(whole*float64(i)/5) * time.Millisecond)})
	}
	return t
}

// end is when the run ended, or now.
func (m *model) end(now time.Time) int64 { return cmp.Or(m.rec.Ended, now.UnixMilli()) }

// scale gives times of the run as thousandths of its length.
func (m *model) scale(now time.Time) func(ms int64) float64 {
	from := m.rec.Created
	whole := float64(max(1, m.end(now)-from))
	return func(ms int64) float64 { return min(1000, max(0, 1000*float64(ms-from)/whole)) }
}

// bars are the wait and the work of a try.
func bars(a try, to int64, at func(int64) float64) []barOf {
	end := cmp.Or(a.Ended, to)
	start := cmp.Or(a.Started, end)
	var out []barOf
	if w := at(start) - at(a.Queued); w > 0.2 {
		out = append(out, barOf{Wait: true, State: "queued", X: at(a.Queued), Width: w, Title: "waited " + length(durationOf(start-a.Queued))})
	}
	if a.Started > 0 || a.Ended > 0 {
		state := string(a.State)
		title := state + " after " + length(durationOf(end-start))
		if a.Worker != "" {
			title += " on " + a.Worker
		}
		out = append(out, barOf{State: state, X: at(start), Width: max(1.5, at(end)-at(start)), Title: title})
	}
	return out
}

// critical marks the tasks of the top level that determined when the run ended:
// from the one that ended last, back over the one each waited for longest.
func (m *model) critical() map[string]bool {
	out := map[string]bool{}
	if m.bundle == nil {
		return out
	}
	f := m.bundle.RootFlow()
	at := ""
	for _, j := range f.Jobs {
		if t, ok := m.tasks[j.Name]; ok && (at == "" || t.Ended > m.tasks[at].Ended) {
			at = j.Name
		}
	}
	for at != "" && !out[at] {
		out[at] = true
		j := m.job(at)
		at = ""
		if j == nil {
			break
		}
		for _, d := range j.Deps {
			if t, ok := m.tasks[d.Job]; ok && (at == "" || t.Ended > m.tasks[at].Ended) {
				at = d.Job
			}
		}
	}
	return out
}

// now is the clock of Redis, by which all times of runs are.
func (s *site) now(ctx context.Context) time.Time {
	now, err := s.api.Client().Now(ctx)
	if err != nil {
		return time.Now()
	}
	return now
}

// drawer tells all of one task.
type drawer struct {
	Task    run.Task
	Path    string
	Job     any
	Handler string
	Tries   []try
	Why     []client.Reason
	Result  json.RawMessage
	Lines   []client.Line
	Items   []segment
	Signal  string // that it waits for
}

func (s *site) drawer(ctx context.Context, p *runPage, m *model, path string) (*drawer, error) {
	c := s.api.Client()
	d := &drawer{Path: path, Task: m.tasks[path]}
	if d.Task.State == "" {
		d.Task.State = run.TaskPending
	}
	if j := m.job(path); j != nil {
		d.Job, d.Handler = j, j.Handler
	}
	var err error
	if m.log == nil {
		if m.log, err = s.history(ctx, &p.Run); err != nil {
			return nil, err
		}
	}
	d.Tries = m.tries()[path]
	if d.Why, err = c.Why(ctx, p.Run.ID, path); err != nil {
		d.Why = nil // there is nothing to say of it
	}
	d.Why = d.Why[:min(len(d.Why), 5)]
	if d.Task.State.HasResult() {
		all, err := c.Outputs(ctx, p.Run.ID)
		if err != nil {
			return nil, err
		}
		d.Result = all[path]
	}
	if w := d.Task.Wait; w != nil && d.Task.State == run.TaskWaiting && w.Kind == run.WaitSignal {
		d.Signal = w.Key
	}
	d.Items = segments(m.items[path])
	if d.Task.Attempt > 0 {
		d.Lines, err = c.LastLines(ctx, p.Run.ID, path, mostLines)
	}
	return d, err
}

// natural orders paths so that item 2 comes before item 10.
func natural(a, b string) int {
	for a != "" && b != "" {
		if digit(a[0]) && digit(b[0]) {
			x, restA := leading(a)
			y, restB := leading(b)
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
				return c
			}
			a, b = restA, restB
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func leading(s string) (number, rest string) {
	i := 0
	for i < len(s) && digit(s[i]) {
		i++
	}
	return strings.TrimLeft(s[:i], "0"), s[i:]
}
