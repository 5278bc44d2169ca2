package progress

import (
	"fmt"
	"io"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/orchis-run/orchis/internal/graph"
	"github.com/orchis-run/orchis/pkg/run"
)

// Control sequences of the live region. It is painted in place, without an
// alternate screen, so that what scrolled up stays.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clearBelow = "\x1b[J"
	beginFrame = "\x1b[?2026h" // the terminal shows the frame at once
	endFrame   = "\x1b[?2026l"
)

// Terminal shows finished jobs as lines that scroll up, and below them a
// live region: a summary, the jobs that run and those that wait.
func Terminal(w io.Writer, o Options) Printer {
	return &terminal{out: w, options: o, model: newModel(o.Bundle), shown: make(map[string]bool)}
}

type terminal struct {
	out     io.Writer
	options Options
	model   *model
	shown   map[string]bool // rows that scrolled up already
	height  int             // lines of the region on the screen
	begun   bool
}

func (t *terminal) Changes(now time.Time, changes []run.Change) error {
	var finished []string
	for _, c := range changes {
		r := t.model.apply(c, now)
		if r != nil && r.state.Final() && !t.shown[r.path] {
			t.shown[r.path] = true
			finished = append(finished, t.finished(r, now))
		}
	}
	return t.paint(finished, t.region(now))
}

func (t *terminal) Tick(now time.Time) error { return t.paint(nil, t.region(now)) }

func (t *terminal) Close(now time.Time) error {
	last := t.summary(now)
	if err := t.paint([]string{last}, nil); err != nil {
		return err
	}
	_, err := io.WriteString(t.out, showCursor)
	return err
}

// paint replaces the region by finished lines, which stay, and a new region.
func (t *terminal) paint(finished, region []string) error {
	columns, _ := t.options.Size()
	var b strings.Builder
	b.WriteString(beginFrame)
	if !t.begun {
		t.begun = true
		b.WriteString(hideCursor)
	}
	if t.height > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", t.height)
	}
	b.WriteString("\r" + clearBelow)
	fit := lipgloss.NewStyle().MaxWidth(max(20, columns)).Inline(true)
	for _, l := range append(finished, region...) {
		b.WriteString(fit.Render(l) + "\n")
	}
	b.WriteString(endFrame)
	t.height = len(region)
	if _, err := io.WriteString(t.out, b.String()); err != nil {
		return fmt.Errorf("paint progress: %w", err)
	}
	return nil
}

// region returns the lines of the live region: at most two thirds of the
// screen.
func (t *terminal) region(now time.Time) []string {
	_, rows := t.options.Size()
	room := max(3, rows*2/3-1)
	lines := []string{t.summary(now)}
	active, waiting := t.model.active(), t.model.waiting()
	width := nameWidth(append(active[:len(active):len(active)], waiting...))
	hidden := 0
	for _, r := range active {
		if len(lines) >= room {
			hidden++
			continue
		}
		lines = append(lines, t.active(r, width, now))
	}
	for _, r := range waiting {
		if len(lines) >= min(room, len(active)+5) {
			hidden++
			continue
		}
		lines = append(lines, t.waiting(r, width))
	}
	if hidden > 0 {
		lines = append(lines, faint(fmt.Sprintf("   and %s more", plural(hidden, "job"))))
	}
	return lines
}

// summary is the line about the run as a whole.
func (t *terminal) summary(now time.Time) string {
	m := t.model
	done, total := m.counts()
	head := accent(" " + t.options.Recipe)
	if m.state.Final() {
		head = runIcon(m.state) + " " + bold(t.options.Recipe)
	}
	s := fmt.Sprintf("%s  %s  %s %d/%d  %s", head, faint(ShortID(t.options.Run)),
		runStyle(m.state).Render(bar(done, total, 19)), done, total, Duration(m.elapsed(now)))
	busy := 0
	for _, tasks := range m.busy {
		if len(tasks) > 0 {
			busy++
		}
	}
	switch {
	case m.state.Final():
		s += "  " + runStyle(m.state).Render(string(m.state))
	case busy > 0:
		s += "   " + plural(busy, "worker")
	}
	return s
}

// finished is the line of a job that ended.
func (t *terminal) finished(r *row, now time.Time) string {
	took := Duration(t.model.since(r.started, r.ended, now))
	if r.state != run.TaskSucceeded && r.state != run.TaskFailed {
		took = ""
	}
	s := fmt.Sprintf(" %s %s  %6s", taskIcon(r.state), pad(r.path, 24), took)
	if names := workerNames(r.workers); names != "" {
		s += "  " + faint(names)
	}
	if r.iterated && r.state == run.TaskSucceeded {
		s += "  " + plural(r.items, "item")
		if r.failed > 0 {
			s += fmt.Sprintf(", %d failed", r.failed)
		}
	}
	if r.attempt > 1 {
		s += faint(fmt.Sprintf("  attempt %d", r.attempt))
	}
	switch {
	case r.err != nil:
		s += "  " + taskStyle(r.state).Render(oneLine(errorText(r.err)))
	case r.reason != "":
		s += "  " + faint(oneLine(r.reason))
	}
	return s
}

