package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/pkg/flow"
)

// lintCommand gives advice beyond what is an error.
func (a *app) lintCommand() *cobra.Command {
	var strict bool
	c := &cobra.Command{Use: "lint [FILE|NAME...]", Short: "Give advice about recipes and flows, all of the project by default", RunE: func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			a.projectOf(args[0])
		}
		l, err := a.loader()
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		var all flow.Diagnostics
		if len(args) == 0 {
			list, err := l.List()
			if err != nil {
				return err
			}
			for i := range list {
				_, diags := l.LoadLocal(list[i].Path)
				if !diags.HasErrors() {
					diags = l.LintLocal(list[i].Path)
				}
				all = append(all, diags...)
			}
		}
		for _, name := range args {
			all = append(all, l.Lint(name)...)
		}
		if a.structured() {
			if err := a.json(all); err != nil {
				return err
			}
		} else {
			all.Render(a.out, flow.RenderOptions{Color: a.terminal && os.Getenv("NO_COLOR") == ""})
		}
		switch {
		case all.HasErrors():
			return &exit{code: exitInvalid}
		case strict && len(all) > 0:
			return &exit{code: exitFailed}
		}
		return nil
	}}
	c.Flags().BoolVar(&strict, "strict", false, "exit with 1 when there is any advice")
	return c
}
