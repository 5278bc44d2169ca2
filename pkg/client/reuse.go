package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/resume"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
)

// Retry says how a run goes on from an earlier one: From names a job that runs
// again with everything after it.
type Retry = wire.Retry

// Changes say in what a run that goes on from an earlier one differs.
type Changes = resume.Changes

// Verdict is what becomes of a task when a run is tried again, and why.
type Verdict = engine.Verdict

// Action is what is done with a task.
type Action = engine.Action

// The actions of a Verdict.
const (
	Reused   = engine.ActionReuse
	RunAgain = engine.ActionAgain
	New      = engine.ActionNew
	Removed  = engine.ActionRemoved
	Skipped  = engine.ActionSkip
)

// PlanRetry foretells what a retry of a run does; nothing is changed. What is
// wrong with the request gives a *RejectedError.
func (c *Client) PlanRetry(ctx context.Context, runID string, changes Changes) ([]Verdict, error) {
	now := time.Now()
	old, err := resume.Read(ctx, c.store, runID)
	if err != nil {
		return nil, rejected(err)
	}
	next, err := old.Next(changes, now)
	if err != nil {
		return nil, rejected(err)
	}
	limits, err := resume.Limits(ctx, c.store)
	if err != nil {
		return nil, err
	}
	plan, err := old.Plan(next, limits, now)
	return plan, rejected(err)
}

func rejected(err error) error {
	var p *resume.ProblemError
	if errors.As(err, &p) {
		return &RejectedError{p.Text}
	}
	return err
}

// Definition returns the frozen definition of a run.
func (c *Client) Definition(ctx context.Context, runID string) (*flow.Bundle, error) {
	rec, err := c.store.Run(ctx, runID)
	if err != nil {
		return nil, err
	}
	raw, err := c.store.Definition(ctx, rec.Partition, rec.Definition)
	if err != nil {
		return nil, err
	}
	return flow.DecodeBundle(raw)
}

// Cached is a result that is kept for other runs.
type Cached = wire.Cached

// CachedResults lists the results that are kept, of one handler when it is
// given, the newest first.
func (c *Client) CachedResults(ctx context.Context, handler string) ([]Cached, error) {
	keys, err := c.store.CacheKeys(ctx)
	if err != nil {
		return nil, err
	}
	var out []Cached
	for _, key := range keys {
		one, err := c.store.CacheGet(ctx, key)
		if errors.Is(err, wire.ErrNotFound) {
			continue // it has just gone
		}
		if err != nil {
			return nil, err
		}
		if handler == "" || one.Handler == handler {
			out = append(out, one)
		}
	}
	return newestFirst(out), nil
}

// CachedResult returns one by its key, of which the beginning is enough when no
// other begins so.
func (c *Client) CachedResult(ctx context.Context, key string) (Cached, error) {
	keys, err := c.matching(ctx, key)
	if err != nil {
		return Cached{}, err
	}
	return c.store.CacheGet(ctx, keys[0])
}

// PurgeCache deletes results that are kept, by their keys, and returns how many
// there were.
func (c *Client) PurgeCache(ctx context.Context, keys ...string) (int64, error) {
	return c.store.CachePurge(ctx, keys)
}

func newestFirst(all []Cached) []Cached {
	slices.SortStableFunc(all, func(a, b Cached) int { return cmp.Compare(b.At, a.At) })
	return all
}

// matching is the one key that begins with a text.
func (c *Client) matching(ctx context.Context, text string) ([]string, error) {
	keys, err := c.store.CacheKeys(ctx)
	if err != nil {
		return nil, err
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return !strings.HasPrefix(k, text) })
	switch {
	case len(keys) == 0 || text == "":
		return nil, fmt.Errorf("cached result %s: %w", text, ErrNotFound)
	case len(keys) > 1:
		return nil, fmt.Errorf("%d cached results begin with %s: give more of the key", len(keys), text)
	}
	return keys, nil
}
