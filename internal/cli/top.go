package cli

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/internal/cli/top"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/pkg/client"
)

func (a *app) topCommand() *cobra.Command {
	c := a.query("top", "Look at runs, queues and workers on the full screen, live", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		if a.columns == 0 {
			return &exit{exitUsage, errors.New("top needs a terminal; orchis list, queues and workers print the same")}
		}
		return top.Run(ctx, c, redisstore.Masked(a.opened), who(), os.Stdin, os.Stdout)
	})
	c.Long = "The cursor keys move, tab changes between runs, queues and workers, enter opens a run and then the log of a task,\nesc goes back. c cancels a run, p pauses or resumes a run or a queue; both ask first. q ends it."
	c.Example = "  orchis top\n  orchis top --redis redis://queue.example.org:6379"
	return c
}
