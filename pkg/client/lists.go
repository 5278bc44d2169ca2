package client

import (
	"context"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// RunPage is a part of the list of runs. Next leads to the part after it; it is
// empty when there is none.
type RunPage = redisstore.RunPage

// ErrCursor says that a cursor is none that a page gave.
var ErrCursor = redisstore.ErrCursor

// Page returns a part of the list of runs: those under way, the newest first,
// and then those that ended, the newest end first. cursor is "" or the Next of
// the part before.
func (c *Client) Page(ctx context.Context, f Filter, cursor string) (RunPage, error) {
	return c.store.PageRuns(ctx, f.query(), cursor)
}

// Totals are numbers of runs.
type Totals = redisstore.Totals

// Count counts runs, and those that ended in each of the last minutes.
func (c *Client) Count(ctx context.Context, minutes int) (Totals, error) {
	now, err := c.store.Now(ctx)
	if err != nil {
		return Totals{}, err
	}
	return c.store.Count(ctx, now, minutes)
}

// OldestTickets returns for each queue when the oldest ticket that no worker has
// was published.
func (c *Client) OldestTickets(ctx context.Context) (map[string]time.Time, error) {
	all, err := c.store.OldestTickets(ctx)
	out := make(map[string]time.Time, len(all))
	for queue, at := range all {
		out[queue] = time.UnixMilli(at)
	}
	return out, err
}

// Newest returns the newest runs by recipe, at most keep of each, among the
// newest look.
func (c *Client) Newest(ctx context.Context, look, keep int) (map[string][]run.Run, error) {
	return c.store.Recipes(ctx, look, keep)
}

// LogEntry is an entry of a run's log: what one commit changed. Its ID can be
// given as after.
type LogEntry = wire.LogEntry

// Log returns entries of a run's log after one ("" is the beginning, and so is an
// id that the log has not come to), waiting up to block when there are none; at
// most count, and no more than a hundred.
func (c *Client) Log(ctx context.Context, runID, after string, count int, block time.Duration) ([]LogEntry, error) {
	return c.store.Log(ctx, runID, after, count, block)
}

// History returns entries of a run's log after one ("" is the beginning), as many
// as there are, at most so many.
func (c *Client) History(ctx context.Context, runID, after string, most int) ([]LogEntry, error) {
	var all []LogEntry
	for len(all) < most {
		some, err := c.store.Log(ctx, runID, after, most-len(all), 0)
		if err != nil || len(some) == 0 {
			return all, err
		}
		all = append(all, some...)
		after = some[len(some)-1].ID
	}
	return all, nil
}

// Over reports whether a run has ended and its log says no more after an entry.
// It says so by itself, unless it was lost, or was read to its end before.
func (c *Client) Over(ctx context.Context, runID, after string) (bool, error) {
	r, err := c.store.Run(ctx, runID)
	if err != nil || !r.State.Final() {
		return false, err
	}
	rest, err := c.store.Log(ctx, runID, after, 1, 0) // the run may have ended just now
	return err == nil && len(rest) == 0, err
}

// Epoch names the installation; it changes when Redis comes back empty.
func (c *Client) Epoch(ctx context.Context) (string, error) {
	now, _, err := c.store.Epoch(ctx)
	return now, err
}

// Now is the clock of Redis.
func (c *Client) Now(ctx context.Context) (time.Time, error) { return c.store.Now(ctx) }

// Pulse is a text that changes when runs, workers or dead letters do: a cheap
// way to know when to look again.
func (c *Client) Pulse(ctx context.Context) (string, error) { return c.store.Pulse(ctx) }
