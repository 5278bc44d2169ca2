// Package flowtest runs test cases of recipes and flows: with faked handlers, on
// a clock of their own, in milliseconds, without Redis.
//
//	func TestFlows(t *testing.T) { flowtest.Run(t, "..") }
package flowtest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/job"
)

// Run runs every case of the project's tests/ as a test of its own.
func Run(t *testing.T, project string) {
	t.Helper()
	r, err := New(project, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	files, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		results, diags := r.File(t.Context(), file)
		if err := diags.Err(); err != nil {
			t.Error(err)
			continue
		}
		for _, res := range results {
			t.Run(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))+"/"+res.Case, func(t *testing.T) {
				for _, problem := range res.Problems {
					t.Error(problem)
				}
				if len(res.Problems) > 0 {
					t.Logf("what happened:\n%s", res.Transcript)
				}
			})
		}
	}
}

// Result is what became of a case.
type Result struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Case string `json:"case"`
	// Problems says what was not as expected; none is a success.
	Problems []string `json:"problems,omitempty"`
	// Transcript tells what happened, a line for each change, with the time
	// since the start.
	Transcript string `json:"transcript,omitempty"`
}

// Runner runs cases of a project.
type Runner struct {
	project string
	loader  *flow.Loader
	real    *job.Registry
}

// New opens a project. Handlers that a case wants to be real come from a
// registry, which may be nil.
func New(project string, handlers *job.Registry) (*Runner, error) {
	l, err := flow.NewLoader(flow.Options{Root: project, Retries: 3})
	if err != nil {
		return nil, err
	}
	return &Runner{project: project, loader: l, real: handlers}, nil
}

// Close closes the project.
func (r *Runner) Close() error { return r.loader.Close() }

// Files returns the files below tests/.
func (r *Runner) Files() ([]string, error) {
	var files []string
	err := filepath.WalkDir(filepath.Join(r.project, "tests"), func(path string, e fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if ext := filepath.Ext(path); err == nil && !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
			files = append(files, path)
		}
		return err
	})
	slices.Sort(files)
	return files, err
}

// File runs the cases of one file. Diagnostics with errors say that it, or what
// it tests, is not valid.
func (r *Runner) File(ctx context.Context, path string) ([]Result, flow.Diagnostics) {
	f, diags := r.loader.LoadTests(path)
	if diags.HasErrors() {
		return nil, diags
	}
	bundle, more := r.loader.LoadLocal(f.Definition)
	if more.HasErrors() {
		return nil, more
	}
	var results []Result
	for i := range f.Cases {
		c := &f.Cases[i]
		res := Result{File: f.Path, Line: c.Line, Case: c.Name}
		p, err := play(ctx, bundle, c, r.real)
		if err != nil {
			res.Problems = []string{fmt.Sprintf("%s:%d: %v", f.Path, c.Line, err)}
		} else {
			for _, problem := range p.check() {
				res.Problems = append(res.Problems, fmt.Sprintf("%s:%d: %s", f.Path, c.Line, problem))
			}
		}
		if p != nil {
			res.Transcript = p.transcript.String()
		}
		results = append(results, res)
	}
	return results, nil
}
