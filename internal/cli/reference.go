package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// referenceCommand prints docs/cli.md.
func (a *app) referenceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reference", Short: "Print the reference of all commands", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			reference(a.out, cmd.Root())
			return nil
		},
	}
}

const preface = `# Commands

<!-- Written by make docs. Change the commands, not this page. -->

Settings come from flags, then the environment, then a file ` + "`.env`" + `, then their defaults; [.env-example](../.env-example) lists them, and ` + "`orchis config`" + ` says what is in effect and where it comes from. What is for programs goes to standard output, what is for people about it to standard error. A run may be named by its id, by the beginning or the end of it (four letters and more), or by the entry id that ` + "`XADD`" + ` printed.

| exit code | |
|---|---|
| 0 | all went well |
| 1 | the run failed, or what was checked is not right |
| 2 | the command line or a setting is wrong |
| 3 | the recipe or the submission is not valid |
| 4 | there is no such run or recipe |
| 5 | Redis or an orchestrator does not answer |
| 6 | the run was cancelled |
| 124 | ` + "`--timeout`" + ` ran out |
| 130 | Ctrl-C |

`

// reference writes a page about a command and all below it.
func reference(w io.Writer, root *cobra.Command) {
	_, _ = io.WriteString(w, preface)
	_, _ = io.WriteString(w, "Flags of all commands:\n\n")
	flagTable(w, root.PersistentFlags())
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		if !c.IsAvailableCommand() || c.Name() == "help" {
			return
		}
		if c.Name() == "completion" { // each of its commands explains its shell
			section(w, "orchis completion", &cobra.Command{Use: "orchis completion bash|zsh|fish|powershell", Short: "Print a script with which a shell completes commands; orchis completion SHELL --help says where it goes"})
			return
		}
		if c.Runnable() {
			section(w, c.CommandPath(), c)
		}
		for _, sub := range c.Commands() {
			each(sub)
		}
	}
	for _, c := range root.Commands() {
		each(c)
	}
}

// section writes what there is to say of one command.
func section(w io.Writer, title string, c *cobra.Command) {
	_, _ = fmt.Fprintf(w, "\n## %s\n\n", title)
	text := c.Short
	if c.Long != "" {
		text = c.Long
	}
	if last := text[len(text)-1]; last != '.' && last != '\n' {
		text += "."
	}
	line := strings.TrimSuffix(c.UseLine(), " [flags]")
	_, _ = fmt.Fprintf(w, "%s\n\n    %s\n", strings.TrimSpace(plain(text)), line)
	if c.Example != "" {
		_, _ = fmt.Fprintf(w, "\nAs in\n\n%s\n", indented(c.Example))
	}
	if flags := c.LocalNonPersistentFlags(); flags.HasAvailableFlags() {
		_, _ = io.WriteString(w, "\n")
		flagTable(w, flags)
	}
}

// plain keeps what looks like a tag from becoming one.
func plain(text string) string { return strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(text) }

func indented(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i := range lines {
		lines[i] = "    " + strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

func flagTable(w io.Writer, flags *pflag.FlagSet) {
	rows := ""
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if kind != "" {
			name += " " + kind
		}
		if d := f.DefValue; d == who() && d != "" {
			usage += " (default: your name here)"
		} else if d != "" && d != "false" && d != "0" && d != "[]" && d != "0s" {
			usage += " (default `" + d + "`)"
		}
		rows += fmt.Sprintf("| `%s` | %s |\n", name, strings.ReplaceAll(plain(usage), "|", `\|`))
	})
	if rows != "" {
		_, _ = io.WriteString(w, "| flag | |\n|---|---|\n"+rows)
	}
}
