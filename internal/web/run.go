package web

import (
	"context"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/internal/graph"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// runPage is the page of a run.
type runPage struct {
	Run     run.Run
	Title   string
	Tab     string
	Tabs    []string
	Retried string // the run from which this one goes on
	Why     []client.Reason
	// What the tabs show; only the one that is open is filled in.
	Graph      template.HTML
	Folded     bool
	Strip      *strip
	Left       string // about how long it will still take
	Timeline   *timeline
	Tasks      []taskRow
	Shown      int // of the tasks
	All        int
	Entries    []entry
	Definition any
	Outputs    []output
	Artifacts  []string
	Drawer     *drawer
	Approvals  []approval
}

// approval is one that waits for somebody.
type approval struct {
	Task, Message string
	By            []string
	Inputs        []field
}

type output struct {
	Task  string
	Value json.RawMessage
}

// entry is a line of the log of events.
type entry struct {
	ID string
	run.Change
}

// taskRow is a task in the table.
type taskRow struct {
	run.Task
	Handler string
	Why     string
}

const (
	mostNodes  = 150 // of a graph before it is folded
	mostRows   = 300 // of a table
	mostEvents = 400
	// mostCommits is how much of a run's log is read.
	mostCommits = 2000
	mostLines   = 1000 // of a log
)

func tabs() []string {
	return []string{"graph", "timeline", "jobs", "events", "definition", "outputs"}
}

func (s *site) run(r *http.Request) (*view, error) {
	ctx, c, q := r.Context(), s.api.Client(), r.URL.Query()
	id := r.PathValue("run")
	rec, err := c.Get(ctx, id)
	if errors.Is(err, client.ErrNotFound) {
		if full, found := c.Resolve(ctx, id); found == nil { // the end of an id is enough
			rec, err = c.Get(ctx, full)
		}
	}
	if errors.Is(err, client.ErrNotFound) {
		return nil, &api.Error{Status: http.StatusNotFound, Code: "notFound", Message: "there is no run " + id + ", or it was deleted"}
	}
	if err != nil {
		return nil, err
	}
	p := &runPage{Run: rec, Title: rec.Recipe, Tabs: tabs(), Tab: q.Get("tab"), Retried: rec.Labels["retryOf"]}
	if !slices.Contains(p.Tabs, p.Tab) {
		p.Tab = "graph"
	}
	m, err := s.model(ctx, rec)
	if err != nil {
		return nil, err
	}
	if m.bundle != nil {
		p.Title = m.bundle.RootFlow().Name
	}
	p.approvals(m)
	if !rec.State.Final() && (rec.Counts.Running+rec.Counts.Queued == 0 || rec.State != run.Running) {
		if why, err := c.Why(ctx, rec.ID, ""); err == nil {
			p.Why = why[:min(len(why), 4)]
		}
	}
	if !rec.State.Final() {
		if p.Left, err = s.left(ctx, m); err != nil {
			return nil, err
		}
	}
	if err := s.fillTab(ctx, r, p, m); err != nil {
		return nil, err
	}
	if job := q.Get("job"); job != "" {
		if p.Drawer, err = s.drawer(ctx, p, m, job); err != nil {
			return nil, err
		}
	}
	v := &view{Title: p.Title, Nav: "runs", Data: p}
	if !rec.State.Final() {
		v.Run, v.Seen = rec.ID, rec.Version
	}
	return v, nil
}

// model is what is known of a run.
type model struct {
	rec    run.Run
	bundle *flow.Bundle
	tasks  map[string]run.Task
	items  map[string]map[run.TaskState]int // of iterated jobs
	log    []client.LogEntry
}

func (s *site) model(ctx context.Context, rec run.Run) (*model, error) {
	c := s.api.Client()
	m := &model{rec: rec, tasks: map[string]run.Task{}, items: map[string]map[run.TaskState]int{}}
	tasks, err := c.Tasks(ctx, rec.ID)
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		m.tasks[t.ID] = t
		if base, rest, ok := splitItem(t.ID); ok && rest == "" {
			if m.items[base] == nil {
				m.items[base] = map[run.TaskState]int{}
			}
			m.items[base][t.State]++
		}
	}
	if m.bundle, err = c.Definition(ctx, rec.ID); errors.Is(err, client.ErrNotFound) {
		err = nil // it was deleted in between
	}
	return m, err
}

// splitItem cuts job[3]/more into job and /more.
func splitItem(path string) (base, rest string, ok bool) {
	at := strings.LastIndexByte(path, '[')
	end := strings.LastIndexByte(path, ']')
	if at < 0 || end < at {
		return path, "", false
	}
	return path[:at], path[end+1:], true
}

// approvals lists what waits for somebody.
func (p *runPage) approvals(m *model) {
	for path, t := range m.tasks {
		if t.State != run.TaskWaiting || t.Wait == nil || t.Wait.Kind != run.WaitApproval {
			continue
		}
		a := approval{Task: path, Message: t.Wait.Message, By: t.Wait.By}
		if j := m.job(path); j != nil && j.Approval != nil {
			for i := range j.Approval.Inputs {
				a.Inputs = append(a.Inputs, fieldOf(&j.Approval.Inputs[i]))
			}
		}
		p.Approvals = append(p.Approvals, a)
	}
	slices.SortFunc(p.Approvals, func(a, b approval) int { return strings.Compare(a.Task, b.Task) })
}

