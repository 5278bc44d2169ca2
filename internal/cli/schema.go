package cli

import (
	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/pkg/flow"
)

// schemaCommand prints what editors want to know of the language.
func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema recipe|flow|contract", Short: "Print the JSON Schema of recipes, flows or contracts of handlers, for editors", Args: cobra.ExactArgs(1),
		ValidArgs: []string{"recipe", "flow", "contract"},
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := flow.Schema(flow.Kind(args[0]))
			if err != nil {
				return &exit{exitUsage, err}
			}
			a.print("%s", text)
			return nil
		},
	}
}
