package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// filter says in flags which runs are meant.
type filter struct {
	recipe        string
	states        []string
	labels        map[string]string
	since, before string
}

func (f *filter) flags(to *pflag.FlagSet, with string, states ...string) {
	all := make([]string, 0, len(run.States()))
	for _, s := range run.States() {
		all = append(all, string(s))
	}
	to.StringVar(&f.recipe, "recipe", "", with+"runs of this recipe")
	to.StringSliceVar(&f.states, "state", states, with+"runs in these states: "+strings.Join(all, ", "))
	to.StringToStringVar(&f.labels, "label", nil, with+"runs that have this label, as name=value")
	to.StringVar(&f.since, "since", "", with+"runs created since then: 2h, 2026-11-24 or 2026-11-24T05:00:00Z")
	to.StringVar(&f.before, "before", "", with+"runs created before then")
}

// given reports whether anything but states is asked for.
func (f *filter) given() bool {
	return f.recipe != "" || len(f.labels) > 0 || f.since != "" || f.before != ""
}

func (f *filter) query(ctx context.Context, c *client.Client) (client.Filter, error) {
	q := client.Filter{Recipe: f.recipe, Labels: f.labels}
	for _, text := range f.states {
		if !slices.Contains(run.States(), run.State(text)) {
			return q, &exit{exitUsage, fmt.Errorf("--state: there is no state %q", text)}
		}
		q.States = append(q.States, run.State(text))
	}
	var err error
	if q.Since, err = moment(ctx, c, f.since); err != nil {
		return q, &exit{exitUsage, fmt.Errorf("--since: %w", err)}
	}
	if q.Before, err = moment(ctx, c, f.before); err != nil {
		return q, &exit{exitUsage, fmt.Errorf("--before: %w", err)}
	}
	return q, nil
}

// moment reads a time, or how long ago it was by the clock of Redis.
func moment(ctx context.Context, c *client.Client, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := flow.ParseTime(text); err == nil {
		return at, nil
	}
	ago, err := flow.ParseDelay(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a time such as 2026-11-24T05:00:00Z nor how long ago, such as 2h", text)
	}
	now, err := c.Now(ctx)
	return now.Add(-ago), err
}

// chosen are the runs that a command is for: those it names, or all of a kind.
type chosen struct {
	filter
	all    bool
	reason string
	by     string
	queue  string
}

func (f *chosen) flags(to *pflag.FlagSet, states ...string) {
	to.BoolVar(&f.all, "all", false, "all runs that the other flags leave")
	f.filter.flags(to, "with --all: ", states...)
}

// runs returns the ids that are meant.
func (f *chosen) runs(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	switch {
	case f.all && len(args) > 0:
		return nil, &exit{exitUsage, errors.New("give runs, or --all, not both")}
	case !f.all && (f.given() || len(args) == 0):
		return nil, &exit{exitUsage, errors.New("give the ids of runs, or --all with --recipe, --state, --label, --since or --before")}
	case !f.all:
		var ids []string
		for _, text := range args {
			id, err := c.Resolve(ctx, text)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		return ids, nil
	}
	q, err := f.query(ctx, c)
	if err != nil {
		return nil, err
	}
	q.Limit = 500
	var ids []string
	for cursor := ""; ; {
		page, err := c.Page(ctx, q, cursor)
		if err != nil {
			return nil, err
		}
		for i := range page.Runs {
			ids = append(ids, page.Runs[i].ID)
		}
		if cursor = page.Next; cursor == "" {
			return ids, nil
		}
	}
}
