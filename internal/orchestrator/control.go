package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/internal/fact"
	"github.com/orchis-run/orchis/internal/wire"
)

// control deals with the wishes of operators. Those about a run become events
// of it; its answer comes with the commit.
func (o *Orchestrator) control(ctx context.Context) error {
	wishes, err := o.store.ReadControl(ctx, o.cfg.Name, 32, o.cfg.Poll, o.cfg.Ownership)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	for i := range wishes {
		if err := o.wish(ctx, &wishes[i]); err != nil {
			if o.store.Retryable(err) { // mutant: control-continues (true)
				return err
			}
			// The others must not wait for one that cannot be dealt with.
			if err := o.refuse(ctx, &wishes[i], "internal error: "+err.Error()); err != nil {
				return err
			}
		}
		if err := o.store.AckControl(ctx, []string{wishes[i].Entry}); err != nil {
			return err
		}
	}
	return nil
}

// wish passes a wish on, or answers it.
func (o *Orchestrator) wish(ctx context.Context, c *wire.Control) error {
	now := o.now().UnixMilli()
	if c.Schedule != "" {
		return o.wishOfSchedule(ctx, c, now)
	}
	if c.Queue != "" {
		return o.wishOfQueue(ctx, c, now)
	}
	kind := event.Kind(c.Op)
	switch {
	case kind.Info().Sender != event.Person:
		return o.refuse(ctx, c, fmt.Sprintf("the op %q is not known: write %s", c.Op, listOps()))
	case c.Run == "":
		return o.refuse(ctx, c, "the field run is missing")
	case c.Op == "signal" && c.Signal == "":
		return o.refuse(ctx, c, "the field signal is missing")
	}
	rec, err := o.store.Run(ctx, c.Run)
	switch {
	case errors.Is(err, wire.ErrNotFound):
		return o.refuse(ctx, c, fmt.Sprintf("there is no run %q, or no longer", c.Run))
	case err != nil:
		return err
	case rec.State.Final():
		return o.refuse(ctx, c, fmt.Sprintf("the run has ended: it is %s", rec.State))
	}
	ev := wire.Event{
		Type: kind, Run: c.Run, Task: c.Job, By: c.By, Reason: c.Reason, At: now,
		Signal: c.Signal, Data: c.Data, Reply: c.ReplyTo(),
	}
	return o.store.SendEvents(ctx, o.store.PartitionOf(c.Run), []wire.Event{ev})
}

// listOps names the ops of a control request for a run, for people.
func listOps() string {
	var names []string
	for _, op := range event.Ops() {
		names = append(names, string(op))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func (o *Orchestrator) wishOfQueue(ctx context.Context, c *wire.Control, now int64) error {
	var err error
	switch c.Op {
	case "pause":
		known, err := o.queueKnown(ctx, c.Queue)
		if err != nil {
			return err
		}
		if !known {
			return o.refuse(ctx, c, fmt.Sprintf("no worker serves the queue %q, and no ticket was ever in it", c.Queue))
		}
		if err := o.store.PauseQueue(ctx, c.Queue, wire.Paused{By: c.By, Reason: c.Reason, At: now}); err != nil {
			return err
		}
	case "resume":
		err = o.store.ResumeQueue(ctx, c.Queue)
	default:
		return o.refuse(ctx, c, fmt.Sprintf("the op %q is not for queues: write pause or resume", c.Op))
	}
	if err != nil {
		return err
	}
	o.log.Info("queue", zap.String("op", c.Op), fact.Queue(c.Queue), zap.String("by", c.By), zap.String("reason", c.Reason))
	return o.answerControl(ctx, c, wire.Answer{State: wire.Accepted})
}

// queueKnown reports whether a worker serves a queue, or a ticket was ever in it.
func (o *Orchestrator) queueKnown(ctx context.Context, queue string) (bool, error) {
	workers, err := o.store.Workers(ctx)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(workers, func(w wire.Worker) bool { return slices.Contains(w.Queues, queue) }) {
		return true, nil
	}
	for p := range o.store.Partitions() {
		streams, err := o.store.Streams(ctx, p)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(streams, func(s wire.Stream) bool { return s.Queue == queue }) {
			return true, nil
		}
	}
	return false, nil
}

func (o *Orchestrator) refuse(ctx context.Context, c *wire.Control, reason string) error {
	o.log.Warn("control request refused", zap.String("op", c.Op), fact.Run(c.Run), zap.String("reason", reason))
	return o.answerControl(ctx, c, wire.Answer{State: wire.Rejected, Run: c.Run, Error: reason})
}

// answerControl answers a control request that does not become an event.
func (o *Orchestrator) answerControl(ctx context.Context, c *wire.Control, a wire.Answer) error {
	return o.store.AnswerControl(ctx, wire.AnswerTo{Entry: c.Entry, Inbox: c.Inbox, Answer: a}, wire.AnswerTTL)
}

// replied answers the control requests that a commit has dealt with, tells the
// client of a run that has ended, and asks what its tasks want to know.
func (pt *partition) replied(ctx context.Context, id string, fx *engine.Effects) error {
	for _, r := range fx.Replies {
		a := wire.Answer{State: wire.Accepted, Run: id}
		if r.Error != "" {
			a.State, a.Error = wire.Rejected, r.Error
		}
		if err := pt.o.store.AnswerControl(ctx, wire.AnswerReply(r.ID, a), wire.AnswerTTL); err != nil {
			return err
		}
	}
	if fx.RunChanged && fx.Run.State.Final() {
		pt.o.notify(ctx, fx.Run.Inbox, wire.Message{Run: id, State: string(fx.Run.State)})
	}
	if len(fx.CachePuts) > 0 {
		pt.keep(ctx, id, fx.CachePuts)
	}
	if err := pt.o.release(ctx, id, fx); err != nil {
		return err
	}
	if len(fx.Queries) > 0 {
		return pt.o.answerQueries(ctx, id, fx.Queries)
	}
	return nil
}
