package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/fact"
	"github.com/orchis-run/orchis/internal/fetch"
	"github.com/orchis-run/orchis/internal/secret"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/run"
)

const (
	startedAfter  = 200 * time.Millisecond // work shorter than this is not reported as started
	progressEvery = time.Second
)

// attempt is a ticket in hand.
type attempt struct {
	w      *Worker
	ticket wire.Ticket
	ctx    context.Context //nolint:containedctx // the attempt's life
	cancel context.CancelCauseFunc
	began  time.Time
	// inputs and env have their secrets in, which mask hides again.
	inputs, env json.RawMessage
	mask        *secret.Mask
	heard       time.Time // when Redis last said that the ticket is ours; under w.mu
	unreported  bool      // counts in w.unreported

	tail logTail

	mu       sync.Mutex
	reported time.Time
	proof    *time.Timer // pushed away by progress
	dir      string
}

func newAttempt(ctx context.Context, w *Worker, t wire.Ticket) *attempt {
	a := &attempt{w: w, ticket: t, mask: w.mask}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	return a
}

func (a *attempt) fields() []zap.Field { return fact.Ticket(&a.ticket) }

func (a *attempt) event(t wire.EventType) wire.Event {
	ev := wire.Event{
		Type: t, Run: a.ticket.Run, Task: a.ticket.Task, Fence: a.ticket.Fence,
		Worker: a.w.cfg.Name, At: time.Now().UnixMilli(),
	}
	if !a.began.IsZero() {
		ev.Started = a.began.UnixMilli()
	}
	ev.Lines = a.tail.wrote()
	return ev
}

func (a *attempt) failed(code, message string, permanent bool) *wire.Event {
	ev := a.event(wire.Failed)
	message = a.mask.Text(message)
	ev.Error = &run.Error{Code: a.mask.Text(code), Message: message[:min(len(message), 8<<10)]}
	ev.Permanent = permanent
	return &ev
}

// perform runs the handler and returns what to report; nothing when the ticket
// is somebody else's now.
func (a *attempt) perform() (report *wire.Event) {
	// mutant: unsigned-ticket-refused (false)
	if err := a.w.keys.Verify(&a.ticket, time.Now(), a.w.cfg.SignedWithin); err != nil {
		a.refuse(err)
		return nil
	}
	h, ok := a.w.jobs.Lookup(a.ticket.Handler)
	if !ok {
		ev := a.event(wire.Released)
		ev.Error = &run.Error{Code: run.CodeHandler, Message: fmt.Sprintf("worker %s has no handler %q", a.w.cfg.Name, a.ticket.Handler)}
		return &ev
	}
	if a.ctx.Err() != nil {
		return a.interrupted()
	}
	if err := a.unseal(); err != nil {
		return a.failed(run.CodeSecret, err.Error(), true)
	}
	defer a.removeDir()
	a.began = time.Now()
	ctx, stop := a.timeouts()
	defer stop()
	defer time.AfterFunc(startedAfter, func() { a.send(a.event(wire.Started)) }).Stop()
	info := a.info()
	ctx, end := a.observed(ctx, info)
	defer func() { end(report) }()
	out, err := a.call(job.WithFiles(job.NewContext(ctx, info, a), files{a.w.files, fetch.Config{AllowPrivate: a.w.cfg.AllowPrivate}, a.Dir}), h)
	a.flushLines()
	if cause := context.Cause(ctx); cause != nil && (err != nil || !errors.Is(cause, ErrDraining)) {
		return a.outOf(cause)
	}
	if err != nil {
		f := job.Classify(err)
		ev := a.failed(f.Code, f.Message, f.Permanent)
		ev.RetryAfterMs = f.RetryAfter.Milliseconds()
		return ev
	}
	if out, err = a.mask.JSON(out); err != nil { // mutant: masked-results (skip)
		return a.failed(run.CodeError, "the result is not JSON: "+err.Error(), true)
	}
	if len(out) > a.w.cfg.MaxResult { // mutant: result-size-limit (false)
		return a.failed(run.CodeTooLarge, fmt.Sprintf("the result has %d bytes, more than the limit of %d: return a path or a URL", len(out), a.w.cfg.MaxResult), true)
	}
	ev := a.event(wire.Succeeded)
	ev.Result, ev.HandlerVersion = out, a.w.jobs.Version(a.ticket.Handler)
	return &ev
}

// timeouts bounds the attempt by its timeout and by that of its heartbeat.
func (a *attempt) timeouts() (context.Context, context.CancelFunc) {
	ctx, stop := a.ctx, context.CancelFunc(func() {})
	if ms := a.ticket.TimeoutMs; ms > 0 { // mutant: attempt-timeout (false)
		ctx, stop = context.WithTimeoutCause(ctx, time.Duration(ms)*time.Millisecond, ErrTimeout)
	}
	if ms := a.ticket.HeartbeatMs; ms > 0 {
		a.mu.Lock()
		a.proof = time.AfterFunc(time.Duration(ms)*time.Millisecond, func() { a.cancel(ErrHeartbeat) })
		a.mu.Unlock()
	}
	return ctx, func() {
		stop()
		a.tail.stop()
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.proof != nil {
			a.proof.Stop()
		}
	}
}

