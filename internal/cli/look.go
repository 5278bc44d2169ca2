package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/internal/daemon"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// query is a command that asks Redis and shows the answer.
func (a *app) query(use, short string, args cobra.PositionalArgs, do func(context.Context, *client.Client, []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		return a.with(cmd.Context(), func(c *client.Client) error { return do(cmd.Context(), c, args) })
	}}
}

// queryRun is a query about the run that its first argument means; do gets the
// arguments after that.
func (a *app) queryRun(use, short string, args cobra.PositionalArgs, do func(ctx context.Context, c *client.Client, id string, more []string) error) *cobra.Command {
	return a.query(use, short, args, func(ctx context.Context, c *client.Client, args []string) error {
		id, err := c.Resolve(ctx, args[0])
		if err != nil {
			return err
		}
		return do(ctx, c, id, args[1:])
	})
}

func (a *app) listCommand() *cobra.Command {
	var wanted filter
	var limit int
	c := a.query("list", "List runs, the newest first", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		f, err := wanted.query(ctx, c)
		if err != nil {
			return err
		}
		f.Limit = limit
		runs, err := c.List(ctx, f)
		if err != nil {
			return err
		}
		if a.structured() {
			return a.json(runs)
		}
		var rows [][]string
		for _, r := range runs {
			why := ""
			if err := r.Why(); err != nil {
				why = err.Error()
			}
			rows = append(rows, []string{r.ID, r.Recipe, string(r.State), fmt.Sprintf("%d/%d", r.Counts.Final(), r.Counts.Total()), a.clock(r.Created), took(r.Started, r.Ended), r.SubmittedBy, why})
		}
		a.table("RUN RECIPE STATE TASKS CREATED TOOK +BY +WHY", rows)
		return nil
	})
	c.Aliases = []string{"ls"}
	wanted.flags(c.Flags(), "only ")
	c.Flags().IntVar(&limit, "limit", 50, "at most this many")
	return c
}

func (a *app) describeCommand() *cobra.Command {
	return a.queryRun("describe RUN", "Show a run with its tasks", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, id string, _ []string) error {
		r, err := c.Get(ctx, id)
		if err != nil {
			return err
		}
		tasks, err := c.Tasks(ctx, id)
		if err != nil {
			return err
		}
		if a.structured() {
			return a.json(map[string]any{"run": r, "tasks": taskMap(tasks)})
		}
		if a.names() {
			a.print("%s\n", r.ID)
			return nil
		}
		a.print("run      %s\nrecipe   %s\nstate    %s\nby       %s\ncreated  %s\ntook     %s\ninputs   %s\n", r.ID, r.Recipe, r.State, r.SubmittedBy, a.clock(r.Created), took(r.Started, r.Ended), r.Inputs)
		if r.Stopping() {
			a.print("stopping %s\n", r.Stop.Cause.Error())
		}
		if r.Error != nil {
			a.print("error    %s\n", r.Error.Error())
		}
		if len(r.Outputs) > 0 {
			a.print("outputs  %s\n", r.Outputs)
		}
		a.print("\n")
		var rows [][]string
		for _, t := range tasks {
			why := t.Reason
			if err := t.Why(); err != nil {
				why = err.Error()
			}
			rows = append(rows, []string{t.ID, string(t.State), strconv.Itoa(t.Attempt), t.Worker, took(t.Started, t.Ended), why})
		}
		a.table("TASK STATE ATTEMPT WORKER TOOK WHY", rows)
		return nil
	})
}

func (a *app) whyCommand() *cobra.Command {
	var limit int
	c := a.queryRun("why RUN [TASK]", "Say why a run, or a task of it, is not going on", cobra.RangeArgs(1, 2), func(ctx context.Context, c *client.Client, id string, args []string) error {
		reasons, err := c.Why(ctx, id, strings.Join(args, ""))
		if err != nil || a.structured() {
			return firstError(err, func() error { return a.json(reasons) })
		}
		for n, r := range reasons {
			if limit > 0 && n == limit {
				a.print("... and %d more (--limit 0 shows all)\n", len(reasons)-n)
				break
			}
			if r.Task == "" {
				a.print("%s\n", r.Text)
				continue
			}
			a.print("%s (%s) %s\n", r.Task, r.State, r.Text)
		}
		return nil
	})
	c.Flags().IntVar(&limit, "limit", 20, "at most this many reasons; 0 is all")
	return c
}

