package top

import (
	"context"
	"fmt"

	tea "charm.land/bubbletea/v2"

	"github.com/orchis-run/orchis/internal/cli/progress"
	"github.com/orchis-run/orchis/pkg/run"
)

// key does what a key is for.
func (m *model) key(k string) (tea.Model, tea.Cmd) {
	if m.wish != nil {
		return m, m.answer(k)
	}
	m.said = ""
	switch k {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "?":
		m.help = !m.help
	case "esc", "left", "h", "backspace":
		return m, m.back()
	case "enter", "right", "l":
		return m, m.enter()
	case "tab":
		m.pane = (m.pane + 1) % panes
	case "shift+tab":
		m.pane = (m.pane + panes - 1) % panes
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup":
		m.move(-m.page())
	case "pgdown", "space":
		m.move(m.page())
	case "home", "g":
		m.move(-1 << 30)
	case "end", "G":
		m.move(1 << 30)
	case "c":
		m.askCancel()
	case "p":
		m.askPause()
	}
	return m, nil
}

func (m *model) page() int { return max(1, m.height-10) }

func (m *model) move(by int) {
	switch m.screen {
	case overview:
		m.cursor[m.pane] += by
	case inRun:
		m.task += by
	case inLog:
		m.scroll -= by
	}
	if m.screen == overview && m.pane == runsPane {
		m.chosen = ""
	}
	m.bound()
}

func (m *model) enter() tea.Cmd {
	switch {
	case m.screen == overview && m.pane == runsPane && len(m.facts.runs) > 0:
		m.screen, m.task, m.open = inRun, 0, m.facts.runs[m.cursor[runsPane]].ID
		m.facts.run, m.facts.tasks = m.facts.runs[m.cursor[runsPane]], nil
	case m.screen == inRun && len(m.facts.tasks) > 0:
		m.screen, m.scroll, m.path = inLog, 0, m.facts.tasks[m.task].ID
		m.facts.lines = nil
	default:
		return nil
	}
	return m.read()
}

func (m *model) back() tea.Cmd {
	switch {
	case m.help:
		m.help = false
	case m.screen == inLog:
		m.screen, m.path = inRun, ""
	case m.screen == inRun:
		m.screen, m.open = overview, ""
		return m.read()
	}
	return nil
}

// current is the run that a key is about.
func (m *model) current() (run.Run, bool) {
	if m.screen != overview {
		return m.facts.run, m.facts.run.ID != ""
	}
	if m.pane != runsPane || len(m.facts.runs) == 0 {
		return run.Run{}, false
	}
	return m.facts.runs[m.cursor[runsPane]], true
}

func (m *model) askCancel() {
	r, ok := m.current()
	if !ok || r.State.Final() {
		m.said = "only a run that has not ended can be cancelled"
		return
	}
	m.wish = &wish{
		fmt.Sprintf("cancel %s %s?", r.Recipe, progress.ShortID(r.ID)),
		func(ctx context.Context) error { return m.source.Cancel(ctx, r.ID, m.by, "orchis top") },
	}
}

func (m *model) askPause() {
	if m.screen == overview && m.pane == queuesPane && len(m.facts.queues) > 0 {
		name := m.facts.queues[m.cursor[queuesPane]].Queue
		verb, do := "pause", m.source.PauseQueue
		if _, is := m.facts.paused[name]; is {
			verb, do = "resume", m.source.ResumeQueue
		}
		m.wish = &wish{verb + " the queue " + name + "?", func(ctx context.Context) error { return do(ctx, name, m.by, "orchis top") }}
		return
	}
	r, ok := m.current()
	if !ok || r.State.Final() {
		m.said = "only a run that has not ended, or a queue, can be paused"
		return
	}
	verb, do := "pause", m.source.Pause
	if r.State == run.Paused {
		verb, do = "resume", m.source.Resume
	}
	m.wish = &wish{
		fmt.Sprintf("%s %s %s?", verb, r.Recipe, progress.ShortID(r.ID)),
		func(ctx context.Context) error { return do(ctx, r.ID, m.by, "orchis top") },
	}
}

// answer does what was asked about, after a yes.
func (m *model) answer(k string) tea.Cmd {
	w := m.wish
	switch k {
	case "y", "Y", "enter":
		m.wish = nil
		ctx := m.ctx
		return func() tea.Msg {
			ctx, cancel := context.WithTimeout(ctx, wishTime)
			defer cancel()
			return outcome{w.question[:len(w.question)-1] + ": done", w.do(ctx)}
		}
	case "n", "N", "esc", "q", "ctrl+c":
		m.wish = nil
	}
	return nil
}
