package cli

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/internal/daemon"
	"github.com/orchis-run/orchis/pkg/flowtest"
)

// testCommand runs test cases; it needs no Redis.
func (a *app) testCommand() *cobra.Command {
	var only string
	var verbose bool
	c := &cobra.Command{Use: "test [FILE...]", Short: "Run the test cases of tests/, with faked handlers and a clock of their own", RunE: func(cmd *cobra.Command, args []string) error {
		want, err := regexp.Compile(only)
		if err != nil {
			return &exit{exitUsage, fmt.Errorf("--run: %w", err)}
		}
		if len(args) > 0 {
			a.projectOf(args[0])
			a.settings.Project = projectOfTest(a.settings.Project)
		}
		jobs, err := daemon.Jobs(a.settings)
		if err != nil {
			return &exit{exitUsage, err}
		}
		r, err := flowtest.New(a.settings.Project, jobs)
		if err != nil {
			return &exit{exitUsage, err}
		}
		defer func() { _ = r.Close() }()
		if len(args) == 0 {
			if args, err = r.Files(); err != nil {
				return err
			}
		}
		var all []flowtest.Result
		for _, file := range args {
			results, diags := r.File(cmd.Context(), file)
			if diags.HasErrors() {
				return a.told(diags)
			}
			for _, res := range results {
				if want.MatchString(res.Case) {
					all = append(all, res)
				}
			}
		}
		return a.tellTests(all, verbose)
	}}
	c.Flags().StringVar(&only, "run", "", "only cases whose name matches this regular expression")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "tell what happened in every case")
	return c
}

// projectOfTest is the project of a file in tests/, or in a folder of it.
func projectOfTest(dir string) string {
	if i := strings.LastIndex(dir+"/", "/tests/"); i >= 0 {
		if _, err := os.Stat(dir[:i]); err == nil && i > 0 {
			return dir[:i]
		}
	}
	return dir
}

func (a *app) tellTests(all []flowtest.Result, verbose bool) error {
	failed := 0
	for _, res := range all {
		if len(res.Problems) > 0 {
			failed++
		}
	}
	if a.structured() {
		if err := a.json(all); err != nil {
			return err
		}
	} else {
		for _, res := range all {
			mark := "ok  "
			if len(res.Problems) > 0 {
				mark = "FAIL"
			}
			a.print("%s  %s: %s\n", mark, res.File, res.Case)
			for _, p := range res.Problems {
				a.print("      %s\n", strings.ReplaceAll(p, "\n", "\n      "))
			}
			if verbose || len(res.Problems) > 0 {
				a.print("%s", res.Transcript)
			}
		}
		a.print("%d cases, %d failed\n", len(all), failed)
	}
	if failed > 0 {
		return &exit{code: exitFailed}
	}
	return nil
}
