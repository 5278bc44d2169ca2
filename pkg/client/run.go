package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// Run submits a request, waits until the run has ended and returns its record.
// A submission that is not valid gives a *RejectedError. How the run ended is no
// error: see the State of the record, and its Error when it failed.
//
// When ctx ends, Run stops waiting and the run goes on; Cancel ends it. A request
// with an ID or a Key can be made again to wait for the same run.
func (c *Client) Run(ctx context.Context, r Request) (run.Run, error) {
	id, err := c.Start(ctx, r)
	if err != nil {
		return run.Run{}, err
	}
	if r.ID != "" || r.Key != "" { // another client may have submitted it, and wait for it
		return c.Wait(ctx, id)
	}
	return c.waitEnd(ctx, id, ofOwn)
}

// Start submits a request, waits until an orchestrator has accepted it and
// returns the run's id. A submission that is not valid gives a *RejectedError.
func (c *Client) Start(ctx context.Context, r Request) (runID string, err error) {
	entry, err := c.Submit(ctx, r)
	if err != nil {
		return "", err
	}
	return c.accepted(ctx, entry, ofOwn)
}

// Accepted waits for the answer to a submission and returns the run's id. A
// submission that is not valid gives a *RejectedError.
func (c *Client) Accepted(ctx context.Context, entry string) (runID string, err error) {
	a, err := c.store.Answer(ctx, entry)
	switch {
	case err == nil:
		return runOf(a)
	case !errors.Is(err, wire.ErrNotFound) && !redisstore.IsRetryable(err) && ctx.Err() == nil:
		return "", err
	}
	return c.accepted(ctx, entry, ofAnEntry)
}

func (c *Client) accepted(ctx context.Context, entry string, p pace) (runID string, err error) {
	o, err := c.waits.wait(ctx, subject{submissionAnswer, entry}, p)
	if err != nil {
		return "", fmt.Errorf("wait for an orchestrator to answer submission %s: %w", entry, err)
	}
	return runOf(o.answer)
}

// runOf is the run of an answer, or why there is none.
func runOf(a wire.Answer) (id string, err error) {
	if a.State == wire.Rejected {
		return "", &RejectedError{a.Error}
	}
	return a.Run, nil
}

// Wait waits until a run has ended and returns its record; ErrNotFound when there
// is no such run, or no longer.
func (c *Client) Wait(ctx context.Context, runID string) (run.Run, error) {
	for {
		rec, err := c.store.Run(ctx, runID)
		p := ofOthers
		switch {
		case err == nil && rec.State.Final():
			return rec, nil
		case err == nil && rec.Inbox == c.waits.inbox:
			p = ofOwn
		case err != nil && (!redisstore.IsRetryable(err) || ctx.Err() != nil):
			return run.Run{}, err
		}
		if rec, err = c.waitEnd(ctx, runID, p); err != nil || rec.State.Final() {
			return rec, err
		}
	}
}

// waitEnd waits for the end of a run.
func (c *Client) waitEnd(ctx context.Context, runID string, p pace) (run.Run, error) {
	o, err := c.waits.wait(ctx, subject{runEnd, runID}, p)
	switch {
	case errors.Is(err, ErrNotFound):
		return run.Run{}, err
	case err != nil:
		return run.Run{}, fmt.Errorf("wait for run %s to end: %w", runID, err)
	case o.run != nil:
		return *o.run, nil
	}
	return c.store.Run(ctx, runID)
}

// Watch calls fn with each change of a run, from the beginning, until the run
// has ended or fn returns an error.
func (c *Client) Watch(ctx context.Context, runID string, fn func([]run.Change) error) error {
	defer c.expectEnd(ctx, runID)()
	after := ""
	for {
		entries, err := c.store.Log(ctx, runID, after, 500, time.Second)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if redisstore.IsRetryable(err) {
				pause := time.NewTimer(time.Second)
				select {
				case <-pause.C:
					continue
				case <-ctx.Done():
					pause.Stop()
					return context.Cause(ctx)
				}
			}
			return err
		}
		for _, e := range entries {
			after = e.ID
			if err := fn(e.Changes); err != nil {
				return err
			}
			for _, ch := range e.Changes {
				if ch.Run.Final() {
					return nil
				}
			}
		}
		if len(entries) == 0 {
			if err := fn(nil); err != nil {
				return err
			}
			if over, err := c.Over(ctx, runID, after); over || errors.Is(err, wire.ErrNotFound) {
				return err
			}
		}
	}
}

// expectEnd has the log of a run be read as soon as the run has ended, until the
// returned function is called.
func (c *Client) expectEnd(ctx context.Context, runID string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := c.waits.wait(ctx, subject{runEnd, runID}, ofOwn); err == nil {
			c.store.Expect(runID)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// Get returns the record of a run; ErrNotFound when there is no such run, or no
// longer.
func (c *Client) Get(ctx context.Context, runID string) (run.Run, error) {
	return c.store.Run(ctx, runID)
}
