package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/orchis-run/orchis/internal/graph"
	"github.com/orchis-run/orchis/pkg/flow"
)

// planDiff shows how a definition differs from another file, or from itself at
// a revision of git.
func (a *app) planDiff(ctx context.Context, name, against string) error {
	now, err := a.load(name)
	if err != nil {
		return err
	}
	var old *flow.Bundle
	if info, bad := os.Stat(against); bad == nil && !info.IsDir() {
		old, err = a.load(against)
	} else {
		old, err = a.loadAt(ctx, against, now.RootFlow().Path)
	}
	if err != nil {
		return err
	}
	changes := graph.Changes(old, now)
	if a.structured() {
		return a.json(changes)
	}
	at := ""
	for _, c := range changes {
		if c.Flow != at {
			at = c.Flow
			title := strings.TrimPrefix(at, ".")
			if title == "" {
				title = now.RootFlow().Path
			}
			a.print("%s\n", title)
		}
		a.print("  %s\n", c)
	}
	if len(changes) == 0 {
		a.print("nothing has changed\n")
	}
	return nil
}

// loadAt reads a definition, with the flows it calls, as they were at a
// revision of git.
func (a *app) loadAt(ctx context.Context, rev, path string) (*flow.Bundle, error) {
	git := func(args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", a.settings.Project}, args...)...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("git %s: %s", strings.Join(args[:min(2, len(args))], " "), strings.TrimSpace(errs.String()))
		}
		return out, nil
	}
	if strings.HasPrefix(rev, "-") {
		return nil, &exit{exitUsage, fmt.Errorf("%q is neither a file nor a revision", rev)}
	}
	if _, err := git("rev-parse", "--verify", "--quiet", rev+"^{commit}"); err != nil {
		return nil, &exit{exitUsage, fmt.Errorf("%q is neither a file nor a revision of git here", rev)}
	}
	dir, err := os.MkdirTemp("", "orchis-plan-")
	if err != nil {
		return nil, &exit{exitFailed, err}
	}
	defer func() { _ = os.RemoveAll(dir) }()
	list, err := git("ls-tree", "-r", "--name-only", rev, "--", "recipes", "flows", path)
	if err != nil {
		return nil, &exit{exitFailed, err}
	}
	for file := range strings.FieldsSeq(string(list)) {
		text, err := git("show", rev+":./"+file)
		if err != nil {
			return nil, &exit{exitFailed, err}
		}
		to := filepath.Join(dir, filepath.FromSlash(file))
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o750), os.WriteFile(to, text, 0o600)); err != nil {
			return nil, &exit{exitFailed, err}
		}
	}
	l, err := flow.NewLoader(flow.Options{Root: dir, Retries: a.settings.MaxRetries, Timeout: a.settings.JobTimeout})
	if err != nil {
		return nil, &exit{exitFailed, err}
	}
	defer func() { _ = l.Close() }()
	b, diags := l.LoadLocal(path)
	return b, a.told(diags)
}
