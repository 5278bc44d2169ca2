package cli

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/orchis-run/orchis/pkg/client"
)

// cacheCommand looks after results that are kept for other runs.
func (a *app) cacheCommand() *cobra.Command {
	c := &cobra.Command{Use: "cache", Short: "Look after the results that jobs with cache keep for other runs"}
	c.AddCommand(a.cacheList(), a.cacheShow(), a.cachePurge())
	return c
}

func (a *app) cacheList() *cobra.Command {
	var handler string
	c := a.query("list", "List cached results, the newest first", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		all, err := c.CachedResults(ctx, handler)
		if err != nil || a.structured() {
			return firstError(err, func() error { return a.json(all) })
		}
		var rows [][]string
		for i := range all {
			r := &all[i]
			rows = append(rows, []string{r.Key[:min(16, len(r.Key))], r.Handler, r.Task, r.Run, a.clock(r.At), a.clock(r.Expires), strconv.Itoa(len(r.Result))})
		}
		a.table("KEY HANDLER TASK RUN MADE EXPIRES BYTES", rows)
		return nil
	})
	c.Aliases = []string{"ls"}
	c.Flags().StringVar(&handler, "handler", "", "only results of this handler")
	return c
}

func (a *app) cacheShow() *cobra.Command {
	return a.query("show KEY", "Show a cached result as JSON; the beginning of its key is enough", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		r, err := c.CachedResult(ctx, args[0])
		if err != nil {
			return err
		}
		return a.json(r)
	})
}

func (a *app) cachePurge() *cobra.Command {
	var handler, key string
	var all bool
	c := a.query("purge", "Delete cached results", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		if chosen := map[bool]int{true: 1}; chosen[handler != ""]+chosen[key != ""]+chosen[all] != 1 {
			return &exit{exitUsage, errors.New("say which: --handler NAME, --key KEY or --all")}
		}
		var keys []string
		if key != "" {
			r, err := c.CachedResult(ctx, key)
			if err != nil {
				return err
			}
			keys = append(keys, r.Key)
		} else {
			found, err := c.CachedResults(ctx, handler)
			if err != nil {
				return err
			}
			for i := range found {
				keys = append(keys, found[i].Key)
			}
		}
		n, err := c.PurgeCache(ctx, keys...)
		if err != nil {
			return err
		}
		a.print("%d deleted\n", n)
		return nil
	})
	c.Flags().StringVar(&handler, "handler", "", "those of this handler")
	c.Flags().StringVar(&key, "key", "", "the one whose key begins so")
	c.Flags().BoolVar(&all, "all", false, "all of them")
	return c
}
