package web

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// strip stands below the graph: when the jobs ran, what is being written, and
// who is at work. It is made of what the page has read anyway, and of the end of
// one log.
type strip struct {
	Rows    []span
	Task    string // whose log it is
	Lines   []client.Line
	Workers []bench
	Slots   int
	More    int // workers that are not shown
}

// bench is a worker with the tasks of this run that it has.
type bench struct {
	Name        string
	Busy, Slots int
	Tasks       []string
}

const (
	stripRows  = 14
	stripLines = 40
)

func (s *site) strip(ctx context.Context, m *model) (*strip, error) {
	now := s.now(ctx)
	out := &strip{Rows: m.summary(now), Task: m.telling()}
	var err error
	if out.Task != "" {
		if out.Lines, err = s.api.Client().LastLines(ctx, m.rec.ID, out.Task, stripLines); err != nil {
			return nil, err
		}
	}
	workers, err := s.api.Client().Workers(ctx)
	if err != nil {
		return nil, err
	}
	has := map[string][]string{}
	for path, t := range m.tasks {
		if t.State == run.TaskRunning && t.Worker != "" {
			has[t.Worker] = append(has[t.Worker], path)
		}
	}
	for _, w := range alive(workers, now) {
		tasks := has[w.Name]
		slices.SortFunc(tasks, natural)
		out.Slots += w.Slots
		out.Workers = append(out.Workers, bench{w.Name, max(w.Busy, len(tasks)), w.Slots, tasks})
	}
	slices.SortFunc(out.Workers, func(a, b bench) int {
		return cmp.Or(cmp.Compare(len(b.Tasks), len(a.Tasks)), natural(a.Name, b.Name))
	})
	out.More = max(0, len(out.Workers)-stripRows)
	out.Workers = out.Workers[:min(len(out.Workers), stripRows)]
	return out, nil
}

// summary is when the jobs of the top level waited and ran, in the order in
// which they began. Of many it is those that run, and those that took longest.
func (m *model) summary(now time.Time) []span {
	if m.bundle == nil {
		return nil
	}
	at := m.scale(now)
	var rows []span
	for _, j := range m.bundle.RootFlow().Jobs {
		t, ok := m.tasks[j.Name]
		begun := cmp.Or(t.First, t.Queued, t.Started)
		if !ok || begun == 0 {
			continue
		}
		a := try{Number: t.Attempt, Queued: begun, Started: t.Started, Ended: t.Ended, State: t.State, Worker: t.Worker}
		rows = append(rows, span{Task: j.Name, State: t.State, Y: int(begun - m.rec.Created), Bars: bars(a, m.end(now), at), Took: took(cmp.Or(t.Started, begun), t.Ended, now), length: cmp.Or(t.Ended, now.UnixMilli()) - cmp.Or(t.Started, begun)})
	}
	if len(rows) > stripRows {
		slices.SortStableFunc(rows, func(a, b span) int {
			return cmp.Or(cmp.Compare(live(b), live(a)), cmp.Compare(b.length, a.length))
		})
		rows = rows[:stripRows]
	}
	slices.SortStableFunc(rows, func(a, b span) int { return cmp.Compare(a.Y, b.Y) })
	return rows
}

// live is 1 for a task that runs.
func live(s span) int {
	if s.State == run.TaskRunning {
		return 1
	}
	return 0
}

// telling is the task whose log says most: one that is running, else one that
// failed, else the last one that wrote something.
func (m *model) telling() string {
	best, rank, at := "", -1, int64(0)
	for path, t := range m.tasks {
		if !t.Lines {
			continue
		}
		r := 0
		switch t.State {
		case run.TaskRunning:
			r = 2
		case run.TaskFailed, run.TaskRetrying:
			r = 1
		}
		when := cmp.Or(t.Ended, t.Started)
		if r > rank || r == rank && (when > at || when == at && path < best) {
			best, rank, at = path, r, when
		}
	}
	return best
}
