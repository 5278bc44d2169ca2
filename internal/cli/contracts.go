package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/internal/daemon"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
)

// contracts gathers what is known of handlers: the built-in ones and jobs/, or
// what live workers or a file say.
func (a *app) contracts(ctx context.Context, l *flow.Loader, workers bool, file string) (flow.Contracts, error) {
	known := flow.Contracts{Handlers: map[string]flow.Contract{}}
	switch {
	case file != "":
		raw, err := os.ReadFile(file)
		if err != nil {
			return known, &exit{exitUsage, err}
		}
		if err := json.Unmarshal(raw, &known.Handlers); err != nil {
			return known, &exit{exitInvalid, fmt.Errorf("%s: %w", file, err)}
		}
		known.Complete = true
	case workers:
		err := a.with(ctx, func(c *client.Client) (err error) {
			known.Handlers, err = live(ctx, c)
			return err
		})
		if err != nil {
			return known, err
		}
		known.Complete = true
	default:
		jobs, err := daemon.Jobs(a.settings)
		if err != nil {
			return known, &exit{exitUsage, err}
		}
		for _, c := range jobs.Contracts() {
			known.Handlers[c.Name] = flow.Contract{Handler: c.Name, Description: c.Description, Version: c.Version, Inputs: flow.ShapeOf(c.Inputs), Outputs: flow.ShapeOf(c.Outputs)}
		}
	}
	own, diags := l.FileContracts()
	for name, c := range own {
		if _, there := known.Handlers[name]; there || !known.Complete {
			known.Handlers[name] = c
		}
	}
	return known, a.told(diags)
}

// live is what the workers that are alive can do.
func live(ctx context.Context, c *client.Client) (map[string]flow.Contract, error) {
	out := map[string]flow.Contract{}
	now, err := c.Now(ctx)
	if err != nil {
		return out, err
	}
	all, err := c.Workers(ctx)
	for _, w := range all {
		if !w.Alive(now) {
			continue
		}
		for _, h := range w.Handlers {
			out[h.Name] = flow.Contract{Handler: h.Name, Description: h.Description, Version: h.Version, Inputs: flow.ShapeOf(h.Inputs), Outputs: flow.ShapeOf(h.Outputs)}
		}
	}
	return out, err
}

func (a *app) contractsCommand() *cobra.Command {
	return a.query("contracts", "Print what the handlers of live workers take and give, for validate --contracts", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		found, err := live(ctx, c)
		if err != nil {
			return err
		}
		l, err := a.loader()
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		own, diags := l.FileContracts()
		maps.Copy(found, own)
		if err := a.told(diags); err != nil {
			return err
		}
		return a.json(found)
	})
}
