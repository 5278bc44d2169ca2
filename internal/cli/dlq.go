package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/pkg/client"
)

// dlqCommand looks after dead letters.
func (a *app) dlqCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "dlq", Short: "Look after dead letters: tasks whose workers kept going away, entries nobody can read",
	}
	c.AddCommand(a.dlqList(), a.dlqShow(), a.dlqRequeue(), a.dlqPurge())
	return c
}

func (a *app) dlqList() *cobra.Command {
	var limit int
	c := a.query("list", "List dead letters, the newest first", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		all, err := c.DeadLetters(ctx, limit)
		if err != nil || a.structured() {
			return firstError(err, func() error { return a.json(all) })
		}
		var rows [][]string
		for _, d := range all {
			what := d.Run
			if d.Stream != "" {
				what = d.Stream
			}
			rows = append(rows, []string{d.ID, what, d.Task, d.Handler, strconv.Itoa(d.Attempt), a.clock(d.At), d.Error.Error()})
		}
		a.table("ID RUN TASK HANDLER ATTEMPT WHEN WHY", rows)
		return nil
	})
	c.Aliases = []string{"ls"}
	c.Flags().IntVar(&limit, "limit", 50, "at most this many")
	return c
}

func (a *app) dlqShow() *cobra.Command {
	return a.query("show ID", "Show a dead letter as JSON", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		d, err := c.DeadLetter(ctx, args[0])
		if err != nil {
			return err
		}
		return a.json(d)
	})
}

func (a *app) dlqRequeue() *cobra.Command {
	c := a.query("requeue ID...", "Submit the runs of dead letters again, and delete the letters", cobra.MinimumNArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		for _, id := range args {
			runID, err := a.requeue(ctx, c, id)
			if err != nil {
				return err
			}
			a.print("%s\n", runID)
		}
		return nil
	})
	c.Long = "The run of each letter is submitted again as a new run, with the same definition and inputs.\nIt takes over what the old one has done, as with orchis retry, and carries the label retryOf.\nA run that has not ended is run again as a whole, with the label rerunOf. The new id is printed."
	return c
}

// requeue submits the run of a dead letter again and returns the id of the new
// run.
func (a *app) requeue(ctx context.Context, c *client.Client, id string) (runID string, err error) {
	defer a.remark(ctx, c, "the submission")()
	ctx, stop := context.WithTimeoutCause(ctx, acceptedIn, &exit{exitUnreachable, fmt.Errorf("no orchestrator has answered within %v; the submission stays queued", acceptedIn)})
	defer stop()
	return c.Requeue(ctx, id, who())
}

func (a *app) dlqPurge() *cobra.Command {
	var all bool
	c := a.query("purge [ID...]", "Delete dead letters", cobra.ArbitraryArgs, func(ctx context.Context, c *client.Client, args []string) error {
		if all == (len(args) > 0) {
			return &exit{exitUsage, errors.New("name the letters to delete, or give --all")}
		}
		n, err := c.PurgeDead(ctx, args...)
		if err != nil {
			return err
		}
		a.print("%d deleted\n", n)
		return nil
	})
	c.Flags().BoolVar(&all, "all", false, "all of them")
	return c
}

// rerunCommand submits a run again.
func (a *app) rerunCommand() *cobra.Command {
	return a.queryRun("rerun RUN", "Submit a run again, with the same definition and inputs", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, id string, _ []string) error {
		return a.submit(ctx, c, client.Request{From: id, By: who()}, nil, false, "quiet")
	})
}
