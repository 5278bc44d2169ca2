package cli

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/internal/cli/progress"
	"github.com/orchis-run/orchis/pkg/client"
)

func (a *app) watchCommand() *cobra.Command {
	var how string
	c := a.queryRun("watch RUN", "Show the progress of a run until it ends", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, id string, _ []string) error {
		b, err := c.Definition(ctx, id)
		if err != nil {
			b = nil // the run is shown without what has not begun
		}
		if err := a.show(ctx, c, id, b, how); err != nil {
			return a.detached(ctx, id, err)
		}
		return a.conclude(ctx, c, id, how)
	})
	c.Long = "Jobs that have ended scroll up; below them stand those that run and those that wait.\nCtrl-C ends the watching, not the run. The exit code is that of the run: 0, 1 (failed) or 6 (cancelled)."
	c.Example = "  orchis watch 019aa3f0\n  orchis watch 019aa3f0 --progress plain"
	progressFlag(c, &how)
	return c
}

func progressFlag(c *cobra.Command, how *string) {
	c.Flags().StringVar(how, "progress", "auto", "auto, tty, plain, json or quiet")
	_ = c.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions([]string{"auto", "tty", "plain", "json", "quiet"}, cobra.ShellCompDirectiveNoFileComp))
}

// detached says how to look at a run again that nobody looks at any longer.
func (a *app) detached(ctx context.Context, id string, err error) error {
	if ctx.Err() == nil {
		return err
	}
	a.tell("the run goes on: orchis watch %s\n", id)
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return &exit{code: exitTimeout}
	}
	return &exit{code: exitInterrupted}
}

func (a *app) eventsCommand() *cobra.Command {
	var follow bool
	c := a.queryRun("events RUN", "Show what happened to a run, from its beginning", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, id string, _ []string) error {
		r, err := c.Get(ctx, id)
		if err != nil {
			return err
		}
		p := progress.Plain(a.out, progress.Options{Run: id, Recipe: r.Recipe, Clock: func(ms int64) string { return a.at(ms).Format("15:04:05.000") }})
		if a.structured() {
			p = progress.JSON(a.out, progress.Options{Run: id, Recipe: r.Recipe})
		}
		for after := ""; ; {
			block := time.Duration(0)
			if follow {
				block = time.Second
			}
			entries, err := c.Log(ctx, id, after, 500, block)
			if err != nil {
				return stopped(ctx, err)
			}
			for _, e := range entries {
				after = e.ID
				if err := p.Changes(time.Now(), e.Changes); err != nil {
					return err
				}
				for _, ch := range e.Changes {
					follow = follow && !ch.Run.Final()
				}
			}
			if len(entries) > 0 {
				continue
			}
			if !follow {
				return nil
			}
			if over, err := c.Over(ctx, id, after); over || errors.Is(err, client.ErrNotFound) {
				return err
			}
		}
	})
	c.Long = "One line for each change: the run's states, the jobs' starts, retries and ends, and who asked for what.\nWith -o json each change is a line of JSON with the run's id, at (milliseconds), task, state and what belongs to it."
	c.Example = "  orchis events 019aa3f0 -f\n  orchis events 019aa3f0 -o json | jq -r 'select(.state == \"failed\") | .task'"
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the run has ended")
	return c
}

// stopped is nil when the user ended what goes on until it is ended.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// logsOptions say which lines are shown.
type logsOptions struct {
	follow  bool
	since   string
	attempt int
	lines   int
	plain   bool // without time and task
}

func (a *app) logsCommand() *cobra.Command {
	var o logsOptions
	c := a.queryRun("logs RUN [TASK]", "Show what the tasks of a run wrote, on whichever worker", cobra.RangeArgs(1, 2), func(ctx context.Context, c *client.Client, id string, args []string) error {
		return a.logs(ctx, c, id, strings.Join(args, ""), o)
	})
	c.Long = "The lines of all tasks in the order of their times, each task in a colour of its own. A TASK is a job, or an item\nof one as in split[3]; a job means its items too, and a job that starts a flow all jobs below it.\nThe newest MiB of each attempt is kept. With -o json each line is a line of JSON."
	c.Example = "  orchis logs 019aa3f0 -f\n  orchis logs 019aa3f0 'encode[1]' --attempt 2\n  orchis logs 019aa3f0 --since 5m"
	f := c.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on until the run has ended")
	f.StringVar(&o.since, "since", "", "only lines from then on: a duration as 10m, or a time as 2026-01-31T12:00:00Z or 15:04")
	f.IntVar(&o.attempt, "attempt", 0, "only lines of this attempt; -1 is the newest of each task")
	f.IntVar(&o.lines, "tail", 0, "only the newest lines of each task, this many")
	f.BoolVar(&o.plain, "no-prefix", false, "the lines as they are, without time and task")
	return c
}

// logLine is a line for programs.
type logLine struct {
	Run     string `json:"runId"`
	Task    string `json:"task"`
	Attempt int    `json:"attempt"`
	Source  string `json:"source"`
	At      int64  `json:"at"`
	Number  int    `json:"number,omitempty"`
	Text    string `json:"text"`
}

func (a *app) jsonLine(id string, l client.Line) error {
	raw, err := json.Marshal(logLine{id, l.Task, l.Attempt, l.Source, l.At, l.Number, l.Text})
	if err == nil {
		a.print("%s\n", raw)
	}
	return err
}
