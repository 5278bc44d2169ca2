package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
)

// again is what the command line of retry says.
type again struct {
	failed, yes, dry bool
	from, definition string
	set              []string
	wait             bool
}

// retryCommand goes on from a run.
func (a *app) retryCommand() *cobra.Command {
	var g again
	c := a.queryRun("retry RUN", "Run again what a run has not done, or what has changed since", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, id string, _ []string) error {
		return a.retry(ctx, c, id, g)
	})
	c.Long = "A new run begins that takes over the results of every task which succeeded, whose job and inputs are\n" +
		"the same, and which depends on nothing that runs again. The old run stays as it is. What will happen is\n" +
		"shown first."
	c.Example = "  orchis retry 0195d3a1\n  orchis retry 0195d3a1 --definition fixed.yaml --dry-run\n  orchis retry 0195d3a1 --from encode --set inputs.height=720 --yes"
	f := c.Flags()
	f.BoolVar(&g.failed, "failed", false, "run again what failed, and what follows (this is what it does anyway)")
	f.StringVar(&g.from, "from", "", "run this job again, and everything after it; flow/job for one of a nested flow")
	f.StringArrayVar(&g.set, "set", nil, "change an input, as inputs.name=value; may be given often")
	f.StringVar(&g.definition, "definition", "", "a file with the definition to use in place of the run's own")
	f.BoolVarP(&g.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&g.dry, "dry-run", false, "only show what would happen")
	f.BoolVar(&g.wait, "wait", false, "wait until the run has ended and print its outputs")
	return c
}

func (a *app) retry(ctx context.Context, c *client.Client, id string, g again) error {
	request := client.Request{From: id, By: who(), Retry: &client.Retry{From: g.from}}
	changes := client.Changes{From: g.from}
	var err error
	if changes.Inputs, err = settings(g.set); err != nil {
		return err
	}
	request.Inputs = changes.Inputs
	var bundle *flow.Bundle
	if g.definition != "" {
		text, err := os.ReadFile(g.definition)
		if err != nil {
			return &exit{exitNotFound, fmt.Errorf("read the definition: %w", err)}
		}
		a.projectOf(g.definition)
		if bundle, err = a.load(g.definition); err != nil {
			return err
		}
		request.Definition, changes.Definition = string(text), bundle
	}
	plan, err := c.PlanRetry(ctx, id, changes)
	if err != nil {
		return err
	}
	if a.structured() && g.dry {
		return a.json(map[string]any{"run": id, "plan": plan})
	}
	if !a.structured() {
		a.showPlan(plan)
	}
	if g.dry {
		return nil
	}
	if yes, err := a.sure(g.yes); err != nil || !yes {
		return err
	}
	if a.structured() {
		return a.retryJSON(ctx, c, id, request, plan)
	}
	if g.wait && bundle == nil {
		if bundle, err = c.Definition(ctx, id); err != nil {
			return err
		}
	}
	return a.submit(ctx, c, request, bundle, g.wait, "quiet")
}

// retryJSON submits and writes plan and new run for programs.
func (a *app) retryJSON(ctx context.Context, c *client.Client, id string, request client.Request, plan []client.Verdict) error {
	entry, err := c.Submit(ctx, request)
	if err != nil {
		return err
	}
	next, err := c.Accepted(ctx, entry)
	if err != nil {
		return err
	}
	return a.json(map[string]any{"run": id, "retry": next, "plan": plan})
}

// settings reads inputs.name=value.
func settings(set []string) (map[string]any, error) {
	all := map[string]any{}
	for _, s := range set {
		name, value, ok := strings.Cut(s, "=")
		name, isInput := strings.CutPrefix(name, "inputs.")
		if !ok || !isInput || name == "" {
			return nil, &exit{exitUsage, fmt.Errorf("--set %q is not of the form inputs.name=value", s)}
		}
		all[name] = value
	}
	return all, nil
}

// sure asks whether to go on.
func (a *app) sure(yes bool) (bool, error) {
	if yes {
		return true, nil
	}
	if !a.asks {
		return false, &exit{exitUsage, errors.New("there is no terminal to ask on: give --yes to do it, or --dry-run to look only")}
	}
	a.tell("Do it? [y/N] ")
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && line == "" {
		return false, nil
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	}
	a.tell("nothing was done\n")
	return false, nil
}

// showPlan writes the verdicts as a table; items of a job that share one stand
// in a row.
func (a *app) showPlan(plan []client.Verdict) {
	var rows [][]string
	count := map[string]int{}
	for i := 0; i < len(plan); {
		v, n := plan[i], 1
		name := v.Task
		for i+n < len(plan) && sameItems(v, plan[i+n]) {
			n++
		}
		if n > 1 {
			name = fmt.Sprintf("%s[...] (%d items)", jobOf(v.Task), n)
		}
		rows = append(rows, []string{name, string(v.Action), v.Why})
		count[string(v.Action)] += n
		i += n
	}
	a.table("TASK WHAT WHY", rows)
	var sums []string
	for _, action := range []string{string(client.Reused), string(client.RunAgain), string(client.New), string(client.Removed), string(client.Skipped)} {
		if n := count[action]; n > 0 {
			sums = append(sums, fmt.Sprintf("%d %s", n, action))
		}
	}
	a.print("\n%s\n", strings.Join(sums, ", "))
}

// sameItems reports whether two verdicts are the same for items of one job.
func sameItems(a, b client.Verdict) bool {
	return a.Action == b.Action && a.Why == b.Why && strings.HasSuffix(a.Task, "]") && strings.HasSuffix(b.Task, "]") && jobOf(a.Task) == jobOf(b.Task)
}

// jobOf cuts the item off.
func jobOf(task string) string {
	if at := strings.LastIndexByte(task, '['); at >= 0 {
		return task[:at]
	}
	return task
}
