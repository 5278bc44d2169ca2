package worker

import (
	"context"
	"time"

	"github.com/orchis-run/orchis/internal/trail"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/job"
)

// Observer is told what a worker does, for metrics and traces of your own. Each
// of its functions may be nil; they are called while work waits, by many
// goroutines.
type Observer struct {
	// Begin is called before a handler is, and returns the context that the
	// handler gets: one made of ctx, which has the span of the attempt.
	Begin func(ctx context.Context, a job.Attempt) context.Context
	// End is called when the handler has returned.
	End func(a job.Attempt, outcome string, took time.Duration)
	// RedisError is told the class of each error of Redis: what Redis calls it in
	// lower case, timeout, connection or other.
	RedisError func(class string)
}

// The outcomes that an Observer is told.
const (
	Succeeded = "succeeded"
	Failed    = "failed"
	Released  = "released" // handed back unfinished
	Dropped   = "dropped"  // the ticket was taken away; nothing is reported
)

// observed lets the observer begin, and returns what ends it.
func (a *attempt) observed(ctx context.Context, info job.Attempt) (context.Context, func(*wire.Event)) {
	o := a.w.cfg.Observer
	ctx = trail.Into(ctx, a.ticket.Trace)
	if o.Begin != nil {
		ctx = o.Begin(ctx, info)
	}
	return ctx, func(ev *wire.Event) {
		if o.End == nil {
			return
		}
		outcome := Dropped
		if ev != nil {
			outcome = string(ev.Type)
		}
		o.End(info, outcome, time.Since(a.began))
	}
}
