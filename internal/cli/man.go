package cli

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/orchis-run/orchis/internal/daemon"
)

// manCommand writes the manual pages of all commands.
func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the manual pages of all commands into a folder", Args: cobra.ExactArgs(1),
		Example: "  orchis man ~/.local/share/man/man1 && man orchis-run",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o750); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			date := time.Unix(0, 0).UTC() // the same pages at all times
			return doc.GenManTree(root, &doc.GenManHeader{Title: "ORCHIS", Section: "1", Source: "orchis " + daemon.Version(), Date: &date}, args[0])
		},
	}
}