// job finds a task's job in the definition.
func (m *model) job(path string) *flow.Job {
	if m.bundle == nil {
		return nil
	}
	f := m.bundle.RootFlow()
	parts := strings.Split(path, "/")
	for i, part := range parts {
		name, _, _ := strings.Cut(part, "[")
		if owner, on, is := strings.Cut(name, "@"); is {
			hook := hookOf(f, owner, on)
			if hook == nil {
				return nil
			}
			f = m.bundle.Flows[hook.Flow]
			if f == nil {
				return nil
			}
			continue
		}
		at := slices.IndexFunc(f.Jobs, func(j flow.Job) bool { return j.Name == name })
		if at < 0 {
			return nil
		}
		j := &f.Jobs[at]
		if i == len(parts)-1 {
			return j
		}
		if f = m.bundle.Flows[j.Flow]; f == nil {
			return nil
		}
	}
	return nil
}

func hookOf(f *flow.Flow, owner, on string) *flow.Hook {
	if owner != "" {
		at := slices.IndexFunc(f.Jobs, func(j flow.Job) bool { return j.Name == owner })
		if at < 0 {
			return nil
		}
		return f.Jobs[at].OnFailure
	}
	at := slices.IndexFunc(f.Hooks, func(h flow.Hook) bool { return string(h.On) == on })
	if at < 0 {
		return nil
	}
	return &f.Hooks[at]
}

func (s *site) fillTab(ctx context.Context, r *http.Request, p *runPage, m *model) error {
	c, q := s.api.Client(), r.URL.Query()
	var err error
	switch p.Tab {
	case "graph":
		if m.bundle != nil {
			expand := jobsOf(m.bundle) <= 60 && q.Get("fold") != "1"
			g := graph.New(m.bundle, graph.Options{Expand: expand, Tasks: m.tasks})
			p.Folded = !expand
			m.decorate(g)
			open := map[string]bool{}
			for _, key := range q["open"] {
				open[key] = true
			}
			p.Graph = picture(g.Fold(mostNodes, open), &links{q: q, job: q.Get("job"), model: m})
		}
		p.Strip, err = s.strip(ctx, m)
	case "timeline":
		if m.log, err = s.history(ctx, &p.Run); err == nil {
			p.Timeline = m.timeline(s.now(ctx))
		}
	case "jobs":
		p.Tasks, p.All = m.rows(q.Get("state"), q.Get("q"))
		p.Shown = min(len(p.Tasks), mostRows)
		p.Tasks = p.Tasks[:p.Shown]
	case "events":
		if m.log, err = s.history(ctx, &p.Run); err == nil {
			p.Entries = entries(m.log)
		}
	case "definition":
		p.Definition = m.bundle
	case "outputs":
		var all map[string]json.RawMessage
		if all, err = c.Outputs(ctx, p.Run.ID); err == nil {
			p.Outputs = outputs(all)
			p.Artifacts, err = c.Artifacts(ctx, p.Run.ID)
		}
	}
	return err
}

// decorate gives iterated jobs the states of their items.
func (m *model) decorate(g *graph.Graph) {
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if items := m.items[n.Path]; items != nil {
			n.States = items
			rest := n.Items
			for _, k := range items {
				rest -= k
			}
			if rest > 0 && !n.State.Final() {
				items[run.TaskPending] += rest
			}
		}
		if n.Inner != nil {
			m.decorate(n.Inner)
		}
	}
}

// history reads the log of a run, the newest part when it is very long.
func (s *site) history(ctx context.Context, r *run.Run) ([]client.LogEntry, error) {
	after := strconv.FormatInt(max(0, r.Version-mostCommits), 10)
	return s.api.Client().History(ctx, r.ID, after, mostCommits)
}

func entries(log []client.LogEntry) []entry {
	var out []entry
	for _, e := range slices.Backward(log) {
		for _, ch := range slices.Backward(e.Changes) {
			if out = append(out, entry{e.ID, ch}); len(out) == mostEvents {
				return out
			}
		}
	}
	return out
}

func outputs(all map[string]json.RawMessage) []output {
	var out []output
	for task, v := range all {
		if _, _, item := splitItem(task); !item {
			out = append(out, output{task, v})
		}
	}
	slices.SortFunc(out, func(a, b output) int { return strings.Compare(a.Task, b.Task) })
	return out[:min(len(out), mostRows)]
}

// rows are the tasks that match, with what does them.
func (m *model) rows(state, text string) (rows []taskRow, all int) {
	for path, t := range m.tasks {
		if state != "" && string(t.State) != state || text != "" && !strings.Contains(path, text) {
			continue
		}
		t.ID = path
		row := taskRow{Task: t, Why: t.Reason}
		if err := t.Why(); err != nil {
			row.Why = err.Error()
		}
		if j := m.job(path); j != nil {
			row.Handler = j.Handler
			if j.Flow != "" {
				row.Handler = "flow " + j.Flow
			}
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b taskRow) int { return natural(a.ID, b.ID) })
	return rows, len(m.tasks)
}
