package client

import (
	"context"
	"fmt"

	"github.com/orchis-run/orchis/internal/wire"
)

// DeadLetter is a task that was given up because its workers kept going away,
// or a stream entry that nobody could read.
type DeadLetter = wire.DeadLetter

// DeadLetters returns dead letters, the newest first, at most limit.
func (c *Client) DeadLetters(ctx context.Context, limit int) ([]DeadLetter, error) {
	return c.store.DeadLetters(ctx, limit)
}

// DeadLetter returns one; ErrNotFound when there is none of that id.
func (c *Client) DeadLetter(ctx context.Context, id string) (DeadLetter, error) {
	return c.store.DeadLetter(ctx, id)
}

// Requeue submits the run of a dead letter again, with the same definition and
// inputs, and deletes the letter when the new run is accepted. What the run has
// done is taken over, unless it is still under way: then all runs again. It
// returns the new run's id. Doing it twice gives one run.
func (c *Client) Requeue(ctx context.Context, id, by string) (runID string, err error) {
	d, err := c.store.DeadLetter(ctx, id)
	if err != nil {
		return "", err
	}
	if d.Run == "" || d.Stream != "" {
		return "", &RejectedError{fmt.Sprintf("dead letter %s is an entry of %s that nobody can read: it can be shown and purged only", id, d.Stream)}
	}
	request := Request{From: d.Run, ID: "requeue-" + d.ID, By: by}
	if old, err := c.Get(ctx, d.Run); err == nil && old.State.Final() {
		request.Retry = &Retry{}
	}
	if runID, err = c.Start(ctx, request); err != nil {
		return "", err
	}
	_, err = c.store.PurgeDead(ctx, []string{id})
	return runID, err
}

// PurgeDead deletes dead letters, or all of them when no id is given, and
// returns how many there were.
func (c *Client) PurgeDead(ctx context.Context, ids ...string) (int64, error) {
	if len(ids) == 0 {
		return c.store.PurgeAllDead(ctx)
	}
	return c.store.PurgeDead(ctx, ids)
}
