package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// fmtCommand writes definitions in their usual form.
func (a *app) fmtCommand() *cobra.Command {
	var check, diff bool
	c := &cobra.Command{Use: "fmt [FILE...]", Short: "Write recipes and flows in their usual form, all of the project by default", RunE: func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			a.projectOf(args[0])
		}
		l, err := a.loader()
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		if len(args) == 0 {
			list, err := l.List()
			if err != nil {
				return err
			}
			for i := range list {
				args = append(args, filepath.Join(a.settings.Project, filepath.FromSlash(list[i].Path)))
			}
		}
		changed := 0
		for _, path := range args {
			text, err := os.ReadFile(path)
			if err != nil {
				return &exit{exitNotFound, err}
			}
			key, err := filepath.Rel(a.settings.Project, path)
			if err != nil {
				key = path
			}
			out, diags, err := l.Format(filepath.ToSlash(key), text)
			if err != nil {
				return &exit{exitFailed, err}
			}
			if diags.HasErrors() {
				return a.told(diags)
			}
			if bytes.Equal(out, text) {
				continue
			}
			changed++
			a.print("%s\n", path)
			switch {
			case diff:
				a.print("%s\n", cmp.Diff(string(text), string(out)))
			case !check:
				if err := replaceFile(path, out); err != nil {
					return &exit{exitFailed, err}
				}
			}
		}
		if check && changed > 0 {
			return &exit{exitFailed, fmt.Errorf("%d files are not in their usual form: orchis fmt", changed)}
		}
		return nil
	}}
	c.Flags().BoolVar(&check, "check", false, "change nothing, and exit with 1 when something would be")
	c.Flags().BoolVarP(&diff, "diff", "d", false, "change nothing, and show what would be")
	return c
}

// replaceFile writes a file as a whole or not at all.
func replaceFile(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	temporary := path + ".orchis-fmt"
	if err := os.WriteFile(temporary, text, info.Mode().Perm()); err != nil { //nolint:gosec // the file that somebody named is what is to be written
		return err
	}
	return os.Rename(temporary, path)
}
