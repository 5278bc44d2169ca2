package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/charmbracelet/colorprofile"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/orchis-run/orchis/internal/cli/progress"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// printer returns what shows the progress of a run, in the way that is wanted.
func (a *app) printer(id string, b *flow.Bundle, how string) (progress.Printer, error) {
	o := progress.Options{Run: id, Bundle: b, Size: func() (int, int) {
		w, h, err := term.GetSize(int(os.Stderr.Fd()))
		if err != nil {
			return 100, 30
		}
		return w, h
	}}
	if b != nil {
		o.Recipe = b.RootFlow().Name
	}
	switch how {
	case "tty":
		if w, is := a.err.(*colorprofile.Writer); is && w.Profile < colorprofile.ASCII {
			w.Profile = colorprofile.ASCII // it is no terminal, and is to be used as one
		}
		return progress.Terminal(a.err, o), nil
	case "plain":
		return progress.Plain(a.err, o), nil
	case "json":
		return progress.JSON(a.out, o), nil
	case "quiet":
		return progress.Quiet(), nil
	case "auto", "":
		if a.terminal {
			return progress.Terminal(a.err, o), nil
		}
		return progress.Plain(a.err, o), nil
	default:
		return nil, &exit{exitUsage, fmt.Errorf("--progress is %q, want auto, tty, plain, json or quiet", how)}
	}
}

// show prints the progress of a run until it has ended.
func (a *app) show(ctx context.Context, c *client.Client, id string, b *flow.Bundle, how string) error {
	p, err := a.printer(id, b, how)
	if err != nil {
		return err
	}
	changes := make(chan []run.Change)
	var g errgroup.Group
	g.Go(func() error {
		defer close(changes)
		return c.Watch(ctx, id, func(ch []run.Change) error {
			select {
			case changes <- ch:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for open := true; open; {
		var err error
		var ch []run.Change
		select {
		case ch, open = <-changes:
			if len(ch) > 0 {
				err = p.Changes(time.Now(), ch)
			}
		case now := <-tick.C:
			err = p.Tick(now)
		case text := <-a.asides:
			if err = p.Aside(time.Now(), text); how == "quiet" || how == "json" {
				a.tell("%s\n", text)
			}
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(p.Close(time.Now()), g.Wait())
}

// result prints what a run gave, or why it failed.
func (a *app) result(ctx context.Context, c *client.Client, r run.Run, how string) error {
	if how == "json" {
		line, err := json.Marshal(map[string]any{"runId": r.ID, "result": r})
		a.print("%s\n", line)
		return err
	}
	if len(r.Outputs) > 0 {
		a.print("%s\n", pretty(r.Outputs))
	}
	if r.State != run.Failed || r.Error == nil {
		return nil
	}
	a.tell("run %s failed: %s\n", r.ID, r.Error.Error())
	if r.Error.Task == "" {
		return nil
	}
	return a.lastLines(ctx, c, r)
}

// lastLines shows the end of what the task wrote in which a run failed, and says
// how to see all of it.
func (a *app) lastLines(ctx context.Context, c *client.Client, r run.Run) error {
	const most = 20
	task := r.Error.Task
	lines, err := c.LastLines(ctx, r.ID, task, 5000)
	if err != nil || len(lines) == 0 {
		return err
	}
	a.tell("last lines of %s:\n", task)
	for _, l := range lines[max(0, len(lines)-most):] {
		a.tell("  %s\n", progress.Colours(l.Text))
	}
	if !a.alone {
		a.tell("all of them: orchis logs %s %s\n", r.ID, quoted(task))
		return nil
	}
	if len(lines) <= most {
		return nil
	}
	path, err := keepLast(lines)
	if err != nil {
		a.tell("the %d lines before them are gone: %v\n", len(lines)-most, err)
		return nil
	}
	a.tell("all %d of them: %s\n", len(lines), path)
	return nil
}

// keepLast writes lines of a run that nobody else keeps to a file, in place of
// those of the run before.
func keepLast(lines []client.Line) (path string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "orchis")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, "failed-*")
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.Text + "\n")
	}
	_, err = f.WriteString(text.String())
	path = filepath.Join(dir, "failed.log")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return path, nil
}

// quoted is a word as the shell reads it.
func quoted(word string) string {
	if strings.ContainsAny(word, "[]*?$ '\"\\&;|<>()`!#~") {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// conclude prints what a run that has ended gave, and returns the error for how
// it ended.
func (a *app) conclude(ctx context.Context, c *client.Client, id, how string) error {
	r, err := c.Get(ctx, id)
	if err != nil {
		return err
	}
	return a.concluded(ctx, c, r, how)
}

// concluded is conclude for a record that was read already.
func (a *app) concluded(ctx context.Context, c *client.Client, r run.Run, how string) error {
	if err := a.result(ctx, c, r, how); err != nil {
		return err
	}
	return ended(r)
}
