package worker

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/wire"
)

// atOnce is the number of outcomes that are reported in one transaction.
const atOnce = 256

// outcome is the end of an attempt that is to be reported. Until it is, the
// attempt stays in hand, and keeps its slot if slot is set: see Worker.report.
type outcome struct {
	a    *attempt
	ev   wire.Event
	slot bool
}

// outbox reports outcomes of a partition's tickets: whatever waits while the
// reports before it are on their way goes together. Nothing waits for company.
type outbox struct {
	w    *Worker
	p    int
	wait chan outcome
	end  <-chan struct{} // nobody reports after it
}

func newOutbox(ctx context.Context, w *Worker, p int) *outbox {
	return &outbox{w: w, p: p, wait: make(chan outcome, atOnce), end: ctx.Done()}
}

// put hands an outcome over.
func (o *outbox) put(out outcome) {
	select {
	case o.wait <- out:
	case <-o.end: // the handler took longer than a stopping worker waits
		o.w.finish(out.a, out.slot)
	}
}

// run reports until ctx ends.
func (o *outbox) run(ctx context.Context) {
	batch := make([]outcome, 0, atOnce)
	for {
		batch = batch[:0]
		select {
		case first := <-o.wait:
			batch = append(batch, first)
		case <-ctx.Done():
			return
		}
		for more := true; more && len(batch) < atOnce; {
			select {
			case next := <-o.wait:
				batch = append(batch, next)
			default:
				more = false
			}
		}
		o.report(ctx, batch)
		for i := range batch {
			o.w.finish(batch[i].a, batch[i].slot)
			batch[i] = outcome{}
		}
	}
}

// report sends outcomes and deletes their tickets, again and again until Redis
// takes them or the tickets are somebody else's.
func (o *outbox) report(ctx context.Context, batch []outcome) {
	b := o.w.newBackoff("report an outcome")
	left := batch
	for ctx.Err() == nil {
		done := make([]redisstore.Completion, len(left))
		for i := range left {
			done[i] = redisstore.Completion{Ticket: left[i].a.ticket, Event: left[i].ev}
		}
		err := o.w.store.Complete(context.WithoutCancel(ctx), o.p, o.w.cfg.Name, done)
		switch {
		case err == nil:
			o.tell(left)
			return
		case !redisstore.IsRetryable(err) && len(left) > 1:
			for i := range left { // one may be what keeps the others
				o.report(ctx, left[i:i+1])
			}
			return
		}
		if left = stillOurs(left, err); len(left) == 0 {
			return
		}
		b.wait(ctx, err)
	}
}

func (o *outbox) tell(done []outcome) {
	if !o.w.log.Core().Enabled(zap.DebugLevel) {
		return
	}
	for i := range done {
		o.w.log.Debug("attempt ended", append(done[i].a.fields(), zap.String("outcome", string(done[i].ev.Type)))...)
	}
}

// stillOurs leaves those outcomes that are worth another try.
func stillOurs(all []outcome, err error) []outcome {
	var left []outcome
	for _, o := range all {
		cause := context.Cause(o.a.ctx)
		if !redisstore.IsRetryable(err) || errors.Is(cause, ErrLeaseLost) || errors.Is(cause, ErrRevoked) {
			o.a.w.log.Error("the outcome could not be reported; the task will run again", append(o.a.fields(), zap.Error(err))...)
			continue
		}
		left = append(left, o)
	}
	return left
}
