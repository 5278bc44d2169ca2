package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// baseName is the row of the build that this one is compared with.
const baseName = "chain of 10, of the base commit"

// startBase builds the programs of another commit and starts them on a Redis of
// their own, to take turns with ours.
func (b *bench) startBase(ctx context.Context, commit string) error {
	tree := filepath.Join(b.dir, "base")
	git := func(args ...string) error {
		if text, err := exec.CommandContext(ctx, "git", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, text)
		}
		return nil
	}
	if err := git("worktree", "add", "--detach", tree, commit); err != nil {
		return err
	}
	b.dropBase = func() { _ = exec.Command("git", "worktree", "remove", "--force", tree).Run() } //nolint:noctx // at the very end
	p := programs{filepath.Join(b.dir, "base-orchestrator"), filepath.Join(b.dir, "base-noop")}
	for out, from := range map[string][2]string{p.orchestrator: {tree, "./cmd/orchestrator"}, p.worker: {filepath.Join(tree, "bench"), "./noop"}} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", out, from[1])
		cmd.Dir = from[0]
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s of %s: %w\n%s", from[1], commit, err, text)
		}
	}
	var err error
	b.base, err = install(ctx, b.dir, p, setup{aof: "off", slots: 200})
	return err
}

// sum is the processor time of the three processes, in microseconds a job.
func (s sample) sum() float64 { return s.redis + s.orchestrator + s.worker }

// versusBase is the processor time of a job beside that of the base commit: the
// median over the rounds of the ratio within a round. 0 is not measured.
func (t *table) versusBase() float64 {
	var all []float64
	for i, base := range t.samples[baseName] {
		if ours := t.samples[chain10().name]; i < len(ours) {
			all = append(all, ours[i].sum()/base.sum())
		}
	}
	return middle(all)
}
