package worker

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/wire"
)

const (
	// mostAtOnce bounds the tickets of one claim.
	mostAtOnce = 100
	// mostClaims bounds the claims in flight of a worker, over all partitions. The
	// second goes out while the first is in flight only after claimSpacing: on a
	// short way to Redis one claim at a time takes more tickets together.
	mostClaims   = 8
	claimSpacing = 2 * time.Millisecond
	// A look counts the tickets of at most lookSize streams. While claims go on
	// there is one every lookEvery, or lookEveryMany with more streams than that;
	// lookEveryFull while all slots are taken.
	lookSize      = 64
	lookEvery     = 10 * time.Millisecond
	lookEveryMany = 50 * time.Millisecond
	lookEveryFull = 200 * time.Millisecond
	// A watch may bring a ticket from each stream. With more streams than free
	// slots, and when nothing is known of them for unknownFor, a look at all of them
	// goes first, so that the worker does not claim far more than it can do.
	unknownFor = time.Second
)

// claimer claims the tickets of one partition. There are three kinds of reads,
// which run in goroutines of their own and come back through done:
//
//   - A claim takes tickets from streams that may hold some, without waiting. It
//     reserves a slot for each ticket that it may bring.
//   - A watch waits for a ticket in any stream, while none is known to hold one.
//     It reserves no slot, since other partitions need them.
//   - A look finds out which of the other streams hold tickets, and takes none.
//     So a high ticket is noticed while normal ones are claimed.
//
// Tickets start as soon as a reply brings them. Only the claimer's goroutine
// touches its fields.
type claimer struct {
	w       *Worker
	p       int
	lanes   *lanes
	version int // of the streams that the worker serves
	most    int // claims in flight
	done    chan read

	claims, watches int // in flight
	current         int // watches in flight that cover all streams
	looking         bool
	claimed, looked time.Time // when the last claim and the last look began
	known           time.Time // when a watch of all streams, or a look at them, ended
	notBefore       time.Time // after an error
	backoff         *backoff
}

// read is a claim, a watch or a look.
type read struct {
	kind    readKind
	takes   []redisstore.Take
	version int
	all     bool                // a look at all streams
	found   []wire.Stream       // by a look
	got     map[wire.Stream]int // tickets by stream
	err     error
}

type readKind int

const (
	isClaim readKind = iota
	isWatch
	isLook
)

func newClaimer(w *Worker, p, partitions int) *claimer {
	return &claimer{
		w: w, p: p, lanes: newLanes(), version: -1, most: max(2, mostClaims/partitions),
		done: make(chan read), looked: time.Now(), backoff: w.newBackoff("claim tickets"),
	}
}

