package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/pkg/client"
)

// answerIn is how long a command waits for an orchestrator to answer.
const answerIn = 10 * time.Second

// wishes are the flags of what is asked of runs: who asks, and why.
func (f *chosen) wishes(c *cobra.Command, states ...string) {
	c.Flags().StringVar(&f.reason, "reason", "", "why, for the run's log")
	c.Flags().StringVar(&f.by, "as", who(), "who asks for it")
	f.flags(c.Flags(), states...)
}

// each does a thing for every run that is meant; what fails is told, and the
// rest goes on.
func (a *app) each(ctx context.Context, c *client.Client, f *chosen, args []string, do func(ctx context.Context, id string) error) error {
	ids, err := f.runs(ctx, c, args)
	if err != nil {
		return err
	}
	failed := 0
	for _, id := range ids {
		err := a.soon(ctx, c, func(ctx context.Context) error { return do(ctx, id) })
		if err != nil && len(ids) == 1 {
			return refused(err)
		}
		if err != nil {
			failed++
			a.tell("%s: %v\n", id, err)
			continue
		}
		a.print("%s\n", id)
	}
	if failed > 0 {
		return &exit{exitFailed, fmt.Errorf("%d of %d runs: not done", failed, len(ids))}
	}
	return nil
}

// refused gives what an orchestrator refused its exit code.
func refused(err error) error {
	var no *client.RejectedError
	if errors.As(err, &no) {
		return &exit{exitFailed, errors.New(no.Reason)}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &exit{exitUnreachable, err}
	}
	return err
}

func (a *app) cancelCommand() *cobra.Command {
	var f chosen
	c := a.query("cancel RUN...", "Cancel runs", cobra.ArbitraryArgs, func(ctx context.Context, c *client.Client, args []string) error {
		return a.each(ctx, c, &f, args, func(ctx context.Context, id string) error { return c.Cancel(ctx, id, f.by, f.reason) })
	})
	f.wishes(c, "queued", "running", "paused")
	return c
}

func (a *app) pauseCommand() *cobra.Command {
	var f chosen
	c := a.query("pause RUN... | --queue QUEUE", "Let runs start nothing more, or workers take nothing from a queue", cobra.ArbitraryArgs, func(ctx context.Context, c *client.Client, args []string) error {
		if f.queue != "" {
			return a.queueWish(ctx, c, args, &f, c.PauseQueue)
		}
		return a.each(ctx, c, &f, args, func(ctx context.Context, id string) error { return c.Pause(ctx, id, f.by, f.reason) })
	})
	f.wishes(c, "running")
	c.Flags().StringVar(&f.queue, "queue", "", "a queue instead of runs")
	return c
}

func (a *app) resumeCommand() *cobra.Command {
	var f chosen
	c := a.query("resume RUN... | --queue QUEUE", "Undo pause", cobra.ArbitraryArgs, func(ctx context.Context, c *client.Client, args []string) error {
		if f.queue != "" {
			return a.queueWish(ctx, c, args, &f, c.ResumeQueue)
		}
		return a.each(ctx, c, &f, args, func(ctx context.Context, id string) error { return c.Resume(ctx, id, f.by, f.reason) })
	})
	f.wishes(c, "paused")
	c.Flags().StringVar(&f.queue, "queue", "", "a queue instead of runs")
	return c
}

func (a *app) queueWish(ctx context.Context, c *client.Client, args []string, f *chosen, do func(ctx context.Context, queue, by, reason string) error) error {
	if len(args) > 0 || f.all {
		return &exit{exitUsage, errors.New("give runs, or --queue, not both")}
	}
	if err := a.soon(ctx, c, func(ctx context.Context) error { return do(ctx, f.queue, f.by, f.reason) }); err != nil {
		return refused(err)
	}
	a.print("%s\n", f.queue)
	return nil
}

func (a *app) approveCommand() *cobra.Command {
	var by, comment string
	var g given
	c := a.queryRun("approve RUN [JOB]", "Say yes to an approval", cobra.RangeArgs(1, 2), func(ctx context.Context, c *client.Client, id string, rest []string) error {
		inputs, err := g.fromFile()
		if err != nil {
			return err
		}
		if err := g.flags(inputs); err != nil {
			return err
		}
		return a.answer(ctx, c, func(ctx context.Context) error { return c.Approve(ctx, id, first(rest), by, comment, inputs) })
	})
	answerFlags(c, &by, &comment)
	c.Flags().StringArrayVarP(&g.pairs, "input", "i", nil, "an input of the approval: name=value")
	c.Flags().StringVarP(&g.file, "file", "f", "", "inputs from a YAML or JSON file")
	return c
}

func (a *app) rejectCommand() *cobra.Command {
	var by, comment string
	c := a.queryRun("reject RUN [JOB]", "Say no to an approval", cobra.RangeArgs(1, 2), func(ctx context.Context, c *client.Client, id string, rest []string) error {
		return a.answer(ctx, c, func(ctx context.Context) error { return c.Reject(ctx, id, first(rest), by, comment) })
	})
	answerFlags(c, &by, &comment)
	return c
}

func (a *app) signalCommand() *cobra.Command {
	var by, data, jobPath string
	c := a.queryRun("signal RUN NAME", "Send a signal to a run", cobra.ExactArgs(2), func(ctx context.Context, c *client.Client, id string, rest []string) error {
		w := client.Control{Op: "signal", Run: id, Signal: rest[0], Job: jobPath, By: by}
		if data != "" {
			if !json.Valid([]byte(data)) {
				return &exit{exitUsage, fmt.Errorf("--data %.60q is not JSON: quote texts, as in '\"yes\"'", data)}
			}
			w.Data = json.RawMessage(data)
		}
		return a.answer(ctx, c, func(ctx context.Context) error { return c.Do(ctx, w) })
	})
	c.Flags().StringVar(&by, "as", who(), "who sends it")
	c.Flags().StringVar(&data, "data", "", "what comes with it: JSON")
	c.Flags().StringVar(&jobPath, "job", "", "for this task only")
	return c
}

func answerFlags(c *cobra.Command, by, comment *string) {
	c.Flags().StringVar(by, "as", who(), "who answers")
	c.Flags().StringVar(comment, "comment", "", "what to say with it")
}

func (a *app) answer(ctx context.Context, c *client.Client, do func(ctx context.Context) error) error {
	return refused(a.soon(ctx, c, do))
}

// soon does a thing that an orchestrator must answer within a short time, and
// says so when the answer is late.
func (a *app) soon(ctx context.Context, c *client.Client, do func(ctx context.Context) error) error {
	defer a.remark(ctx, c, "the request")()
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	return do(ctx)
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
