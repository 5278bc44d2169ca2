package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
)

func (a *app) submitCommand() *cobra.Command {
	var g given
	var id, key, how string
	var keyFor time.Duration
	var wait, watch bool
	var limit time.Duration
	c := &cobra.Command{
		Use: "submit FILE|NAME", Short: "Submit a recipe to the orchestrators of a Redis", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if limit > 0 {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, limit)
				defer stop()
			}
			request, bundle, err := a.request(ctx, args[0], g)
			if err != nil {
				return err
			}
			request.ID, request.Key, request.KeyFor = id, key, keyFor
			return a.with(ctx, func(c *client.Client) error {
				return a.submit(ctx, c, request, bundle, wait || watch, map[bool]string{true: how, false: "quiet"}[watch])
			})
		},
	}
	c.Flags().StringArrayVarP(&g.pairs, "input", "i", nil, "an input, as name=value; may be given often")
	c.Flags().StringVarP(&g.file, "inputs", "f", "", "a JSON or YAML file with inputs")
	c.Flags().StringToStringVar(&g.labels, "label", nil, "a label of the run, as name=value; may be given often")
	c.Flags().BoolVar(&g.noCache, "no-cache", false, "use no cached results of other runs")
	c.Flags().StringVar(&id, "id", "", "id of the run; submitting it again gives the same run")
	c.Flags().StringVar(&key, "key", "", "submissions with the same key give the same run, for --key-for after the first")
	c.Flags().DurationVar(&keyFor, "key-for", 24*time.Hour, "how long the key counts")
	c.Flags().BoolVar(&wait, "wait", false, "wait until the run has ended and print its outputs")
	c.Flags().BoolVar(&watch, "watch", false, "as --wait, and show the progress")
	progressFlag(c, &how)
	c.Flags().DurationVar(&limit, "timeout", 0, "stop waiting after this time; the run goes on")
	return c
}

// request makes a submission: of a file that is here with its text, of
// anything else by its name.
func (a *app) request(ctx context.Context, name string, g given) (client.Request, *flow.Bundle, error) {
	r := client.Request{By: who(), NoCache: g.noCache, Labels: g.labels}
	text, err := os.ReadFile(name)
	if err != nil {
		r.Recipe = name
		if r.Inputs, err = g.fromFile(); err != nil {
			return r, nil, err
		}
		if err := g.flags(r.Inputs); err != nil {
			return r, nil, err
		}
		return r, nil, a.uploadFor(ctx, name, r.Inputs)
	}
	a.projectOf(name)
	bundle, err := a.load(name)
	if err != nil {
		return r, nil, err
	}
	r.Definition = string(text)
	if r.Inputs, err = a.gather(bundle.RootFlow(), g); err != nil {
		return r, bundle, err
	}
	return r, bundle, a.uploadInto(ctx, bundle.RootFlow(), r.Inputs)
}

// uploadFor is uploadInto for a recipe that is named; only when this project
// has it is known which of the inputs are files.
func (a *app) uploadFor(ctx context.Context, name string, inputs map[string]any) error {
	l, err := a.loader()
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	if b, diags := l.Load(name); !diags.HasErrors() {
		return a.uploadInto(ctx, b.RootFlow(), inputs)
	}
	return nil
}

// uploadInto makes artifacts of files when the store is one that the workers
// know, too.
func (a *app) uploadInto(ctx context.Context, f *flow.Flow, inputs map[string]any) error {
	if a.settings.Source("ORCHIS_ARTIFACTS") == "default" {
		return nil
	}
	return a.upload(ctx, f, inputs)
}

func (a *app) submit(ctx context.Context, c *client.Client, request client.Request, b *flow.Bundle, wait bool, how string) error {
	id, err := a.accepted(ctx, c, request)
	if err != nil {
		return err
	}
	if !wait {
		a.print("%s\n", id)
		return nil
	}
	a.tell("run %s\n", id)
	if how == "quiet" {
		r, err := c.Wait(ctx, id)
		if err != nil {
			return a.detached(ctx, id, err)
		}
		return a.concluded(ctx, c, r, how)
	}
	if err := a.show(ctx, c, id, b, how); err != nil {
		return a.detached(ctx, id, err)
	}
	return a.conclude(ctx, c, id, how)
}

// acceptedIn is how long a command waits for an orchestrator to accept a
// submission.
const acceptedIn = 30 * time.Second

// accepted submits a request and returns the id of its run.
func (a *app) accepted(ctx context.Context, c *client.Client, request client.Request) (id string, err error) {
	entry, err := c.Submit(ctx, request)
	if err != nil {
		return "", err
	}
	defer a.remark(ctx, c, "the submission")()
	ctx, stop := context.WithTimeoutCause(ctx, acceptedIn, &exit{exitUnreachable, fmt.Errorf("no orchestrator has answered within %v; submission %s stays queued", acceptedIn, entry)})
	defer stop()
	return c.Accepted(ctx, entry)
}
