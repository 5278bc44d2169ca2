package progress

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

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
	painted []string        // the region that is on the screen below them
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
	if err := t.paint([]string{t.summary(now)}, nil); err != nil {
		return err
	}
	_, err := io.WriteString(t.out, showCursor)
	return err
}

// Aside writes a line above the live region; what the terminal has written
// there itself, as ^C, goes with the old one.
func (t *terminal) Aside(now time.Time, text string) error {
	return t.paint([]string{Faint(oneLine(text))}, t.region(now))
}

// paint replaces the region by finished lines, which stay, and a new region.
func (t *terminal) paint(finished, region []string) error {
	columns, rows := t.options.Size()
	columns = max(20, columns)
	for _, lines := range [][]string{finished, region} {
		for i, l := range lines {
			lines[i] = ansi.Truncate(l, columns-1, "…")
		}
	}
	if len(finished) == 0 && t.begun && slices.Equal(region, t.painted) {
		return nil
	}
	var b strings.Builder
	b.WriteString(beginFrame)
	if !t.begun {
		t.begun = true
		b.WriteString(hideCursor)
	}
	// A terminal that became narrower has broken the lines that are on it.
	height := 0
	for _, l := range t.painted {
		height += max(1, (lipgloss.Width(l)+columns-1)/columns)
	}
	if height = min(height, rows-1); height > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", height)
	}
	b.WriteString("\r" + clearBelow)
	for _, lines := range [][]string{finished, region} {
		for _, l := range lines {
			b.WriteString(l + "\n")
		}
	}
	b.WriteString(endFrame)
	t.painted = region
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
	width := t.width()
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

// width is the column of names: the same for all lines, so that what scrolls up
// stays under what is above it.
func (t *terminal) width() int {
	columns, _ := t.options.Size()
	width := 12
	for _, p := range t.model.order {
		width = max(width, lipgloss.Width(p))
	}
	return min(width, max(12, min(32, columns/3)))
}

// summary is the line about the run as a whole.
func (t *terminal) summary(now time.Time) string {
	m := t.model
	done, total := m.counts()
	head := " " + accent(t.options.Recipe)
	if m.state.Final() {
		head = " " + runIcon(m.state) + " " + bold(t.options.Recipe)
	}
	columns, _ := t.options.Size()
	s := fmt.Sprintf("%s  %s  %s %d/%d  %s", head, faint(ShortID(t.options.Run)),
		runStyle(m.state).Render(bar(done, total, max(8, min(24, columns/4)))), done, total, Duration(m.elapsed(now)))
	busy, failed := 0, 0
	for _, tasks := range m.busy {
		if len(tasks) > 0 {
			busy++
		}
	}
	for _, r := range m.rows {
		if r.state == run.TaskFailed && (!r.flow || r.iterated) {
			failed++
		}
	}
	if failed > 0 && m.state != run.Failed {
		s += "  " + runStyle(run.Failed).Render(fmt.Sprintf("%d failed", failed))
	}
	switch {
	case m.state.Final(), m.state == run.Paused:
		s += "  " + runStyle(m.state).Render(string(m.state))
	case busy > 0:
		s += "  " + faint(plural(busy, "worker"))
	}
	return s
}

// finished is the line of a job that ended.
func (t *terminal) finished(r *row, now time.Time) string {
	took := Duration(t.model.since(r.started, r.ended, now))
	if r.state != run.TaskSucceeded && r.state != run.TaskFailed {
		took = ""
	}
	s := fmt.Sprintf(" %s %s  %6s", taskIcon(r.state), pad(r.path, t.width()), took)
	switch {
	case r.err != nil:
		s += "  " + taskStyle(r.state).Render(oneLine(errorText(r.err)))
	case r.reason != "":
		s += "  " + faint(oneLine(r.reason))
	}
	if r.iterated && r.state == run.TaskSucceeded {
		s += "  " + plural(r.items, "item")
		if r.failed > 0 {
			s += fmt.Sprintf(", %d failed", r.failed)
		}
	}
	if names := workerNames(r.workers); names != "" {
		s += "  " + faint(names)
	}
	if r.attempt > 1 {
		s += faint(fmt.Sprintf("  attempt %d", r.attempt))
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
	s += fmt.Sprintf("%6s  ", Duration(m.since(r.started, 0, now)))
	switch {
	case r.items > 0:
		s += fmt.Sprintf("▕%s▏ %d/%d", bar(int(1000*r.share()), 1000*r.items, 10), r.done, r.items)
	case r.state == run.TaskQueued:
		s += faint("queued")
	case r.percent > 0:
		s += fmt.Sprintf("▕%s▏ %.0f%%", bar(int(r.percent*10), 1000, 10), r.percent)
	}
	if r.attempt > 1 {
		s += fmt.Sprintf("  attempt %d", r.attempt)
	}
	if r.note != "" {
		s += "  " + oneLine(r.note)
	}
	if names := workerNames(r.workers); names != "" && r.state == run.TaskRunning {
		s += "  " + faint(names)
	}
	return s
}

// waiting is the line of a job that cannot start yet.
func (t *terminal) waiting(r *row, width int) string {
	s := fmt.Sprintf(" %s %s", taskIcon(r.state), faint(pad(r.path, width)))
	if names := t.model.unfinished(r); len(names) > 0 {
		s += "          " + faint("waits for "+strings.Join(names, ", "))
	}
	return s
}

// pad fills a name up with spaces; a longer one keeps its end.
func pad(s string, width int) string {
	n := lipgloss.Width(s)
	if n > width {
		s = ansi.TruncateLeft(s, n-width+1, "…")
		n = lipgloss.Width(s)
	}
	return s + strings.Repeat(" ", max(0, width-n))
}
