package orchestrator

import (
	"context"

	"github.com/orchis-run/orchis/internal/artifact"
	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// toEngine turns an event of the stream into one of the engine.
func toEngine(ev *wire.Event) engine.Event {
	return engine.Event{
		Kind: kindOf(ev.Type), Task: ev.Task, Fence: ev.Fence, Worker: ev.Worker, Version: ev.HandlerVersion, At: ev.At, Started: ev.Started,
		Result: ev.Result, Tidy: ev.Tidy, Error: ev.Error, Permanent: ev.Permanent, RetryAfter: ev.RetryAfterMs,
		Progress: ev.Progress, Note: ev.Note, Lines: ev.Lines, By: ev.By, Reason: ev.Reason,
		Signal: ev.Signal, Data: ev.Data, Reply: ev.Reply, Granted: ev.Granted, Due: ev.Due, From: ev.From,
	}
}

// kindOf returns the kind of a stream's event. A type that must not arrive on a
// stream has no kind; the engine ignores such an event as stale.
func kindOf(t wire.EventType) event.Kind {
	if t.Info().Stream {
		return t
	}
	return ""
}

// toCommit turns the effects of a step into a change of the store. Revokes and
// events are the caller's to add. before is nil when the run is new.
func toCommit(id string, version int64, before *run.Run, fx *engine.Effects, now int64) wire.Commit {
	c := wire.Commit{Run: id, Version: version, Recipe: fx.Run.Recipe, Forget: fx.Forget, More: fx.More, Active: now}
	if before == nil {
		before = &run.Run{} // what is empty need not be written
	}
	c.Fields = fx.Run.ChangedFields(before)
	c.Tasks = make([]string, 0, 2*len(fx.Tasks))
	c.Tickets = make([]wire.Ticket, 0, len(fx.Tickets))
	for i := range fx.Tasks {
		c.Tasks = append(c.Tasks, fx.Tasks[i].ID, fx.Tasks[i].Encode())
	}
	for _, o := range fx.Outputs {
		if len(o.Value) > run.InlineResult { // else it is in the task's record
			c.Outputs = append(c.Outputs, wire.Output{Task: o.Task, Value: o.Value})
		}
		for _, digest := range artifact.Find(o.Value) {
			c.Artifacts = append(c.Artifacts, wire.Artifact{Digest: digest, Made: o.Made, KeepFor: o.KeepFor})
		}
	}
	if len(fx.Log) > 0 {
		c.Log = run.EncodeChanges(fx.Log)
	}
	for _, k := range fx.Tickets {
		c.Tickets = append(c.Tickets, wire.Ticket{
			Queue: k.Queue, Priority: wire.LaneOf(k.Priority), Run: id, Task: k.Task, Fence: k.Fence, Attempt: k.Attempt,
			Handler: k.Handler, Inputs: k.Inputs, Env: k.Env, Secrets: k.Secrets, TimeoutMs: k.TimeoutMs, HeartbeatMs: k.HeartbeatMs,
			Recipe: fx.Run.Recipe, PublishedMs: now,
		})
	}
	for _, t := range fx.SetTimers {
		c.SetTimers = append(c.SetTimers, toTimer(id, t))
	}
	for _, t := range fx.ClearTimers {
		c.ClearTimers = append(c.ClearTimers, toTimer(id, engine.Timer{Kind: t.Kind, Task: t.Task, Fence: t.Fence}))
	}
	for _, d := range fx.Dead {
		c.Dead = append(c.Dead, wire.DeadLetter{Run: id, Task: d.Task, Handler: d.Handler, Attempt: d.Attempt, Error: d.Error, At: now})
	}
	if fx.Run.State.Final() {
		c.Active, c.Done, c.RetainFor = 0, now, fx.RetainFor
	}
	return c
}

// ticket finds the stream entry of a publication: from memory, or else in the
// common stream and in that of its handler. Without one there is nothing to
// withdraw.
func (pt *partition) ticket(ctx context.Context, l *live, r engine.Revoke) (wire.TicketRef, error) {
	if ref, ok := l.tickets[r.Fence]; ok {
		delete(l.tickets, r.Fence)
		return ref, nil
	}
	for _, handler := range []string{"", r.Handler} {
		stream := wire.Stream{Queue: r.Queue, Handler: handler, Priority: wire.LaneOf(r.Priority)}
		if id, err := pt.find(ctx, stream, r.Fence); err != nil || id != "" {
			return wire.TicketRef{Stream: stream, ID: id}, err
		}
	}
	return wire.TicketRef{}, nil
}

// find returns the entry of a publication in a stream; empty when the stream
// does not hold it.
func (pt *partition) find(ctx context.Context, stream wire.Stream, fence string) (string, error) {
	after := ""
	for {
		some, err := pt.o.store.ScanTickets(ctx, pt.p, stream, after, 500)
		if err != nil {
			return "", err
		}
		for i := range some {
			if some[i].Fence == fence {
				return some[i].ID, nil
			}
			after = some[i].ID
		}
		if len(some) < 500 {
			return "", nil
		}
	}
}
