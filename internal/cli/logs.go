package cli

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/orchis-run/orchis/internal/cli/progress"
	"github.com/orchis-run/orchis/pkg/client"
)

// logReader shows the lines of a run's tasks.
type logReader struct {
	a     *app
	id    string
	only  string
	o     logsOptions
	since int64
	lines *client.LineReader
	last  map[string]client.Line
	width int
}

// logs shows the lines of a run, or of one task. With --follow it goes on until
// the run has ended: it looks at the run's state before each read, so that the
// read after the end finds all that was written.
func (a *app) logs(ctx context.Context, c *client.Client, id, only string, o logsOptions) error {
	l := &logReader{a: a, id: id, only: only, o: o, last: map[string]client.Line{}}
	var err error
	if l.since, err = sinceOf(o.since, time.Now()); err != nil {
		return err
	}
	if l.lines, err = c.ReadLines(ctx, id, client.LineOptions{Wants: l.wants, Tail: o.lines}); err != nil {
		return err
	}
	if err := l.known(ctx, c); err != nil {
		return err
	}
	for {
		r, err := c.Get(ctx, id)
		if err != nil {
			return stopped(ctx, err)
		}
		block := time.Duration(0)
		if o.follow && !r.State.Final() {
			block = 500 * time.Millisecond // so that tasks which start to write are noticed
		}
		lines, err := l.lines.Next(ctx, block)
		if shown := l.print(lines); shown != nil {
			return shown
		}
		if err != nil {
			return stopped(ctx, err)
		}
		if len(lines) == 0 && block == 0 {
			return nil
		}
	}
}

// known checks that the run has the task that was named.
func (l *logReader) known(ctx context.Context, c *client.Client) error {
	if l.only == "" || l.lines.Has() {
		return nil
	}
	if b, err := c.Definition(ctx, l.id); err == nil {
		job, _, _ := strings.Cut(l.only, "/")
		for _, j := range b.RootFlow().Jobs {
			if j.Name == job {
				return nil
			}
		}
	}
	return &exit{exitNotFound, fmt.Errorf("run %s has no task %q", l.id, l.only)}
}

// wants reports whether the lines of a task are shown: it is the task that was
// named, an item of it, or below it.
func (l *logReader) wants(task string) bool {
	rest, is := strings.CutPrefix(task, l.only)
	return is && (l.only == "" || rest == "" || rest[0] == '[' || rest[0] == '/')
}

// print shows lines. The column of tasks is as wide as the longest name so far.
func (l *logReader) print(lines []client.Line) error {
	for _, line := range lines {
		l.width = max(l.width, min(24, lipgloss.Width(line.Task)))
	}
	for _, line := range lines {
		if err := l.show(line); err != nil {
			return err
		}
	}
	return nil
}

// show prints a line, if it is one of those that are asked for.
func (l *logReader) show(line client.Line) error {
	before, a := l.last[line.Task], l.a
	l.last[line.Task] = line
	attempt := l.o.attempt
	if attempt < 0 {
		attempt = l.lines.Attempt(line.Task)
	}
	if attempt > 0 && line.Attempt != attempt || line.At < l.since {
		return nil
	}
	if a.structured() {
		return a.jsonLine(l.id, line)
	}
	if l.o.plain {
		a.print("%s\n", progress.Colours(line.Text))
		return nil
	}
	if before.Attempt != line.Attempt {
		before.Number = 0
		if line.Attempt > 1 {
			l.line(line, progress.Faint(fmt.Sprintf("attempt %d", line.Attempt)))
		}
	}
	if gap := line.Number - before.Number - 1; gap > 0 && l.o.lines == 0 {
		l.line(line, progress.Faint(fmt.Sprintf("... %d lines are no longer kept", gap)))
	}
	l.line(line, progress.Colours(line.Text))
	return nil
}

func (l *logReader) line(line client.Line, text string) {
	name := progress.Clean(line.Task)
	space := strings.Repeat(" ", max(0, l.width-lipgloss.Width(name)))
	l.a.print("%s %s%s %s %s\n", progress.Faint(l.a.at(line.At).Format("15:04:05")), colourOf(line.Task).Render(name), space, progress.Faint("│"), text)
}

// colourOf gives each task a colour of its own, the same every time.
func colourOf(task string) lipgloss.Style {
	h := fnv.New32a()
	_, _ = h.Write([]byte(task))
	palette := []string{"6", "3", "5", "2", "4", "14", "11", "13", "10", "12"}
	return lipgloss.NewStyle().Foreground(lipgloss.Color(palette[h.Sum32()%uint32(len(palette))]))
}

// sinceOf reads from when on lines are wanted.
func sinceOf(text string, now time.Time) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d.Abs()).UnixMilli(), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UnixMilli(), nil
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			day := time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), at.Second(), 0, now.Location())
			if day.After(now) {
				day = day.AddDate(0, 0, -1)
			}
			return day.UnixMilli(), nil
		}
	}
	return 0, &exit{exitUsage, fmt.Errorf("--since is %q, want a duration as 10m, or a time as 2026-01-31T12:00:00Z or 15:04", text)}
}
