package orchestrator

import (
	"context"
	"time"

	"github.com/orchis-run/orchis/internal/wire"
)

// A read of events is always pending while runs are stepped and committed, and
// timers are looked up beside it: over distance each of them costs a round trip
// that no run should wait for. A simulation does one after the other instead.

// reading is a blocking read of events in the background.
type reading struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it is over
	events []wire.Event
	err    error
}

// startReading begins a read in the background.
func (pt *partition) startReading(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &reading{cancel: cancel, done: make(chan struct{})}
	pt.reading = r
	go func() {
		defer close(r.done)
		r.events, r.err = pt.o.store.ReadEvents(ctx, pt.p, pt.o.cfg.Name, readBatch, pt.o.cfg.Poll)
	}()
}

// endReading leaves what the pending read may still return to whichever
// orchestrator claims it.
func (pt *partition) endReading() {
	if r := pt.reading; r != nil {
		pt.reading = nil
		r.cancel()
		<-r.done
	}
}

// read returns new events, as many as there are and may be kept in memory. With
// none there it waits, at most for block, or until a timer check is done.
func (pt *partition) read(ctx context.Context, block time.Duration) ([]wire.Event, error) {
	if !pt.hasRoom(nil) {
		return nil, nil
	}
	if !pt.o.concurrent {
		return pt.readAll(ctx, nil, block)
	}
	if pt.reading == nil {
		pt.startReading(ctx)
	}
	r := pt.reading
	if !pt.await(ctx, r.done, block) {
		return nil, nil
	}
	pt.reading = nil
	r.cancel()
	if r.err != nil && len(r.events) == 0 {
		return nil, r.err
	}
	pt.o.cfg.Observer.Read(r.events, false)
	events, err := r.events, error(nil) // mutant: pending-read-is-used (replace r.events by []wire.Event(nil))
	if entriesOf(events) >= readBatch && pt.hasRoom(events) {
		events, err = pt.readAll(ctx, events, 0)
	}
	if pt.hasRoom(events) {
		pt.startReading(ctx)
	}
	return events, err
}

// await waits for a read. It reports false when block is over, ctx ends or the
// timer check under way is done first.
func (pt *partition) await(ctx context.Context, done <-chan struct{}, block time.Duration) bool {
	select {
	case <-done:
		return true
	default:
	}
	if block <= 0 {
		return false
	}
	var check chan struct{}
	if pt.check != nil {
		check = pt.check.done
	}
	late := time.NewTimer(block)
	defer late.Stop()
	select {
	case <-done:
		return true
	case <-check:
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}

// readAll reads on while there is more, up to what may be kept.
func (pt *partition) readAll(ctx context.Context, all []wire.Event, block time.Duration) ([]wire.Event, error) {
	for pt.hasRoom(all) {
		some, err := pt.o.store.ReadEvents(ctx, pt.p, pt.o.cfg.Name, readBatch, block)
		if err != nil && len(all) == 0 {
			return nil, err
		}
		pt.o.cfg.Observer.Read(some, false)
		all = append(all, some...)
		if entriesOf(some) < readBatch {
			break // an error shows again when it lasts
		}
		block = 0
	}
	return all, nil
}

// hasRoom reports whether more events may be read beside those in memory.
func (pt *partition) hasRoom(events []wire.Event) bool {
	bytes := pt.behind.bytes
	for i := range events {
		bytes += sizeOf(&events[i])
	}
	return pt.behind.events+len(events) < mostAhead && bytes < readBytes
}

// entriesOf counts the entries that events came in.
func entriesOf(events []wire.Event) int {
	n := 0
	for i := range events {
		if i == 0 || events[i].Entry != events[i-1].Entry {
			n++
		}
	}
	return n
}

// timerCheck looks up due timers in the background.
type timerCheck struct {
	done chan struct{} // closed when it is over
	due  []wire.Timer
	next time.Time
	err  error
	// since is the earliest timer that was set since it began; zero for none.
	since time.Time
}

// lookEvery is how often timers are looked up while there is much to do: other
// orchestrators set some, too, with the runs that they create.
const lookEvery = 100 * time.Millisecond

// due returns timers that are due. It asks only when one can be due, and does
// not wait for the reply: a later call returns what it says.
func (pt *partition) due(ctx context.Context) ([]wire.Timer, error) {
	o := pt.o
	if pt.check == nil {
		if o.clock().Sub(pt.looked) < lookEvery && (pt.next.IsZero() || o.now().Before(pt.next)) {
			return nil, nil
		}
		pt.looked = o.clock()
		pt.startCheck(ctx, o.now())
	}
	c := pt.check
	select {
	case <-c.done:
	default:
		return nil, nil
	}
	pt.check = nil
	pt.next = c.next
	if !c.since.IsZero() {
		pt.expectAt(c.since)
	}
	if c.err != nil || len(c.due) >= batch { // mutant: full-timer-batch-polls-again (without 2)
		pt.looked = time.Time{}
	}
	return c.due, c.err
}

func (pt *partition) startCheck(ctx context.Context, now time.Time) {
	c := &timerCheck{done: make(chan struct{})}
	pt.check = c
	look := func() {
		defer close(c.done)
		c.due, c.next, c.err = pt.o.store.DueTimers(ctx, pt.p, now, batch)
	}
	if pt.o.concurrent {
		go look()
	} else {
		look()
	}
}

// expectTimer notes a timer that was set.
func (pt *partition) expectTimer(t wire.Timer) {
	at := time.UnixMilli(t.Due)
	if c := pt.check; c != nil && (c.since.IsZero() || at.Before(c.since)) {
		c.since = at
	}
	pt.expectAt(at)
}

func (pt *partition) expectAt(at time.Time) {
	if pt.next.IsZero() || at.Before(pt.next) {
		pt.next = at
	}
}

// endCheck drops the check of timers under way.
func (pt *partition) endCheck() {
	if pt.check != nil {
		<-pt.check.done
		pt.check = nil
	}
}
