package orchestrator

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

const (
	batch      = 200     // of what is asked for at once
	readBatch  = 64      // entries of events that are read at once
	maxTries   = 5       // deliveries of an event that cannot be processed
	cacheTasks = 300_000 // tasks of runs kept in memory
	// activeEvery is how often the progress of a run is noted, at most.
	activeEvery = time.Second
)

// partition drives the runs of one partition while this orchestrator owns it.
// Only its own goroutine touches it.
type partition struct {
	o        *Orchestrator
	p        int
	runs     map[string]*live
	programs map[string]*engine.Program
	size     int
	renewed  time.Time
	claimed  time.Time
	sweeps   time.Time
	swept    sweeper
	// unreadable are runs of which it is known that nothing can be done.
	unreadable map[string]bool
	suspects   map[wire.TicketRef]time.Time
	orphans    orphans
	// ledger tracks what was read and is not acknowledged.
	ledger ledger
	// behind are events that were read and have to wait for their turn.
	behind backlog
	// next is when the next timer is due, as far as is known: as of looked, and
	// of our commits since.
	next, looked time.Time
	// unsure says that events may have been read and not dealt with.
	unsure bool
	// reading is the pending read of events, check that of timers; nil for none.
	reading *reading
	check   *timerCheck
	// events are those of the step that is going on.
	events []engine.Event
}

// live is a run in memory, as of its newest commit.
type live struct {
	run     *engine.Run
	version int64
	before  run.Run
	tickets map[string]wire.TicketRef // by publication
	size    int
	active  int64 // when its progress was last noted
}

func newPartition(o *Orchestrator, p int) *partition {
	return &partition{o: o, p: p, runs: map[string]*live{}, programs: map[string]*engine.Program{}, suspects: map[wire.TicketRef]time.Time{}, unreadable: map[string]bool{}}
}

// round does what there is to do. After an error nobody knows what was read and
// what was committed: it is taken up anew.
func (pt *partition) round(ctx context.Context) error {
	err := pt.turn(ctx)
	if err != nil {
		pt.unsure = true // mutant: failed-commit-reclaims (skip)
	}
	return err
}

// turn renews the ownership and deals with what has happened.
func (pt *partition) turn(ctx context.Context) error {
	o := pt.o
	if o.clock().Sub(pt.renewed) > o.cfg.Ownership/3 {
		if err := pt.renew(ctx); err != nil {
			return err
		}
	}
	if !o.owns(pt.p) {
		o.sleep(ctx, o.cfg.Ownership/5)
		return nil
	}
	if pt.unsure {
		if err := pt.takeUp(ctx); err != nil {
			return err
		}
	}
	due, err := pt.due(ctx)
	if err != nil {
		return err
	}
	if len(due) > 0 {
		if err := pt.process(context.WithoutCancel(ctx), nil, due); err != nil {
			return err
		}
	}
	events, err := pt.read(ctx, pt.patience(len(due)))
	if err != nil {
		return err
	}
	pt.ledger.add(events)
	if pt.behind.events < batch && o.clock().Sub(pt.claimed) > o.cfg.Ownership {
		pt.claimed = o.clock()
		left, err := o.store.ClaimEvents(ctx, pt.p, o.cfg.Name, o.cfg.Ownership, readBatch)
		if err != nil {
			return err
		}
		left = pt.ledger.without(left)
		pt.ledger.add(left)
		o.cfg.Observer.Read(left, true)
		events = append(left, events...)
	}
	if err := pt.deal(context.WithoutCancel(ctx), events); err != nil {
		return err
	}
	pt.ackReady(context.WithoutCancel(ctx))
	if o.clock().Sub(pt.sweeps) > o.cfg.Lease {
		pt.sweeps = o.clock()
		return pt.sweep(ctx)
	}
	return nil
}

