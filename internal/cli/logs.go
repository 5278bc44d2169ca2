package cli

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/orchis-run/orchis/internal/cli/progress"
	"github.com/orchis-run/orchis/pkg/client"
)

// logReader shows the lines of a run's tasks.
type logReader struct {
	a      *app
	c      *client.Client
	id     string
	only   string
	o      logsOptions
	since  int64
	after  map[string]string // by task: the entry that was read last
	last   map[string]client.Line
	newest map[string]int // attempts, where only the newest counts
	width  int
}

func (a *app) logs(ctx context.Context, c *client.Client, id, only string, o logsOptions) error {
	l := &logReader{a: a, c: c, id: id, only: only, o: o, after: map[string]string{}, last: map[string]client.Line{}, newest: map[string]int{}}
	var err error
	if l.since, err = sinceOf(o.since, time.Now()); err != nil {
		return err
	}
	if err := l.known(ctx); err != nil {
		return err
	}
	for first := true; ; first = false {
		r, err := c.Run(ctx, id)
		if err != nil {
			return stopped(ctx, err)
		}
		n, err := l.read(ctx, first, o.follow && !r.State.Final())
		if err != nil {
			return stopped(ctx, err)
		}
		if n == 0 && (!o.follow || r.State.Final()) {
			return nil
		}
	}
}

// known checks that the run has the task that is asked for.
func (l *logReader) known(ctx context.Context) error {
	tasks, err := l.c.Tasks(ctx, l.id)
	if err != nil {
		return err
	}
	found := l.only == ""
	for _, t := range tasks {
		l.newest[t.ID] = t.Attempt
		found = found || l.wants(t.ID)
	}
	if b, err := l.c.Definition(ctx, l.id); err == nil && !found {
		job, _, _ := strings.Cut(l.only, "/")
		for _, j := range b.RootFlow().Jobs {
			found = found || j.Name == job
		}
	}
	if !found {
		return &exit{exitNotFound, fmt.Errorf("run %s has no task %q", l.id, l.only)}
	}
	return nil
}

// wants reports whether the lines of a task are asked for: it is the one that
// was named, an item of it, or below it.
func (l *logReader) wants(task string) bool {
	rest, is := strings.CutPrefix(task, l.only)
	return is && (l.only == "" || rest == "" || rest[0] == '[' || rest[0] == '/')
}

// read shows new lines and returns how many came; it waits for them if asked to.
func (l *logReader) read(ctx context.Context, first, wait bool) (int, error) {
	wrote, err := l.c.Wrote(ctx, l.id)
	if err != nil {
		return 0, err
	}
	for _, task := range wrote {
		if _, known := l.after[task]; known || !l.wants(task) {
			continue
		}
		l.after[task] = ""
		l.width = max(l.width, min(24, lipgloss.Width(task)))
	}
	var lines []client.Line
	if first && l.o.lines > 0 {
		for task := range l.after {
			some, err := l.c.LastLines(ctx, l.id, task, l.o.lines)
			if err != nil {
				return 0, err
			}
			lines = append(lines, some...)
		}
	} else {
		block := time.Duration(0)
		if wait {
			block = 500 * time.Millisecond // so that tasks which begin to write are seen
		}
		if len(l.after) == 0 {
			return 0, pause(ctx, block)
		}
		got, err := l.c.MoreLines(ctx, l.id, l.after, block)
		if err != nil {
			return 0, err
		}
		for _, some := range got {
			lines = append(lines, some...)
		}
	}
	slices.SortStableFunc(lines, func(x, y client.Line) int {
		return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.Task, y.Task))
	})
	for _, line := range lines {
		if err := l.show(line); err != nil {
			return 0, err
		}
	}
	for _, line := range lines {
		if newer(line.ID, l.after[line.Task]) {
			l.after[line.Task] = line.ID
		}
	}
	return len(lines), nil
}

// newer compares the ids of entries.
func newer(id, than string) bool {
	part := func(s string) (string, string) { ms, n, _ := strings.Cut(s, "-"); return ms, n }
	a, b := part(id)
	x, y := part(than)
	return cmp.Or(cmp.Compare(len(a), len(x)), cmp.Compare(a, x), cmp.Compare(len(b), len(y)), cmp.Compare(b, y)) > 0
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// show prints a line, if it is one of those that are asked for.
func (l *logReader) show(line client.Line) error {
	before, a := l.last[line.Task], l.a
	l.last[line.Task] = line
	attempt := l.o.attempt
	if attempt < 0 {
		attempt = l.newest[line.Task]
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
