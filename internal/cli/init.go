package cli

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/pkg/flow"
)

//go:embed all:template
var template embed.FS

// initCommand makes a new project.
func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use: "init [FOLDER]", Short: "Make a new project: a recipe, a flow, a handler and a test", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			files, err := templateFiles()
			if err != nil {
				return err
			}
			if err := vacant(dir, files); err != nil {
				return &exit{exitUsage, err}
			}
			for name, text := range files {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return &exit{exitUsage, err}
				}
				mode := os.FileMode(0o644)
				if filepath.Dir(name) == "jobs" {
					mode = 0o755
				}
				if err := os.WriteFile(path, text, mode); err != nil {
					return &exit{exitUsage, err}
				}
			}
			a.print("%d files made. Now type:\n\n", len(files))
			if dir != "." {
				a.print("  cd %s\n", dir)
			}
			a.print("  orchis run hello\n  orchis test\n")
			return nil
		},
	}
}

// templateFiles are the files of a new project by their path.
func templateFiles() (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(template, "template", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel("template", path)
		if err != nil {
			return err
		}
		if name == "env-example" {
			name = ".env-example"
		}
		files[name], err = template.ReadFile(path)
		return err
	})
	for _, kind := range []flow.Kind{flow.KindRecipe, flow.KindFlow} {
		text, bad := flow.Schema(kind)
		err = errors.Join(err, bad)
		files["schemas/"+string(kind)+".schema.json"] = text
	}
	return files, err
}

// vacant refuses to write over anything.
func vacant(dir string, files map[string][]byte) error {
	for name := range files {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("%s is there already; give a new folder: orchis init NAME", filepath.Join(dir, name))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