// patience is how long a turn may wait for events.
func (pt *partition) patience(due int) time.Duration {
	if due >= batch || pt.behind.events > 0 {
		return 0
	}
	if pt.next.IsZero() || pt.check != nil {
		return pt.o.cfg.Poll
	}
	return min(pt.o.cfg.Poll, max(time.Millisecond, pt.next.Sub(pt.o.now())))
}

// renew takes or keeps the partition.
func (pt *partition) renew(ctx context.Context) error {
	o := pt.o
	had := o.owns(pt.p)
	has, err := o.store.Own(ctx, pt.p, o.cfg.Name, o.cfg.Ownership)
	if err != nil {
		return err
	}
	pt.renewed = o.clock()
	o.mu.Lock()
	o.owned[pt.p] = has
	o.mu.Unlock()
	if has == had {
		return nil
	}
	if pt.unsure = has; has { // what is in memory goes with what is taken up
		o.log.Info("partition taken over", zap.Int("partition", pt.p))
		return nil
	}
	pt.drop()
	o.log.Info("partition lost to another orchestrator", zap.Int("partition", pt.p))
	return nil
}

// drop forgets what is in memory of runs and events.
func (pt *partition) drop() {
	clear(pt.runs)
	pt.size = 0
	pt.endReading()
	pt.endCheck()
	if pt.ledger.acking != nil {
		<-pt.ledger.acking
	}
	pt.behind, pt.looked, pt.ledger = backlog{}, time.Time{}, ledger{}
	pt.o.forgetNewborn(pt.p)
}

// takeUp goes on with events that were read and not dealt with: by a predecessor,
// or here, when something went wrong.
func (pt *partition) takeUp(ctx context.Context) error {
	pt.drop()
	left := 0
	for {
		events, err := pt.o.store.ClaimEvents(ctx, pt.p, pt.o.cfg.Name, time.Millisecond, readBatch)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			break
		}
		left += len(events)
		pt.ledger.add(events)
		pt.o.cfg.Observer.Read(events, true)
		if err := pt.process(context.WithoutCancel(ctx), events, nil); err != nil {
			return err
		}
		pt.endAcks(ctx) // or they are claimed again
	}
	pt.unsure = false
	if left > 0 {
		pt.o.log.Info("events taken up that had been left", zap.Int("partition", pt.p), zap.Int("events", left))
	}
	return nil
}

func (pt *partition) giveBack(ctx context.Context) {
	if !pt.o.owns(pt.p) {
		return
	}
	pt.endReading() // the next owner claims what was read before it
	pt.endCheck()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	pt.endAcks(ctx)
	if err := pt.o.store.Disown(ctx, pt.p, pt.o.cfg.Name); err != nil {
		pt.o.log.Warn("the partition is given back by its expiry only", zap.Int("partition", pt.p), zap.Error(err))
	}
}

// todo is what has happened to one run.
type todo struct {
	id     string
	events []wire.Event
	timers []wire.Timer
}

// process steps the runs that events and timers are about and commits what
// follows, some runs at a time. Runs that somebody else changed in between
// are loaded and stepped again.
func (pt *partition) process(ctx context.Context, events []wire.Event, timers []wire.Timer) error {
	order := byRun(events, timers)
	few, many := pt.o.apart(order)
	for _, part := range [][]*todo{few, many} {
		if err := pt.drive(ctx, part); err != nil {
			return err
		}
	}
	pt.shrink()
	return nil
}

// byRun groups what has happened, in the order of what was first.
func byRun(events []wire.Event, timers []wire.Timer) []*todo {
	var order []*todo
	known := map[string]*todo{}
	at := func(id string) *todo {
		t := known[id]
		if t == nil {
			t = &todo{id: id}
			known[id] = t
			order = append(order, t)
		}
		return t
	}
	for i := range events {
		t := at(events[i].Run)
		if t.events == nil {
			t.events = events[i : i+1 : i+1] // mostly the only one
		} else {
			t.events = append(t.events, events[i])
		}
	}
	for _, tm := range timers {
		t := at(tm.Run)
		t.timers = append(t.timers, tm)
	}
	return order
}