func taskMap(tasks []run.Task) map[string]run.Task {
	m := make(map[string]run.Task, len(tasks))
	for _, t := range tasks {
		m[t.ID] = t
	}
	return m
}

func (a *app) workersCommand() *cobra.Command {
	return a.query("workers", "List workers", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		all, err := c.Workers(ctx)
		if err != nil || a.structured() {
			return firstError(err, func() error { return a.json(all) })
		}
		now, err := c.Now(ctx)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, w := range all {
			state := "ready"
			if w.Draining {
				state = "draining"
			}
			if !w.Alive(now) {
				state = "silent since " + a.clock(w.Seen)
			}
			rows = append(rows, []string{w.Name, w.Host, fmt.Sprintf("%d/%d", w.Busy, w.Slots), strings.Join(w.Queues, ","), strconv.Itoa(len(w.Handlers)), state, w.Version, strconv.Itoa(w.PID), a.clock(w.Started)})
		}
		a.table("WORKER HOST BUSY QUEUES HANDLERS STATE +VERSION +PID +STARTED", rows)
		return nil
	})
}

func firstError(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

// queueRow is a lane of a queue, for programs.
type queueRow struct {
	client.Queue
	Paused *client.PausedQueue `json:"paused,omitempty"`
}

func (a *app) queuesCommand() *cobra.Command {
	return a.query("queues", "List queues", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		lanes, err := c.Queues(ctx)
		if err != nil {
			return err
		}
		paused, err := c.PausedQueues(ctx)
		if err != nil {
			return err
		}
		all := make([]queueRow, len(lanes))
		for i, q := range lanes {
			all[i].Queue = q
			if p, is := paused[q.Queue]; is {
				all[i].Paused = &p
			}
		}
		if a.structured() {
			return a.json(all)
		}
		var rows [][]string
		for _, q := range all {
			state := "open"
			if p := q.Paused; p != nil {
				state = strings.TrimSpace("paused " + p.By + " " + p.Reason)
			}
			rows = append(rows, []string{q.Queue.Queue, string(q.Priority), strconv.FormatInt(q.Waiting, 10), strconv.FormatInt(q.InFlight, 10), state})
		}
		a.table("QUEUE PRIORITY WAITING RUNNING STATE", rows)
		return nil
	})
}

func (a *app) doctorCommand() *cobra.Command {
	return a.query("doctor", "Check the settings of Redis", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		all, err := c.Check(ctx)
		if err != nil {
			return err
		}
		if a.structured() {
			return a.json(all)
		}
		bad := false
		for _, f := range all {
			a.print("%-8s %-12s %s\n", f.Level, f.Name, f.Message)
			if f.Fix != "" {
				a.print("%22s%s\n", "", f.Fix)
			}
			bad = bad || f.Level == "fatal"
		}
		if bad {
			return &exit{code: exitFailed}
		}
		return nil
	})
}

func (a *app) configCommand() *cobra.Command {
	return &cobra.Command{Use: "config", Short: "Show the settings in effect", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		var rows [][]string
		for _, s := range daemon.InEffect(&a.settings) {
			if s.Name == "REDIS_URL" && a.redis != "" || s.Name == "ORCHIS_PROJECT" && a.project != "" {
				s.From = "flag"
			}
			rows = append(rows, []string{s.Name, s.Value, s.From})
		}
		a.table("SETTING VALUE FROM", rows)
		return nil
	}}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Show the version", Args: cobra.NoArgs, Run: func(*cobra.Command, []string) { a.print("orchis %s\n", daemon.Version()) }}
}