// run claims until ctx ends, then waits for the reads in flight. These are not
// cut off: a reply that is lost would leave tickets with a worker that does not
// know of them.
func (c *claimer) run(ctx, alive context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		changed := c.refresh()
		now := time.Now()
		c.lookAround(alive, now)
		var slot chan<- struct{}
		if c.wantsSlot(now) {
			slot = c.w.slots
		}
		timer.Reset(c.untilNext(now))
		select {
		case slot <- struct{}{}:
			c.useSlot(alive)
		case r := <-c.done:
			c.learn(&r)
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	for c.claims+c.watches > 0 || c.looking {
		r := <-c.done
		c.learn(&r)
	}
}

// refresh takes over the streams that the worker serves now. The channel is
// closed when they change again.
func (c *claimer) refresh() <-chan struct{} {
	streams, version, changed := c.w.served.get()
	if version != c.version {
		c.version, c.current = version, 0
		c.lanes.serve(streams)
	}
	return changed
}

// wantsSlot reports whether a read that needs a free slot is due.
func (c *claimer) wantsSlot(now time.Time) bool {
	switch {
	case len(c.lanes.all) == 0, now.Before(c.notBefore):
		return false
	case c.lanes.anyWarm():
		return c.claims == 0 || c.claims < c.most && now.Sub(c.claimed) >= claimSpacing
	}
	return c.current == 0 && (!c.looking || !c.mustLook())
}

// mustLook reports whether a watch might bring far more tickets than there are
// free slots.
func (c *claimer) mustLook() bool {
	return len(c.lanes.all) > c.free() && time.Since(c.known) > unknownFor
}

// full reports whether all slots are taken.
func (c *claimer) full() bool { return len(c.w.slots) == cap(c.w.slots) }

// free is the number of free slots, at least 1.
func (c *claimer) free() int { return max(1, cap(c.w.slots)-len(c.w.slots)) }

// untilNext is how long nothing is due unless something happens.
func (c *claimer) untilNext(now time.Time) time.Duration {
	next := now.Add(time.Minute)
	due := func(at time.Time) {
		if at.After(now) && at.Before(next) {
			next = at
		}
	}
	due(c.notBefore)
	due(c.claimed.Add(claimSpacing))
	due(c.looked.Add(c.lookInterval()))
	return next.Sub(now)
}

// useSlot begins the read for which a slot was taken.
func (c *claimer) useSlot(alive context.Context) {
	if c.lanes.anyWarm() {
		c.claim(alive)
		return
	}
	<-c.w.slots
	if c.mustLook() { // mutant: look-before-watch (false)
		c.startLook(alive, len(c.lanes.all))
		return
	}
	c.watch(alive, c.free())
}

// claim reads from warm streams with the slot that was taken and all others that
// are free.
func (c *claimer) claim(alive context.Context) {
	n := 1
	for more := true; more && n < mostAtOnce; {
		select {
		case c.w.slots <- struct{}{}:
			n++
		default:
			more = false
		}
	}
	c.claims++
	c.claimed = time.Now()
	r := read{kind: isClaim, takes: c.lanes.plan(n), version: c.version}
	go func() {
		var tickets []wire.Ticket
		tickets, r.err = c.w.store.ClaimTickets(alive, c.p, c.w.cfg.Name, r.takes)
		for i, t := range tickets {
			c.w.start(alive, t, i < n)
		}
		for range n - len(tickets) {
			<-c.w.slots
		}
		r.got = countByStream(tickets)
		c.done <- r
	}()
}

// watch waits for tickets in all streams.
func (c *claimer) watch(alive context.Context, free int) {
	streams := make([]wire.Stream, len(c.lanes.all))
	for i, s := range c.lanes.all {
		streams[i] = s.stream
	}
	count := watchCount(free, len(streams))
	r := read{kind: isWatch, version: c.version}
	for _, stream := range streams {
		r.takes = append(r.takes, redisstore.Take{Stream: stream, Count: count})
	}
	c.watches++
	c.current++
	go func() {
		var tickets []wire.Ticket
		tickets, r.err = c.w.store.AwaitTickets(alive, c.p, c.w.cfg.Name, streams, count, c.w.cfg.Poll)
		for _, t := range tickets {
			c.w.start(alive, t, c.w.trySlot())
		}
		r.got = countByStream(tickets)
		c.done <- r
	}()
}

// watchCount is how many tickets a watch may bring from each stream: no more in
// total than there are free slots, if they suffice for a ticket of each stream.
// With a single one, a stream that gives it looks as if it had more, which costs
// a claim; so it is two where some slots are free.
func watchCount(free, streams int) int {
	if n := free / streams; n > 1 || free < 4 {
		return max(1, n)
	}
	return 2
}

// lookAround looks at some streams when it is time, and no watch covers them or
// is about to.
func (c *claimer) lookAround(alive context.Context, now time.Time) {
	watched := c.current > 0 || !c.lanes.anyWarm() && !c.full()
	if watched || c.looking || now.Before(c.notBefore) || now.Sub(c.looked) < c.lookInterval() { // mutant: look-while-claiming (true)
		return
	}
	c.startLook(alive, lookSize)
}

func (c *claimer) lookInterval() time.Duration {
	switch {
	case c.claims == 0 && c.full():
		return lookEveryFull
	case len(c.lanes.all) > lookSize:
		return lookEveryMany
	}
	return lookEvery
}

// startLook looks at n of the streams that are not warm.
func (c *claimer) startLook(alive context.Context, n int) {
	c.looked = time.Now()
	streams := c.lanes.cold(n)
	if len(streams) == 0 {
		return
	}
	c.looking = true
	r := read{kind: isLook, version: c.version, all: n >= len(c.lanes.all)}
	go func() {
		r.found, r.err = c.w.store.WaitingStreams(alive, c.p, streams)
		c.done <- r
	}()
}

// learn takes in what a read brought.
func (c *claimer) learn(r *read) {
	switch r.kind {
	case isClaim:
		c.claims--
	case isWatch:
		c.watches--
		if r.version == c.version {
			c.current--
			c.known = time.Now()
		}
	case isLook:
		c.looking = false
		if r.all && r.version == c.version { // also after an error: a watch will tell
			c.known = time.Now()
		}
		c.lanes.heat(r.found)
		if r.err != nil { // a claim or a watch tells of it
			c.w.log.Debug("the waiting tickets cannot be counted", zap.Error(r.err))
		}
		return
	}
	c.w.note(r.err)
	if r.err != nil {
		c.notBefore = time.Now().Add(c.backoff.next(r.err))
		return
	}
	c.backoff.reset()
	if r.kind == isClaim {
		c.lanes.learn(r.takes, r.got)
		return
	}
	for _, take := range r.takes { // streams that gave nothing may not have been asked
		if r.got[take.Stream] >= take.Count {
			c.lanes.heat([]wire.Stream{take.Stream})
		}
	}
}

func countByStream(tickets []wire.Ticket) map[wire.Stream]int {
	n := make(map[wire.Stream]int, 1)
	for i := range tickets {
		n[tickets[i].Stream()]++
	}
	return n
}