func (a *attempt) info() job.Attempt {
	i := job.Attempt{
		Run: a.ticket.Run, Task: a.ticket.Task, Recipe: a.ticket.Recipe, Handler: a.ticket.Handler, Queue: a.ticket.Queue, Trace: a.ticket.Trace,
		Worker: a.w.cfg.Name, Number: a.ticket.Attempt, Fence: a.ticket.Fence,
		IdempotencyKey: a.ticket.Run + "/" + a.ticket.Task,
	}
	if a.ticket.TimeoutMs > 0 {
		i.Deadline = a.began.Add(time.Duration(a.ticket.TimeoutMs) * time.Millisecond)
	}
	if len(a.env) > 0 {
		if err := json.Unmarshal(a.env, &i.Env); err != nil {
			a.w.log.Warn("the ticket's env is not understood", append(a.fields(), zap.Error(err))...)
		}
	}
	return i
}

// call calls the handler; a panic becomes an error.
func (a *attempt) call(ctx context.Context, h job.Handler) (out json.RawMessage, err error) {
	defer func() {
		if v := recover(); v != nil {
			stack := debug.Stack()
			a.w.log.Error("the handler panicked", append(a.fields(), zap.String("panic", a.mask.Text(fmt.Sprint(v))), zap.String("stack", a.mask.Text(string(stack))))...)
			a.Log("log", fmt.Sprintf("panic: %v\n%s", v, stack))
			err = job.Code(fmt.Errorf("panic: %v", v), run.CodePanic)
		}
	}()
	if len(a.inputs) == 0 {
		a.inputs = json.RawMessage("{}")
	}
	return h.Run(ctx, a.inputs)
}

func (a *attempt) interrupted() *wire.Event { return a.outOf(context.Cause(a.ctx)) }

// outOf is what to report when the context ended for a cause.
func (a *attempt) outOf(cause error) *wire.Event {
	switch {
	case errors.Is(cause, ErrTimeout):
		return a.failed(run.CodeTimeout, fmt.Sprintf("the attempt took longer than its timeout of %s", time.Duration(a.ticket.TimeoutMs)*time.Millisecond), false)
	case errors.Is(cause, ErrHeartbeat):
		return a.failed(run.CodeHeartbeat, fmt.Sprintf("the handler reported no progress for %s", time.Duration(a.ticket.HeartbeatMs)*time.Millisecond), false)
	case errors.Is(cause, ErrRevoked), errors.Is(cause, ErrLeaseLost):
		a.w.log.Info("work stopped", append(a.fields(), zap.NamedError("cause", cause))...)
		return nil
	case errors.Is(cause, errNoDir):
		return a.failed(run.CodeError, cause.Error(), false)
	}
	ev := a.event(wire.Released)
	ev.Error = &run.Error{Code: "draining", Message: cause.Error()}
	return &ev
}

// send sends an event that nothing depends on.
func (a *attempt) send(ev wire.Event) {
	ctx, cancel := context.WithTimeout(a.ctx, 5*time.Second)
	defer cancel()
	if err := a.w.store.SendEvents(ctx, a.ticket.Partition, []wire.Event{ev}); err != nil {
		a.w.log.Debug("progress is not reported", append(a.fields(), zap.Error(err))...)
	}
}

// Progress passes on what the handler reports, once a second at most.
func (a *attempt) Progress(percent float64, note string) {
	a.mu.Lock()
	if a.proof != nil {
		a.proof.Reset(time.Duration(a.ticket.HeartbeatMs) * time.Millisecond)
	}
	now := time.Now()
	if now.Sub(a.reported) < progressEvery {
		a.mu.Unlock()
		return
	}
	a.reported = now
	a.mu.Unlock()
	note = a.mask.Text(note)
	ev := a.event(wire.Progress)
	ev.Progress, ev.Note = percent, note[:min(len(note), 1<<10)]
	a.send(ev)
}

// backoff waits between tries, longer each time, and logs now and then.
type backoff struct {
	log    *zap.Logger
	what   string
	tries  int
	logged time.Time
}

func (w *Worker) newBackoff(what string) *backoff { return &backoff{log: w.log, what: what} }

func (b *backoff) reset() { b.tries = 0 }

// wait waits after a failed try, until ctx ends at the latest.
func (b *backoff) wait(ctx context.Context, err error) {
	t := time.NewTimer(b.next(err))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// next is how long to wait after a failed try.
func (b *backoff) next(err error) time.Duration {
	if time.Since(b.logged) > 10*time.Second {
		b.logged = time.Now()
		b.log.Warn("Redis does not do what it should", zap.String("action", b.what), zap.Error(err))
	}
	ceiling := min(50*time.Millisecond<<min(b.tries, 7), 5*time.Second)
	b.tries++
	return rand.N(ceiling) + 10*time.Millisecond
}
