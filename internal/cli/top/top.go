// Package top is the full-screen view of an installation while it works: runs,
// queues and workers, and the tasks of one run.
package top

import (
	"context"
	"fmt"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// source is where the view gets what it shows, and what it asks for.
type source interface {
	// Page returns the newest runs, those under way first.
	Page(ctx context.Context, f client.Filter, cursor string) (client.RunPage, error)
	// Count counts runs, and those that ended in each of the last minutes.
	Count(ctx context.Context, minutes int) (client.Totals, error)
	Queues(ctx context.Context) ([]client.Queue, error)
	PausedQueues(ctx context.Context) (map[string]client.PausedQueue, error)
	Workers(ctx context.Context) ([]client.Worker, error)
	Get(ctx context.Context, id string) (run.Run, error)
	Tasks(ctx context.Context, id string) ([]run.Task, error)
	LastLines(ctx context.Context, id, task string, count int) ([]client.Line, error)
	Now(ctx context.Context) (time.Time, error)
	Cancel(ctx context.Context, id, by, reason string) error
	Pause(ctx context.Context, id, by, reason string) error
	Resume(ctx context.Context, id, by, reason string) error
	PauseQueue(ctx context.Context, queue, by, reason string) error
	ResumeQueue(ctx context.Context, queue, by, reason string) error
}

const (
	every   = time.Second // how often the view looks again
	minutes = 30          // of throughput
	mostRun = 200
	tail    = 500 // lines of a log

	wishTime = 10 * time.Second // for an orchestrator to answer
)

// Run shows the view until the user ends it. where names the installation, by
// is the name under which things are asked for.
func Run(ctx context.Context, s source, where, by string, in io.Reader, out io.Writer) error {
	m := &model{ctx: ctx, source: s, where: where, by: by, width: 80, height: 24}
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out)).Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("show what runs: %w", err)
	}
	return m.fatal
}

// facts are what was read at one time.
type facts struct {
	now     time.Time
	runs    []run.Run
	totals  client.Totals
	queues  []client.Queue
	paused  map[string]client.PausedQueue
	workers []client.Worker
	// run, tasks and lines are those of the open run and task.
	open  string
	task  string
	run   run.Run
	tasks []run.Task
	lines []client.Line
	err   error
}

// screen is what is looked at.
type screen int

const (
	overview screen = iota
	inRun
	inLog
)

// pane is a part of the overview that has the cursor.
type pane int

const (
	runsPane pane = iota
	queuesPane
	workersPane
	panes
)

// wish is something that waits for a yes.
type wish struct {
	question string
	do       func(ctx context.Context) error
}

type model struct {
	ctx           context.Context //nolint:containedctx // the program's life
	source        source
	where, by     string
	width, height int

	facts   facts
	loaded  bool
	reading bool
	said    string // the outcome of the last wish
	fatal   error

	screen screen
	pane   pane
	cursor [panes]int
	chosen string // the run under the cursor, so that it stays when others come
	open   string // the run that is looked at
	task   int
	path   string // the task that is looked at
	scroll int    // lines from the end of its log
	wish   *wish
	help   bool
}

// Messages to the model.
type (
	tick    time.Time
	outcome struct {
		text string
		err  error
	}
)

// Init begins to read.
func (m *model) Init() tea.Cmd { return m.read() }

func next() tea.Cmd { return tea.Tick(every, func(t time.Time) tea.Msg { return tick(t) }) }

// read gets the facts for the screen.
func (m *model) read() tea.Cmd {
	if m.reading {
		return nil
	}
	m.reading = true
	s, open, path, ctx := m.source, m.open, "", m.ctx
	if m.screen == inLog {
		path = m.path
	}
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		f := facts{open: open, task: path}
		f.err = f.load(ctx, s)
		return f
	}
}

func (f *facts) load(ctx context.Context, s source) (err error) {
	if f.now, err = s.Now(ctx); err != nil {
		return err
	}
	if f.workers, err = s.Workers(ctx); err != nil {
		return err
	}
	if f.open != "" {
		if f.run, err = s.Get(ctx, f.open); err != nil {
			return err
		}
		if f.tasks, err = s.Tasks(ctx, f.open); err != nil {
			return err
		}
		if f.task != "" {
			f.lines, err = s.LastLines(ctx, f.open, f.task, tail)
		}
		return err
	}
	page, err := s.Page(ctx, client.Filter{Limit: mostRun}, "")
	if err != nil {
		return err
	}
	f.runs = page.Runs
	if f.totals, err = s.Count(ctx, minutes); err != nil {
		return err
	}
	if f.queues, err = s.Queues(ctx); err != nil {
		return err
	}
	f.paused, err = s.PausedQueues(ctx)
	return err
}

// Update takes over what happened.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tick:
		return m, m.read()
	case facts:
		m.reading = false
		if msg.open != m.open {
			return m, m.read() // the user went on in the meantime
		}
		if msg.err != nil {
			m.facts.err = msg.err
			return m, next()
		}
		m.facts, m.loaded = msg, true
		m.keep()
		return m, next()
	case outcome:
		m.said = msg.text
		if msg.err != nil {
			m.said = msg.err.Error()
		}
		return m, m.read()
	case tea.KeyPressMsg:
		return m.key(msg.String())
	}
	return m, nil
}

// keep leaves the cursor on what it was on.
func (m *model) keep() {
	if m.screen == overview {
		for i := range m.facts.runs {
			if m.facts.runs[i].ID == m.chosen {
				m.cursor[runsPane] = i
			}
		}
	}
	m.bound()
}

// bound keeps cursors on rows that are there.
func (m *model) bound() {
	for p, n := range [panes]int{len(m.facts.runs), len(m.facts.queues), len(m.facts.workers)} {
		m.cursor[p] = max(0, min(m.cursor[p], n-1))
	}
	if m.screen == overview && len(m.facts.runs) > 0 {
		m.chosen = m.facts.runs[m.cursor[runsPane]].ID
	}
	m.task = max(0, min(m.task, len(m.facts.tasks)-1))
	m.scroll = max(0, min(m.scroll, len(m.facts.lines)-1))
}
