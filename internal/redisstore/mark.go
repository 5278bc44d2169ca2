package redisstore

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// mark is what a store knows of the versions of runs: those on one side of a
// partition.
//
// Whoever changes runs that are there, or deletes them, replaces the text of
// the mark in the same transaction. As long as one connection has watched it
// from our newest commit on, and our next one is let through, nobody else has
// done anything in between: the versions are those that we wrote. So who alone
// drives a partition asks Redis for nothing before it commits, and watches one
// key in place of one for each run.
type mark struct {
	// turn is of the one who changes runs.
	turn sync.Mutex

	mu   sync.Mutex
	conn *redis.Conn // watches the mark
	used time.Time
	// young and old are versions of runs: what has not been touched for long is
	// forgotten.
	young, old map[string]int64
	// era grows whenever something is forgotten.
	era uint64
}

const (
	// knownRuns is how many runs are in the younger half of what is known.
	knownRuns = 20_000
	// watchFor is how long a connection may have been idle without being probed:
	// Redis, or a proxy, may have closed it. A probe costs a round trip before the
	// commit, so this is longer than a hop takes over any usual distance.
	watchFor = time.Second
)

// take returns the connection that watches the mark, for a commit that gives it
// back; nil when there is none. Then nothing is known.
func (m *mark) take(ctx context.Context, key string) *redis.Conn {
	m.mu.Lock()
	conn, used := m.conn, m.used
	m.conn = nil
	m.mu.Unlock()
	// mutant: idle-connection-probe (without 3)
	if conn != nil && time.Since(used) > watchFor && conn.Get(ctx, key).Err() != nil {
		letGo(ctx, conn)
		conn = nil
	}
	if conn == nil {
		m.forget()
	}
	return conn
}

func (m *mark) clear() {
	m.era++
	m.young, m.old = nil, nil
}

// forget says that nothing is known any more.
func (m *mark) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
}

// keep notes the versions that a commit has made. The mark is watched by the
// connection from then on. What others knew before a watch began is worth
// nothing: somebody may have come between.
func (m *mark) keep(conn *redis.Conn, watched bool, made []*written) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !watched { // mutant: unwatched-clears-memory (false)
		m.clear()
	}
	m.conn, m.used = conn, time.Now()
	for _, w := range made {
		m.learn(w.run, w.version)
	}
}

func (m *mark) learn(run string, version int64) {
	if len(m.young) >= knownRuns {
		m.young, m.old = nil, m.young
		m.era++
	}
	if m.young == nil {
		m.young = map[string]int64{}
	}
	m.young[run] = version
}

// markOf is that of a side of a partition.
func (s *Store) markOf(p, side int) *mark { return &s.marks[p*wire.Sides+side] }

// eras are those of a partition's marks.
func (s *Store) eras(p int) (eras [wire.Sides]uint64) {
	for side := range eras {
		m := s.markOf(p, side)
		m.mu.Lock()
		eras[side] = m.era
		m.mu.Unlock()
	}
	return eras
}

// born notes runs that were created, see mark.born.
func (s *Store) born(p int, eras [wire.Sides]uint64, made []*written) {
	for _, w := range made {
		side := wire.Side(w.run)
		s.markOf(p, side).born(eras[side], w)
	}
}

// born notes a run that was created, if nothing was forgotten since before
// that: who changed it in the meantime was this store.
func (m *mark) born(era uint64, w *written) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.era != era { // mutant: creation-generation (false)
		return
	}
	if _, known := m.version(w.run); !known && w.result.Err == nil {
		m.learn(w.run, w.version)
	}
}

// known returns the version of a run, if it is known.
func (m *mark) known(run string) (int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.version(run)
}

func (m *mark) version(run string) (int64, bool) {
	if v, is := m.young[run]; is {
		return v, true
	}
	v, is := m.old[run]
	return v, is
}

// signs makes texts of marks that no other store makes.
type signs struct {
	own  string
	last atomic.Uint64
}

// sign returns a new text for a mark.
func (s *Store) sign() string { return s.signs.own + strconv.FormatUint(s.signs.last.Add(1), 36) }
