package cli

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
)

func (a *app) scheduleCommand() *cobra.Command {
	c := &cobra.Command{Use: "schedule", Short: "Look at schedules, pause, resume and trigger them"}
	var by, reason string
	wish := func(use, short string, do func(ctx context.Context, c *client.Client, key string) error) *cobra.Command {
		sub := a.query(use, short, cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
			return a.answer(ctx, c, func(ctx context.Context) error { return do(ctx, c, args[0]) })
		})
		sub.Flags().StringVar(&by, "as", who(), "who asks for it")
		sub.Flags().StringVar(&reason, "reason", "", "why")
		return sub
	}
	c.AddCommand(
		a.query("list", "List schedules", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error { return a.listSchedules(ctx, c) }),
		wish("pause KEY", "Let a schedule start nothing", func(ctx context.Context, c *client.Client, key string) error {
			return c.PauseSchedule(ctx, key, by, reason)
		}),
		wish("resume KEY", "Undo pause", func(ctx context.Context, c *client.Client, key string) error {
			return c.ResumeSchedule(ctx, key, by, reason)
		}),
		wish("trigger KEY", "Start a run of a schedule now", func(ctx context.Context, c *client.Client, key string) error {
			id, err := c.TriggerSchedule(ctx, key, by, reason)
			if err == nil {
				a.print("%s\n", id)
			}
			return err
		}),
		a.nextCommand(),
	)
	return c
}

func (a *app) listSchedules(ctx context.Context, c *client.Client) error {
	all, err := c.Schedules(ctx)
	if err != nil || a.structured() {
		return firstError(err, func() error { return a.json(all) })
	}
	var rows [][]string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		s := all[key]
		state := "on"
		switch {
		case s.Paused != nil:
			state = strings.TrimSpace("paused by " + s.Paused.By + " " + s.Paused.Reason)
		case s.Disabled:
			state = "disabled"
		}
		next := "-"
		if s.Next > 0 {
			next = a.clock(s.Next)
		}
		skipped := ""
		if s.Skipped > 0 {
			skipped = a.clock(s.Skipped) + " " + s.Why
		}
		rows = append(rows, []string{key, s.Cron, s.Timezone, next, s.Run, state, skipped})
	}
	a.table("SCHEDULE CRON ZONE NEXT NEWEST STATE SKIPPED", rows)
	return nil
}

// nextCommand needs no Redis: it reads the definitions.
func (a *app) nextCommand() *cobra.Command {
	var count int
	c := &cobra.Command{Use: "next [FILE|NAME]", Short: "Show when the schedules of a recipe, or of all, are due", Args: cobra.MaximumNArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		type due struct {
			Schedule string      `json:"schedule"`
			Times    []time.Time `json:"times"`
		}
		var all []due
		found, err := a.schedulesOf(args)
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(found)) {
			s := found[key]
			d := due{Schedule: key}
			for at := time.Now(); len(d.Times) < count; {
				if at = s.Next(at); at.IsZero() {
					break
				}
				d.Times = append(d.Times, at)
			}
			all = append(all, d)
		}
		if a.structured() {
			return a.json(all)
		}
		for _, d := range all {
			for _, at := range d.Times {
				a.print("%s  %s\n", d.Schedule, at.Format("Mon 2006-01-02 15:04:05 MST"))
			}
		}
		return nil
	}}
	c.Flags().IntVarP(&count, "count", "n", 5, "how many times of each")
	return c
}

func (a *app) schedulesOf(args []string) (map[string]flow.Schedule, error) {
	out := map[string]flow.Schedule{}
	put := func(file string, list []flow.Schedule) {
		name := strings.TrimSuffix(path.Base(file), path.Ext(file))
		for _, s := range list {
			key := name
			if s.Name != "" {
				key += "." + s.Name
			}
			out[key] = s
		}
	}
	if len(args) == 1 {
		a.projectOf(args[0])
		b, err := a.load(args[0])
		if err != nil {
			return nil, err
		}
		put(b.RootFlow().Path, b.RootFlow().Schedules)
		if len(out) == 0 {
			return nil, &exit{exitInvalid, fmt.Errorf("%s has no schedule", args[0])}
		}
		return out, nil
	}
	l, err := a.loader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }()
	all, err := l.List()
	for i := range all {
		put(all[i].Path, all[i].Schedules)
	}
	return out, err
}
