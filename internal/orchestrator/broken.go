package orchestrator

import (
	"context"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/fact"
	"github.com/orchis-run/orchis/internal/wire"
)

// failPoisoned handles events of a run that cannot be stepped. They are delivered again
// a few times; then the run fails, visibly. A run that has ended keeps its state:
// its events are late, whatever is wrong with its records.
func (pt *partition) failPoisoned(ctx context.Context, t *todo, cause error, c *wire.Commit, fx *engine.Effects) (bool, error) {
	about := pt.about(t.id)
	pt.forget(t.id)
	rec, err := pt.o.store.Run(ctx, t.id)
	if err == nil && rec.State.Final() {
		return false, pt.dismiss(ctx, t, true)
	}
	tries := int64(0)
	for _, ev := range t.events {
		tries = max(tries, ev.Deliveries())
	}
	pt.o.log.Error("events cannot be processed", append(about, zap.Int64("tries", tries), zap.Error(cause))...)
	if tries < maxTries && len(t.timers) == 0 {
		for i := range t.events { // left pending: they are claimed again
			pt.ledger.abandon(&t.events[i])
		}
		return false, nil
	}
	switch {
	case err != nil && pt.o.store.Retryable(err): // mutant: unreadable-run-skipped (without 2)
		return false, err
	case err != nil: // not even that can be written down; the others must go on
		pt.o.log.Error("a run cannot be read: what happened to it has no effect", fact.Run(t.id), zap.Error(err))
		pt.unreadable[t.id] = true
		return false, pt.dismiss(ctx, t, false)
	}
	now := pt.o.now().UnixMilli()
	if *fx = engine.Abandon(rec, firstLine(cause.Error()), now); fx.Fault != nil {
		return false, fx.Fault
	}
	*c = toCommit(t.id, rec.Version, &rec, fx, now)
	c.ClearTimers = append(c.ClearTimers, t.timers...)
	return true, nil
}

// dismiss marks events as covered, and removes timers, that have no effect;
// perhaps because the run has ended.
func (pt *partition) dismiss(ctx context.Context, t *todo, ended bool) error {
	if ended && len(t.events) > 0 {
		pt.o.cfg.Observer.Stale(len(t.events))
	}
	for i := range t.events {
		ev := &t.events[i]
		if ended && ev.Reply != "" {
			if err := pt.o.store.AnswerControl(ctx, wire.AnswerReply(ev.Reply, wire.Answer{State: wire.Rejected, Run: t.id, Error: "the run has ended"}), wire.AnswerTTL); err != nil {
				return err
			}
		}
	}
	for i := range t.events {
		pt.ledger.cover(&t.events[i], false)
	}
	if len(t.timers) > 0 {
		return pt.o.store.RemoveTimers(ctx, pt.p, t.timers)
	}
	return nil
}
