package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/orchis-run/orchis/internal/cli/progress"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// show prints the progress of a run until it has ended.
func (a *app) show(ctx context.Context, c *client.Client, id string, b *flow.Bundle, how string) error {
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
	var p progress.Printer
	switch how {
	case "tty":
		p = progress.Terminal(a.err, o)
	case "plain":
		p = progress.Plain(a.err, o)
	case "json":
		p = progress.JSON(a.out, o)
	case "quiet":
		p = progress.Quiet()
	case "auto", "":
		if p = progress.Plain(a.err, o); a.terminal {
			p = progress.Terminal(a.err, o)
		}
	default:
		return &exit{exitUsage, fmt.Errorf("--progress is %q, want auto, tty, plain, json or quiet", how)}
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
	lines, err := c.Lines(ctx, r.ID, r.Error.Task, "", 0)
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return nil
	}
	a.tell("last lines of %s:\n", r.Error.Task)
	for _, l := range lines[max(0, len(lines)-20):] {
		a.tell("  %s\n", l.Text)
	}
	return nil
}

// conclude prints what a run that has ended gave, and returns the error for how
// it ended.
func (a *app) conclude(ctx context.Context, c *client.Client, id, how string) error {
	r, err := c.Run(ctx, id)
	if err != nil {
		return err
	}
	if err := a.result(ctx, c, r, how); err != nil {
		return err
	}
	return ended(r)
}