// apart puts runs of which much is to be done apart.
func (o *Orchestrator) apart(order []*todo) (few, many []*todo) {
	for _, t := range order {
		if len(t.events)+len(t.timers) < o.turns.many {
			few = append(few, t)
		} else {
			many = append(many, t)
		}
	}
	return few, many
}

func (pt *partition) ended(fx *engine.Effects) {
	took := time.Duration(fx.Run.Ended-fx.Run.Started) * time.Millisecond
	pt.o.log.Info("run ended", append(pt.o.about(&fx.Run), zap.String("state", string(fx.Run.State)), zap.Duration("took", took))...)
}

// step steps one run into c and fx. It reports false when nothing follows; then
// the events are acknowledged here.
func (pt *partition) step(ctx context.Context, t *todo, c *wire.Commit, fx *engine.Effects) (bool, error) {
	l, err := pt.load(ctx, t.id)
	if errors.Is(err, wire.ErrNotFound) {
		return false, pt.dismiss(ctx, t, true)
	}
	if err == nil && l.run.Final() {
		pt.forget(t.id)
		return false, pt.dismiss(ctx, t, true)
	}
	now := pt.o.now().UnixMilli()
	if err == nil {
		*fx, err = pt.tryStep(l, now, t)
	}
	switch {
	case err != nil && pt.o.store.Retryable(err): // mutant: connection-fault-retries (false)
		return false, err // not the run's fault
	case err != nil:
		return pt.failPoisoned(ctx, t, err, c, fx)
	}
	if fx.Stale > 0 {
		pt.o.log.Debug("stale events have no effect", append(pt.about(t.id), zap.Int("events", fx.Stale))...)
	}
	if fx.Empty() {
		fresh, err := pt.fresh(ctx, t.id, l)
		switch {
		case err != nil:
			return false, err
		case fresh:
			pt.o.cfg.Observer.Stale(fx.Stale)
			if err := pt.replied(ctx, t.id, fx); err != nil {
				return false, err
			}
			return false, pt.dismiss(ctx, t, false)
		}
		return pt.step(ctx, t, c, fx)
	}
	*c = toCommit(t.id, l.version, &l.before, fx, now)
	if l.active != 0 && c.Active-l.active < activeEvery.Milliseconds() {
		c.Active = 0
	}
	pt.o.traced(c, fx)
	for _, r := range fx.Revokes {
		ref, err := pt.ticket(ctx, l, r)
		if err != nil {
			return false, err
		}
		if ref.ID != "" {
			c.Revokes = append(c.Revokes, ref)
		}
	}
	for _, tm := range t.timers {
		if !resets(fx, tm) {
			c.ClearTimers = append(c.ClearTimers, tm)
		}
	}
	return true, nil
}

// resets reports whether a step sets the timer that fired anew.
func resets(fx *engine.Effects, tm wire.Timer) bool {
	for _, s := range fx.SetTimers {
		if s.Kind == tm.Kind && s.Task == tm.Task && s.Fence == tm.Fence {
			return true
		}
	}
	return false
}

// tryStep steps a run; a panic or a fault of the engine is an error of this run alone.
func (pt *partition) tryStep(l *live, now int64, t *todo) (engine.Effects, error) {
	events := pt.events[:0]
	defer func() { pt.events = events[:0]; clear(events) }()
	for i := range t.events {
		events = append(events, toEngine(&t.events[i]))
	}
	for _, tm := range t.timers {
		events = append(events, engine.Event{Kind: event.TimerFired, Timer: tm.Kind, Task: tm.Task, Fence: tm.Fence})
	}
	nonce := pt.o.nonce()
	return safely("step run "+t.id, func() (engine.Effects, error) {
		fx := l.run.Step(now, nonce, events...)
		return fx, fx.Fault
	})
}
