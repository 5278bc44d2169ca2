// Package client submits, watches and cancels runs from Go.
package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/orchis-run/orchis/internal/explain"
	"github.com/orchis-run/orchis/internal/loglines"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/trail"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// ErrNotFound says that there is no such run, or no longer.
var ErrNotFound = wire.ErrNotFound

// RejectedError says why a submission did not become a run.
type RejectedError struct{ Reason string }

// Error returns the reason.
func (e *RejectedError) Error() string { return e.Reason }

// Config says which Redis is meant.
type Config struct {
	URL, Prefix string
	// Partitions is used when Redis is still empty; 1, and 16 on a Cluster.
	Partitions int
	// TLS, if given, holds the certificates for a rediss:// URL.
	TLS *tls.Config
	// MaxDefinition bounds a definition that is submitted, in bytes; 1 MiB. The
	// orchestrators have their own bound.
	MaxDefinition int
}

// Client talks to Orchis through Redis. It is safe for concurrent use: one Client
// serves a whole process. However many of its calls wait for answers or for runs
// to end, they share one connection and wait without polling.
type Client struct {
	store         *redisstore.Store
	waits         *waits
	outbox        *outbox
	maxDefinition int
}

// Open connects.
func Open(ctx context.Context, c Config) (*Client, error) {
	store, err := redisstore.Open(ctx, redisstore.Config{URL: c.URL, TLS: c.TLS, Prefix: c.Prefix, Partitions: c.Partitions, Name: "orchis-client"})
	if err != nil {
		return nil, err
	}
	if c.MaxDefinition <= 0 {
		c.MaxDefinition = wire.MaxDefinition
	}
	return &Client{
		store: store, waits: newWaits(store, uuid.NewString()), outbox: &outbox{send: store.SubmitAll}, maxDefinition: c.MaxDefinition,
	}, nil
}

// Close ends the connections, and with them the calls that wait.
func (c *Client) Close() error {
	c.waits.close()
	err := c.store.Close()
	c.waits.all.Wait()
	return err
}

// Request asks for a run.
type Request struct {
	// Recipe is the name of a recipe or flow the orchestrator has; Definition
	// is YAML text. Give one of them.
	Recipe, Definition string
	// From, in their place, is an earlier run whose definition and inputs are
	// taken again.
	From string
	// Retry, with From, takes over from that run what need not run again. Then
	// Definition and Inputs, if given, are changes.
	Retry *Retry
	// NoCache has the run look up no results of other runs.
	NoCache bool
	Inputs  map[string]any
	// ID makes the submission idempotent: it becomes the run's id.
	ID string
	// Key, if given, makes requests with the same key give the same run, for
	// KeyFor (a day) after the first.
	Key    string
	KeyFor time.Duration
	By     string
	Labels map[string]string
	// Trace is a W3C traceparent: the run is a part of that trace. When it is
	// empty the run is a part of the trace of the context, if that has one.
	Trace string
}

// Submit sends a request and returns its entry id, with which the answer can
// be asked for.
func (c *Client) Submit(ctx context.Context, r Request) (entry string, err error) {
	if r.Trace == "" {
		r.Trace = trail.From(ctx)
	}
	sub := wire.Submission{ID: r.ID, Key: r.Key, KeyFor: r.KeyFor.Milliseconds(), Recipe: r.Recipe, Definition: r.Definition, From: r.From, Retry: r.Retry, NoCache: r.NoCache, By: r.By, Labels: r.Labels, Trace: r.Trace, Inbox: c.waits.inbox}
	if len(r.Inputs) > 0 {
		if sub.Inputs, err = json.Marshal(r.Inputs); err != nil {
			return "", fmt.Errorf("write the inputs: %w", err)
		}
	}
	if len(sub.Inputs) > wire.MaxInputs || len(sub.Definition) > c.maxDefinition {
		return "", &RejectedError{fmt.Sprintf("the submission is larger than the limits: %d bytes of inputs, %d of definition", wire.MaxInputs, c.maxDefinition)}
	}
	return c.outbox.submit(ctx, sub)
}

// Tasks returns the records of a run's tasks; a task without one is pending.
func (c *Client) Tasks(ctx context.Context, runID string) ([]run.Task, error) {
	return c.store.Tasks(ctx, runID)
}

// Outputs returns the results of a run's tasks, JSON, by task.
func (c *Client) Outputs(ctx context.Context, runID string) (map[string]json.RawMessage, error) {
	return c.store.Outputs(ctx, runID)
}

// Filter says which runs a list has; zero fields do not filter.
type Filter struct {
	States []run.State
	Recipe string
	// Labels are some that the runs have.
	Labels map[string]string
	// Since and Before bound the time of their creation; zero does not.
	Since, Before time.Time
	Limit         int
}

