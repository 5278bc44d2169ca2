package client

import (
	"context"
	"time"
)

// Orchestrator is an orchestrator that is running, or that was running a short
// time ago. Times are those of the clock of Redis.
type Orchestrator struct {
	Name    string
	Host    string
	PID     int
	Version string
	Started time.Time
	// Seen is when the orchestrator last gave a sign of life, which it does every
	// few seconds. Alive is false when it has shut down or missed several.
	Seen  time.Time
	Alive bool
}

// Orchestrators returns the orchestrators in the order of their names. Those
// that are dead are listed for an hour, and the one that was seen last until
// another one starts, so that the list says since when none is running.
func (c *Client) Orchestrators(ctx context.Context) ([]Orchestrator, error) {
	all, err := c.store.Orchestrators(ctx)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	now, err := c.store.Now(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Orchestrator, len(all))
	for i := range all {
		o := &all[i]
		out[i] = Orchestrator{
			Name: o.Name, Host: o.Host, PID: o.PID, Version: o.Version,
			Started: time.UnixMilli(o.Started), Seen: time.UnixMilli(o.Seen), Alive: o.Alive(now),
		}
	}
	return out, nil
}
