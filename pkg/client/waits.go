package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// errClosed ends the calls that wait when the client is closed.
var errClosed = errors.New("the client was closed")

// subject is a thing that a call waits for.
type subject struct {
	kind kind
	id   string // of an entry, or of a run
}

type kind int

const (
	submissionAnswer kind = iota
	controlAnswer
	runEnd
)

// outcome is what a call waited for.
type outcome struct {
	answer wire.Answer
	run    *run.Run // of a run's end, when it was read already
	err    error
}

// waiter is one call that waits.
type waiter struct {
	subject
	outcome chan outcome // capacity 1, used once
	due     time.Time    // of the next check
	pace    pace
}

// pace says when the checks of a subject are due: first after next, then after
// twice as long each time, up to most.
type pace struct{ next, most time.Duration }

// The paces of checks. Of what this client has asked for itself, a message tells:
// a check is for a message that was lost.
var (
	ofOwn     = pace{100 * time.Millisecond, time.Second}
	ofOthers  = pace{5 * time.Millisecond, 250 * time.Millisecond}
	ofAnEntry = pace{5 * time.Millisecond, time.Second}
)

// waits lets the calls of one Client wait for answers and for the ends of runs.
//
// Orchestrators put a message into the client's inbox when something has
// happened that a call may wait for. One goroutine reads the inbox with a
// blocking read (receive) and serves all calls. Messages may be lost. So a second
// goroutine (check) looks, now and then, for what the calls wait for; see checks
// for how often. Both run only while calls wait.
type waits struct {
	store  *redisstore.Store
	inbox  string // its id
	closed chan struct{}
	all    sync.WaitGroup

	mu      sync.Mutex
	calls   map[subject][]*waiter
	early   early
	checks  checks
	reading bool // receive is running
	cursor  string
	// deaf says that this user may not read the inbox.
	deaf    bool
	trouble error // of the newest command, if that failed
}

func newWaits(store *redisstore.Store, inbox string) *waits {
	return &waits{
		store: store, inbox: inbox, closed: make(chan struct{}), calls: map[subject][]*waiter{},
		early: early{known: map[subject]outcome{}}, checks: checks{sooner: make(chan struct{}, 1)}, cursor: "0",
	}
}

// close ends all calls that wait. The connections of the store must end next;
// then the goroutines do, for which all waits.
func (w *waits) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.closed:
		return
	default:
		close(w.closed)
	}
	for s := range w.calls {
		w.deliver(s, outcome{err: errClosed})
	}
}

// wait waits for a subject. When ctx ends first, the error is its cause.
func (w *waits) wait(ctx context.Context, s subject, p pace) (outcome, error) {
	me, o := w.join(ctx, s, p)
	if me == nil {
		return o, o.err
	}
	select {
	case o := <-me.outcome:
		return o, o.err
	case <-ctx.Done():
	}
	err := context.Cause(ctx)
	if trouble := w.leave(me); trouble != nil {
		err = fmt.Errorf("%w (%w)", err, trouble)
	}
	return outcome{}, err
}

// join adds a call, unless the outcome is known already: then there is no waiter.
func (w *waits) join(ctx context.Context, s subject, p pace) (*waiter, outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.closed:
		return nil, outcome{err: errClosed}
	default:
	}
	if o, known := w.early.take(s); known {
		return nil, o
	}
	me := &waiter{subject: s, outcome: make(chan outcome, 1), due: time.Now().Add(p.next), pace: p}
	w.calls[s] = append(w.calls[s], me)
	if !w.reading && !w.deaf {
		w.reading = true
		w.all.Go(func() { w.receive(context.WithoutCancel(ctx)) })
	}
	switch {
	case !w.checks.running:
		w.checks.running = true
		w.all.Go(func() { w.check(context.WithoutCancel(ctx)) })
	case me.due.Before(w.checks.planned):
		w.checks.nudge()
	}
	return me, outcome{}
}

// leave removes a call and returns the trouble with Redis, if there is some.
func (w *waits) leave(me *waiter) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.calls[me.subject][:0:0]
	for _, other := range w.calls[me.subject] {
		if other != me {
			rest = append(rest, other)
		}
	}
	if w.calls[me.subject] = rest; len(rest) == 0 {
		delete(w.calls, me.subject)
	}
	return w.trouble
}

// deliver gives an outcome to the calls that wait for it, and reports whether
// there were some. The caller holds the lock.
func (w *waits) deliver(s subject, o outcome) bool {
	calls := w.calls[s]
	delete(w.calls, s)
	for _, c := range calls {
		c.outcome <- o
	}
	return len(calls) > 0
}

// early keeps the newest outcomes that no call waits for yet: a message may come
// before the call knows the id to wait for.
type early struct {
	known map[subject]outcome
	order []subject // the oldest first, with some that were taken
}

// mostEarly is how many outcomes are kept.
const mostEarly = 1024

func (e *early) put(s subject, o outcome) {
	e.known[s] = o
	if e.order = append(e.order, s); len(e.order) > mostEarly {
		delete(e.known, e.order[0])
		e.order = e.order[1:]
	}
}

func (e *early) take(s subject) (outcome, bool) {
	o, known := e.known[s]
	delete(e.known, s)
	return o, known
}
