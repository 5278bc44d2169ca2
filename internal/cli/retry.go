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
)

// again is what the command line of retry says.
type again struct {
	failed, yes, dry bool
	from, definition string
	set              []string
	wait             bool
	runs             chosen
}

// retryCommand goes on from a run.
func (a *app) retryCommand() *cobra.Command {
	var g again
	c := a.query("retry RUN...", "Run again what a run has not done, or what has changed since", cobra.ArbitraryArgs, func(ctx context.Context, c *client.Client, args []string) error {
		ids, err := g.runs.runs(ctx, c, args)
		if err != nil {
			return err
		}
		if len(ids) == 1 && !g.runs.all {
			return a.retry(ctx, c, ids[0], g)
		}
		return a.retryMany(ctx, c, ids, g)
	})
	c.Long = "A new run begins that takes over the results of every task which succeeded, whose job and inputs are\n" +
		"the same, and which depends on nothing that runs again. The old run stays as it is. What will happen is\n" +
		"shown first."
	c.Example = "  orchis retry 0195d3a1\n  orchis retry 0195d3a1 --definition fixed.yaml --dry-run\n  orchis retry 0195d3a1 --from encode --set inputs.height=720 --yes\n  orchis retry --all --recipe nightly-etl --since 1d"
	f := c.Flags()
	f.BoolVar(&g.failed, "failed", false, "run again what failed, and what follows (this is what it does anyway)")
	f.StringVar(&g.from, "from", "", "run this job again, and everything after it; flow/job for one of a nested flow")
	f.StringArrayVar(&g.set, "set", nil, "change an input, as inputs.name=value; may be given often")
	f.StringVar(&g.definition, "definition", "", "a file with the definition to use in place of the run's own")
	g.runs.flags(f, "failed")
	f.BoolVarP(&g.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&g.dry, "dry-run", false, "only show what would happen")
	f.BoolVar(&g.wait, "wait", false, "wait until the run has ended and print its outputs")
	return c
}

// changes reads what is to be different this time.
func (a *app) changes(g again) (r client.Request, ch client.Changes, err error) {
	r = client.Request{By: who(), Retry: &client.Retry{From: g.from}}
	ch = client.Changes{From: g.from}
	if ch.Inputs, err = settings(g.set); err != nil {
		return r, ch, err
	}
	r.Inputs = ch.Inputs
	if g.definition == "" {
		return r, ch, nil
	}
	text, err := os.ReadFile(g.definition)
	if err != nil {
		return r, ch, &exit{exitNotFound, fmt.Errorf("read the definition: %w", err)}
	}
	a.projectOf(g.definition)
	r.Definition = string(text)
	ch.Definition, err = a.load(g.definition)
	return r, ch, err
}

func (a *app) retry(ctx context.Context, c *client.Client, id string, g again) error {
	request, changes, err := a.changes(g)
	if err != nil {
		return err
	}
	request.From = id
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
	bundle := changes.Definition
	if g.wait && bundle == nil {
		if bundle, err = c.Definition(ctx, id); err != nil {
			return err
		}
	}
	return a.submit(ctx, c, request, bundle, g.wait, "quiet")
}

// retryMany goes on from many runs: what will happen is shown by run, and asked
// for once. A run that cannot be tried again is told, and left.
func (a *app) retryMany(ctx context.Context, c *client.Client, ids []string, g again) error {
	if g.wait || a.output == "json" {
		return &exit{exitUsage, errors.New("--wait and -o json are for one run")}
	}
	request, changes, err := a.changes(g)
	if err != nil {
		return err
	}
	var rows [][]string
	var can []string
	for _, id := range ids {
		plan, err := c.PlanRetry(ctx, id, changes)
		if err != nil {
			rows = append(rows, []string{id, err.Error()})
			continue
		}
		can = append(can, id)
		rows = append(rows, []string{id, summary(plan)})
	}
	a.table("RUN WHAT", rows)
	if g.dry || len(can) == 0 {
		return nil
	}
	if yes, err := a.sure(g.yes); err != nil || !yes {
		return err
	}
	failed := len(ids) - len(can)
	for _, id := range can {
		request.From = id
		if err := a.submit(ctx, c, request, nil, false, "quiet"); err != nil {
			failed++
			a.tell("%s: %v\n", id, err)
		}
	}
	if failed > 0 {
		return &exit{exitFailed, fmt.Errorf("%d of %d runs: not done", failed, len(ids))}
	}
	return nil
}

// retryJSON submits and writes plan and new run for programs.
func (a *app) retryJSON(ctx context.Context, c *client.Client, id string, request client.Request, plan []client.Verdict) error {
	next, err := a.accepted(ctx, c, request)
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
		i += n
	}
	a.table("TASK WHAT WHY", rows)
	a.print("\n%s\n", summary(plan))
}

// summary counts the verdicts of a plan.
func summary(plan []client.Verdict) string {
	count := map[client.Action]int{}
	for i := range plan {
		count[plan[i].Action]++
	}
	var sums []string
	for _, action := range []client.Action{client.Reused, client.RunAgain, client.New, client.Removed, client.Skipped} {
		if n := count[action]; n > 0 {
			sums = append(sums, fmt.Sprintf("%d %s", n, action))
		}
	}
	return strings.Join(sums, ", ")
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
