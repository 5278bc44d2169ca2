package redisstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// How often the version of a run is read while its log is followed: soon after a
// change, and less and less often while nothing changes.
const (
	shortestPause = 5 * time.Millisecond
	longestPause  = 250 * time.Millisecond
)

// followers lets many calls wait for new versions of runs. A log is a list, and
// no command of Redis waits for an element of a list and leaves it there. So one
// goroutine reads the versions of all runs that are followed, in one round trip,
// however many calls follow a run.
type followers struct {
	read func(ctx context.Context, ids []string) (map[string]int64, error)

	mu      sync.Mutex
	runs    map[string]*followed
	polling bool          // the goroutine is running
	sooner  chan struct{} // capacity 1: a run is to be read sooner than planned
	all     sync.WaitGroup
}

// followed is a run whose versions are waited for.
type followed struct {
	version int64         // the newest that is known
	changed chan struct{} // closed when the version changes
	err     error         // of the last read, if that failed
	calls   int           // that wait
	left    time.Time     // when the last of them stopped waiting
	due     time.Time     // of the next read
	pause   time.Duration // after it
}

// remembered is how long it is known how often a run was read, after the last
// call has stopped waiting: most calls come again at once.
const remembered = 2 * time.Second

func newFollowers(read func(ctx context.Context, ids []string) (map[string]int64, error)) *followers {
	return &followers{read: read, runs: map[string]*followed{}, sooner: make(chan struct{}, 1)}
}

// await waits until a run has another version than the one that the caller has
// seen, at most for a time. It returns the newest version that is known.
func (f *followers) await(ctx context.Context, id string, seen int64, limit time.Duration) (int64, error) {
	f.mu.Lock()
	r := f.join(ctx, id, seen)
	changed := r.changed
	if r.version != seen {
		defer f.mu.Unlock()
		r.calls--
		return r.version, nil
	}
	f.mu.Unlock()
	late := time.NewTimer(limit)
	defer late.Stop()
	var err error
	select {
	case <-changed:
	case <-late.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.calls--; r.calls == 0 {
		r.left = time.Now()
		f.nudge()
	}
	if err == nil {
		err = r.err
	}
	return r.version, err
}

// join adds a call to those that follow a run. The caller holds the lock.
func (f *followers) join(ctx context.Context, id string, seen int64) *followed {
	now := time.Now()
	maps.DeleteFunc(f.runs, func(_ string, r *followed) bool { return r.calls == 0 && now.Sub(r.left) > remembered })
	r := f.runs[id]
	if r == nil {
		r = &followed{pause: shortestPause, changed: make(chan struct{})}
		f.runs[id] = r
	}
	switch {
	case r.calls == 0:
		r.version, r.err, r.due = seen, nil, now.Add(r.pause)
	case seen > r.version: // the caller was faster than the goroutine
		r.set(seen, now)
	}
	r.calls++
	switch {
	case !f.polling:
		f.polling = true
		f.all.Go(func() { f.poll(context.WithoutCancel(ctx)) })
	case r.calls == 1:
		f.nudge()
	}
	return r
}

// expect has a run be read at once, if it is followed: something has happened to
// it.
func (f *followers) expect(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.runs[id]; r != nil && r.calls > 0 {
		r.due = time.Now()
		f.nudge()
	}
}

// nudge lets the goroutine plan anew. The caller holds the lock.
func (f *followers) nudge() {
	select {
	case f.sooner <- struct{}{}:
	default:
	}
}

// poll reads versions when they are due, until no call waits.
func (f *followers) poll(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		ids, next, more := f.plan(time.Now())
		if !more {
			return
		}
		if len(ids) > 0 {
			got, err := f.read(ctx, ids)
			f.note(ids, got, err)
			continue
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-f.sooner:
		}
	}
}

// plan returns the runs that are due, and in how long the next one is. It
// reports false when no call waits: then the goroutine ends.
func (f *followers) plan(now time.Time) (ids []string, next time.Duration, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next = longestPause
	for id, r := range f.runs {
		if r.calls == 0 {
			continue
		}
		more = true
		if wait := r.due.Sub(now); wait > shortestPause/2 { // what is due a moment later joins
			next = min(next, wait)
		} else {
			ids = append(ids, id)
		}
	}
	f.polling = more
	return ids, next, more
}

// note tells those who wait what was read. An error ends their wait as well.
func (f *followers) note(ids []string, versions map[string]int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, id := range ids {
		r := f.runs[id]
		if r == nil {
			continue
		}
		r.pause = min(2*r.pause, longestPause)
		r.due = now.Add(r.pause)
		r.err = err
		if v := versions[id]; err != nil {
			r.wake()
		} else if v != r.version {
			r.set(v, now)
		}
	}
}

// set notes a new version and ends the wait of the calls.
func (r *followed) set(version int64, now time.Time) {
	r.version, r.pause, r.due = version, shortestPause, now.Add(shortestPause)
	r.wake()
}

func (r *followed) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Expect has the log of a run be looked at at once by those who follow it:
// something has happened to the run.
func (s *Store) Expect(runID string) { s.followers.expect(runID) }

// versions reads the versions of runs in one round trip; 0 where there is none.
func (s *Store) versions(ctx context.Context, ids []string) (map[string]int64, error) {
	pipe := s.client.Pipeline()
	replies := make([]*redis.StringCmd, len(ids))
	for i, id := range ids {
		replies[i] = pipe.HGet(ctx, s.run(s.PartitionOf(id), id), "version")
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read the versions of %d runs: %w", len(ids), err)
	}
	out := make(map[string]int64, len(ids))
	for i, id := range ids {
		n, err := strconv.ParseInt(replies[i].Val(), 10, 64)
		if err != nil {
			n = 0
		}
		out[id] = n
	}
	return out, nil
}
