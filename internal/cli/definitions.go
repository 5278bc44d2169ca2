package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/internal/daemon"
	"github.com/orchis-run/orchis/internal/graph"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/job"
)

func (a *app) validateCommand() *cobra.Command {
	var workers bool
	var file string
	c := &cobra.Command{Use: "validate [FILE|NAME...]", Short: "Check recipes and flows; all of the project without names", RunE: func(cmd *cobra.Command, args []string) error {
		l, err := a.loader()
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		known, err := a.contracts(cmd.Context(), l, workers, file)
		if err != nil {
			return err
		}
		l = l.With(known)
		load := l.Load
		if len(args) == 0 {
			all, err := l.List()
			if err != nil {
				return err
			}
			for _, s := range all {
				args = append(args, s.Path)
			}
			load = l.LoadLocal
		}
		var diags flow.Diagnostics
		seen := map[flow.Diagnostic]bool{}
		for _, name := range args {
			_, some := load(name)
			for _, d := range some {
				if !seen[d] {
					seen[d] = true
					diags = append(diags, d)
				}
			}
		}
		if err := a.told(diags); err != nil {
			return err
		}
		if !a.structured() {
			a.print("%d valid\n", len(args))
		}
		return nil
	}}
	c.Flags().BoolVar(&workers, "workers", false, "ask the workers that are alive what they can do")
	c.Flags().StringVar(&file, "contracts", "", "a file that orchis contracts wrote")
	return c
}

func (a *app) graphCommand() *cobra.Command {
	var format string
	var expand bool
	c := &cobra.Command{Use: "graph FILE|NAME", Short: "Draw a recipe or flow", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		a.projectOf(args[0])
		b, err := a.load(args[0])
		if err != nil {
			return err
		}
		g := graph.New(b, graph.Options{Expand: expand})
		draw, ok := map[string]func(io.Writer, *graph.Graph) error{
			"ascii":   func(w io.Writer, g *graph.Graph) error { return graph.Text(w, g, 100) },
			"mermaid": graph.Mermaid, "dot": graph.DOT, "svg": graph.SVG,
		}[format]
		if !ok {
			return &exit{exitUsage, fmt.Errorf("--format is %q, want ascii, mermaid, dot or svg", format)}
		}
		return draw(a.out, g)
	}}
	c.Flags().StringVar(&format, "format", "ascii", "ascii, mermaid, dot or svg")
	c.Flags().BoolVar(&expand, "expand", false, "draw nested flows too")
	return c
}

func (a *app) planCommand() *cobra.Command {
	var g given
	var against string
	c := &cobra.Command{Use: "plan FILE|NAME", Short: "Show the inputs, the order and who could do each job", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		a.projectOf(args[0])
		if against != "" {
			return a.planDiff(cmd.Context(), args[0], against)
		}
		b, err := a.load(args[0])
		if err != nil {
			return err
		}
		inputs, err := a.gather(b.RootFlow(), g)
		if err != nil {
			return err
		}
		jobs, err := daemon.Jobs(a.settings)
		if err != nil {
			return &exit{exitUsage, err}
		}
		if a.structured() {
			return a.json(map[string]any{"inputs": inputs, "order": b.RootFlow().Layers(), "handlers": served(b, jobs)})
		}
		text, err := json.Marshal(inputs)
		if err != nil {
			return err
		}
		a.print("inputs  %s\n", text)
		for n, layer := range b.RootFlow().Layers() {
			a.print("%2d  %s\n", n+1, strings.Join(layer, "  "))
		}
		for _, use := range b.Handlers() {
			by := "missing"
			if _, ok := jobs.Lookup(use.Handler); ok {
				by = "here"
			}
			a.print("    %s %s: %s (%s)\n", use.Flow, use.Job, use.Handler, by)
		}
		return nil
	}}
	c.Flags().StringArrayVarP(&g.pairs, "input", "i", nil, "an input, as name=value; may be given often")
	c.Flags().StringVarP(&g.file, "inputs", "f", "", "a JSON or YAML file with inputs")
	c.Flags().StringVar(&against, "diff", "", "show what changed against another file, or a revision of git")
	return c
}

// service says who does a job.
type service struct {
	Flow    string `json:"flow"`
	Job     string `json:"job"`
	Handler string `json:"handler"`
	Here    bool   `json:"here"`
}

func served(b *flow.Bundle, jobs *job.Registry) []service {
	var out []service
	for _, use := range b.Handlers() {
		_, here := jobs.Lookup(use.Handler)
		out = append(out, service{use.Flow, use.Job, use.Handler, here})
	}
	return out
}