func (f Filter) query() redisstore.ListQuery {
	q := redisstore.ListQuery{States: f.States, Recipe: f.Recipe, Labels: f.Labels, Limit: f.Limit}
	if !f.Since.IsZero() {
		q.Since = f.Since.UnixMilli()
	}
	if !f.Before.IsZero() {
		q.Before = f.Before.UnixMilli()
	}
	return q
}

// List returns runs, the newest first; 50 unless the filter says more.
func (c *Client) List(ctx context.Context, f Filter) ([]run.Run, error) {
	return c.store.ListRuns(ctx, f.query())
}

// Cancel asks for a run to be cancelled. It returns before that has happened.
func (c *Client) Cancel(ctx context.Context, runID, by, reason string) error {
	_, err := c.store.SendControl(ctx, wire.Control{Op: "cancel", Run: runID, By: by, Reason: reason})
	return err
}

// Reason says of a task, or of the run as a whole, why it stands where it does.
type Reason = explain.Reason

// Why says why a run is not going on: a reason for every task that has not
// ended, what somebody can do something about first. With a task it answers for
// that one (and those below it), also when it has ended.
func (c *Client) Why(ctx context.Context, runID, task string) ([]Reason, error) {
	return explain.Run(ctx, c.store, runID, task)
}

// Line is a line of a task's log.
type Line = wire.Line

// Lines returns lines of a task's log after one ("" is the beginning), waiting
// up to block when there are none.
func (c *Client) Lines(ctx context.Context, runID, task, after string, block time.Duration) ([]Line, error) {
	return c.store.Lines(ctx, runID, task, after, 1000, block)
}

// LastLines returns the newest lines of a task, the oldest of them first.
func (c *Client) LastLines(ctx context.Context, runID, task string, count int) ([]Line, error) {
	return c.store.LastLines(ctx, runID, task, count)
}

// LineOptions choose lines of a run.
type LineOptions struct {
	// Wants reports whether the lines of a task are read; nil is all.
	Wants func(task string) bool
	// Tail, when positive, begins with that many newest lines of each task.
	Tail int
}

// LineReader reads the log lines of all tasks of a run, or of some. It is not
// safe for concurrent use.
type LineReader struct{ r *loglines.Reader }

// ReadLines returns a reader of a run's log lines.
func (c *Client) ReadLines(ctx context.Context, runID string, o LineOptions) (*LineReader, error) {
	r, err := loglines.Open(ctx, c.store, runID, loglines.Options{Wants: o.Wants, Tail: o.Tail})
	return &LineReader{r}, err
}

// Next returns lines that no call before has returned: those of each task in
// order, and all that come together by time. It waits up to block when there are
// none. Without block, no lines mean that all stored lines have been read.
func (l *LineReader) Next(ctx context.Context, block time.Duration) ([]Line, error) {
	return l.r.Next(ctx, block)
}

// Has reports whether the run has a task whose lines are read.
func (l *LineReader) Has() bool { return l.r.Has() }

// Attempt returns the number of a task's newest attempt, from 1.
func (l *LineReader) Attempt(task string) int { return l.r.Attempt(task) }

// Worker is an entry of the registry of workers.
type Worker = wire.Worker

// Workers returns the registry of workers.
func (c *Client) Workers(ctx context.Context) ([]Worker, error) { return c.store.Workers(ctx) }

// Queue tells of one lane of a queue.
type Queue = redisstore.QueueStat

// Queues returns the queues.
func (c *Client) Queues(ctx context.Context) ([]Queue, error) { return c.store.QueueStats(ctx) }

// Finding is one thing to say about the settings of Redis.
type Finding = redisstore.Finding

// Check looks at the settings of Redis that Orchis relies on.
func (c *Client) Check(ctx context.Context) ([]Finding, error) { return c.store.Check(ctx) }

var entryForm = regexp.MustCompile(`^\d+-\d+$`)

// Resolve returns the id of the run that a text means: a run's id, the
// beginning or the end of one, or the entry id of a submission.
func (c *Client) Resolve(ctx context.Context, text string) (string, error) {
	if entryForm.MatchString(text) {
		return c.Accepted(ctx, text)
	}
	if _, err := c.store.Run(ctx, text); err == nil {
		return text, nil
	} else if !errors.Is(err, wire.ErrNotFound) {
		return "", err
	}
	runs, err := c.List(ctx, Filter{Limit: 1000})
	if err != nil {
		return "", err
	}
	var found []string
	for _, r := range runs {
		if len(text) >= 4 && (strings.HasPrefix(r.ID, text) || strings.HasSuffix(r.ID, text)) {
			found = append(found, r.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("run %s: %w", text, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%d runs match %s: give more of the id", len(found), text)
}
