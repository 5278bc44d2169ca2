package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// completeIn is how long a shell waits for names that Redis knows. When it is
// away there are none, and nothing is said.
const completeIn = 400 * time.Millisecond

// completion is how cobra asks for words.
type completion = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective)

// fromRedis completes words that Redis knows.
func (a *app) fromRedis(words func(ctx context.Context, c *client.Client, args []string) []string) completion {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if a.prepare() != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		base := cmd.Context()
		if base == nil {
			base = context.Background()
		}
		ctx, cancel := context.WithTimeout(base, completeIn)
		defer cancel()
		found := make(chan []string, 1)
		go func() {
			var out []string
			if c, err := a.open(ctx); err == nil {
				out = words(ctx, c, args)
				_ = c.Close()
			}
			found <- out
		}()
		select {
		case out := <-found:
			return matching(out, toComplete), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		case <-ctx.Done():
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
}

func matching(words []string, begin string) []cobra.Completion {
	return slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, begin) })
}

// runIDs completes the first argument with the ids of runs in some states, all
// of them without any; the second one, where there is one, with tasks.
func (a *app) runIDs(more int, states ...run.State) completion {
	return a.fromRedis(func(ctx context.Context, c *client.Client, args []string) []string {
		if more > 0 && len(args) == 1 {
			return tasksOf(ctx, c, args[0])
		}
		if more >= 0 && len(args) > 0 {
			return nil
		}
		page, err := c.Page(ctx, client.Filter{States: states, Limit: 100}, "")
		if err != nil {
			return nil
		}
		var out []string
		for i := range page.Runs {
			r := &page.Runs[i]
			if !slices.Contains(args, r.ID) {
				out = append(out, r.ID+"\t"+r.Recipe+", "+string(r.State))
			}
		}
		return out
	})
}

func tasksOf(ctx context.Context, c *client.Client, text string) []string {
	id, err := c.Resolve(ctx, text)
	if err != nil {
		return nil
	}
	tasks, err := c.Tasks(ctx, id)
	if err != nil {
		return nil
	}
	var out []string
	for _, t := range tasks {
		out = append(out, t.ID+"\t"+string(t.State))
	}
	return out
}

func (a *app) queueNames() completion {
	return a.fromRedis(func(ctx context.Context, c *client.Client, _ []string) []string {
		all, err := c.Queues(ctx)
		if err != nil {
			return nil
		}
		var out []string
		for _, q := range all {
			out = append(out, q.Queue)
		}
		slices.Sort(out)
		return slices.Compact(out)
	})
}

func (a *app) scheduleKeys() completion {
	return a.fromRedis(func(ctx context.Context, c *client.Client, args []string) []string {
		all, err := c.Schedules(ctx)
		if err != nil || len(args) > 0 {
			return nil
		}
		return slices.Sorted(maps.Keys(all))
	})
}

func (a *app) handlerNames() completion {
	return a.fromRedis(func(ctx context.Context, c *client.Client, _ []string) []string {
		all, err := c.Workers(ctx)
		if err != nil {
			return nil
		}
		names := map[string]bool{}
		for i := range all {
			for _, h := range all[i].Handlers {
				names[h.Name] = true
			}
		}
		return slices.Sorted(maps.Keys(names))
	})
}

// recipeNames completes with the definitions of the project, besides files.
func (a *app) recipeNames(_ *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 || a.prepare() != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	l, err := a.loader()
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	defer func() { _ = l.Close() }()
	all, err := l.List()
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var out []string
	for i := range all {
		out = append(out, all[i].Name+"\t"+all[i].Description)
	}
	return matching(out, toComplete), cobra.ShellCompDirectiveDefault
}

// completes tells the shell what the arguments of commands are.
func (a *app) completes(root *cobra.Command) {
	args := map[string]completion{
		"run": a.recipeNames, "submit": a.recipeNames, "validate": a.recipeNames, "lint": a.recipeNames, "graph": a.recipeNames,
		"plan": a.recipeNames, "schedule next": a.recipeNames,
		"describe": a.runIDs(0), "watch": a.runIDs(0), "events": a.runIDs(0), "rerun": a.runIDs(0),
		"logs": a.runIDs(1), "why": a.runIDs(1),
		"retry":   a.runIDs(0, run.Failed, run.Cancelled, run.Succeeded),
		"cancel":  a.runIDs(-1, run.Queued, run.Running, run.Paused),
		"pause":   a.runIDs(-1, run.Running),
		"resume":  a.runIDs(-1, run.Paused),
		"approve": a.runIDs(1, run.Running), "reject": a.runIDs(1, run.Running), "signal": a.runIDs(0, run.Running),
		"schedule pause": a.scheduleKeys(), "schedule resume": a.scheduleKeys(), "schedule trigger": a.scheduleKeys(),
	}
	for path, words := range args {
		if c, _, err := root.Find(strings.Fields(path)); err == nil {
			c.ValidArgsFunction = words
		}
	}
	flags := map[string]completion{
		"output": cobra.FixedCompletions(outputs()[1:], cobra.ShellCompDirectiveNoFileComp),
		"queue":  a.queueNames(), "handler": a.handlerNames(), "recipe": a.recipeNames,
		"state": cobra.FixedCompletions([]string{"queued", "running", "paused", "succeeded", "failed", "cancelled"}, cobra.ShellCompDirectiveNoFileComp),
	}
	var each func(*cobra.Command)
	each = func(c *cobra.Command) {
		for name, words := range flags {
			if c.LocalNonPersistentFlags().Lookup(name) != nil || c == root && c.PersistentFlags().Lookup(name) != nil {
				_ = c.RegisterFlagCompletionFunc(name, words)
			}
		}
		for _, sub := range c.Commands() {
			each(sub)
		}
	}
	each(root)
}