// active is the line of a job that runs, is queued or waits for a retry.
func (t *terminal) active(r *row, width int, now time.Time) string {
	m := t.model
	s := fmt.Sprintf(" %s %s  ", taskIcon(r.state), pad(r.path, width))
	if r.state == run.TaskRetrying {
		s += fmt.Sprintf("attempt %d", r.attempt+1)
		if r.attempts > 0 {
			s += fmt.Sprintf("/%d", max(r.attempts, r.attempt+1))
		}
		left := time.Duration(r.due-now.UnixMilli()+m.skew) * time.Millisecond
		s += ", retry in " + Duration(max(0, left))
		if r.err != nil {
			s += "  " + faint(oneLine(errorText(r.err)))
		}
		return s
	}
	if r.wait != nil {
		return s + oneLine(waitText(r.wait, now.UnixMilli()-m.skew))
	}
	took := Duration(m.since(r.started, 0, now))
	switch {
	case r.items > 0:
		s += fmt.Sprintf("%6s  ▕%s▏ %d/%d", took, bar(r.done, r.items, 10), r.done, r.items)
	case r.state == run.TaskQueued:
		s += fmt.Sprintf("%6s  %s", took, faint("queued"))
	case r.percent > 0:
		s += fmt.Sprintf("%6s  ▕%s▏ %.0f%%", took, bar(int(r.percent*10), 1000, 10), r.percent)
	default:
		s += fmt.Sprintf("%6s", took)
	}
	if r.attempt > 1 {
		s += fmt.Sprintf("  attempt %d", r.attempt)
	}
	if names := workerNames(r.workers); names != "" && r.state == run.TaskRunning {
		s += "  " + faint(names)
	}
	if r.note != "" {
		s += "  " + oneLine(r.note)
	}
	return s
}

// waiting is the line of a job that cannot start yet.
func (t *terminal) waiting(r *row, width int) string {
	s := fmt.Sprintf(" %s %s", taskIcon(r.state), pad(r.path, width))
	if names := t.model.unfinished(r); len(names) > 0 {
		s += "  " + faint("waits for "+strings.Join(names, ", "))
	}
	return s
}

func nameWidth(rows []*row) int {
	width := 8
	for _, r := range rows {
		width = max(width, lipgloss.Width(r.path))
	}
	return min(width, 40)
}

// pad fills a name up with spaces; a longer one keeps its end.
func pad(s string, width int) string {
	n := lipgloss.Width(s)
	if r := []rune(s); n > width && len(r) == n {
		return "…" + string(r[n-width+1:])
	}
	return s + strings.Repeat(" ", max(0, width-n))
}

func taskIcon(s run.TaskState) string { return taskStyle(s).Render(graph.Icon(s)) }

func runIcon(s run.State) string {
	switch s {
	case run.Succeeded:
		return runStyle(s).Render("✔")
	case run.Failed:
		return runStyle(s).Render("✘")
	case run.Cancelled:
		return runStyle(s).Render("◼")
	}
	return runStyle(s).Render("●")
}

func taskStyle(s run.TaskState) lipgloss.Style {
	style := lipgloss.NewStyle()
	switch s {
	case run.TaskSucceeded, run.TaskCached:
		return style.Foreground(lipgloss.Color("2"))
	case run.TaskRunning:
		return style.Foreground(lipgloss.Color("4"))
	case run.TaskQueued, run.TaskRetrying, run.TaskWaiting, run.TaskDelayed:
		return style.Foreground(lipgloss.Color("3"))
	case run.TaskFailed:
		return style.Foreground(lipgloss.Color("1"))
	}
	return style.Faint(true)
}

func runStyle(s run.State) lipgloss.Style {
	style := lipgloss.NewStyle()
	switch s {
	case run.Succeeded:
		return style.Foreground(lipgloss.Color("2"))
	case run.Failed:
		return style.Foreground(lipgloss.Color("1"))
	case run.Running:
		return style.Foreground(lipgloss.Color("4"))
	}
	return style.Foreground(lipgloss.Color("3"))
}

func accent(s string) string {
	return lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("#a78bfa")).Render(s)
}
func bold(s string) string  { return lipgloss.NewStyle().Bold(true).Render(s) }
func faint(s string) string { return lipgloss.NewStyle().Faint(true).Render(s) }
