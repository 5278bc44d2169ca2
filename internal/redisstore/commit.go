package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// maxCommit is about the number of records and tickets that one transaction may
// write; other clients of Redis wait as long, which is some 2 ms.
const maxCommit = 400

// commitTries is how often a transaction is tried when somebody else changes
// one of its runs between its two halves.
const commitTries = 5

// Commit applies changes of runs of one partition; each as a whole or not at
// all. When it returns an error, it is unknown which were applied: the runs
// must be loaded again.
func (s *Store) Commit(ctx context.Context, p int, changes []wire.Commit) ([]wire.CommitResult, error) {
	changes, err := s.offload(ctx, p, changes)
	if err != nil {
		return nil, err
	}
	acks := map[string]int{}
	if onlyNew(changes) {
		return s.commitAll(ctx, p, 0, changes, acks)
	}
	results := make([]wire.CommitResult, len(changes))
	for side := range wire.Sides {
		var some []wire.Commit
		var places []int
		for i := range changes {
			if wire.Side(changes[i].Run) == side {
				some, places = append(some, changes[i]), append(places, i)
			}
		}
		if len(some) == len(changes) {
			return s.commitAll(ctx, p, side, changes, acks)
		}
		part, err := s.commitAll(ctx, p, side, some, acks)
		if err != nil {
			return nil, err
		}
		for k, i := range places {
			results[i] = part[k]
		}
	}
	return results, nil
}

// commitAll applies changes of one side, or such that only create runs, in as
// many transactions as it takes. acks counts, by entry of events, the changes
// of the call that have been written so far.
func (s *Store) commitAll(ctx context.Context, p, side int, changes []wire.Commit, acks map[string]int) ([]wire.CommitResult, error) {
	var results []wire.CommitResult
	for len(changes) > 0 {
		n, size := 0, 0
		for n < len(changes) && (n == 0 || size+weight(&changes[n]) <= maxCommit) {
			size += weight(&changes[n])
			n++
		}
		part, err := s.commitSome(ctx, p, side, changes[:n], acks)
		if err != nil {
			return nil, fmt.Errorf("commit %d changes: %w", n, err)
		}
		results = append(results, part...)
		changes = changes[n:]
	}
	return results, nil
}

func weight(c *wire.Commit) int { return 1 + len(c.Tasks)/2 + len(c.Tickets) + len(c.Revokes) }

// commitSome applies changes in one transaction. What they depend on, the
// versions of the runs above all, is watched from before they are made: Redis
// refuses the transaction when anything of it has changed since. All goes
// through one connection: one that breaks takes its watch with it, and is not
// replaced.
func (s *Store) commitSome(ctx context.Context, p, side int, changes []wire.Commit, acks map[string]int) ([]wire.CommitResult, error) {
	m, creates := s.markOf(p, side), onlyNew(changes)
	if !creates {
		m.turn.Lock()
		defer m.turn.Unlock()
	}
	eras, node := s.eras(p), ""
	for range commitTries {
		a, err := s.attempt(ctx, p, side, creates, node)
		if err != nil {
			return nil, err
		}
		a.acks = acks
		results, err := a.try(ctx, changes)
		switch {
		case creates && len(a.made) > 0: // nothing is watched after EXEC
			_ = a.conn.Close()
			s.born(p, eras, a.made)
		case creates:
			letGo(ctx, a.conn)
		case err == nil && a.unchanged:
			m.keep(a.conn, a.watched, a.made)
		default:
			m.forget()
			letGo(ctx, a.conn)
		}
		if err == nil {
			return results, s.undo(ctx, p, a.made)
		}
		if errors.Is(err, redis.TxFailedErr) {
			continue
		}
		s.reroute(ctx, err)
		if to, moved := redis.IsMovedError(err); moved && to != node {
			node = to // nothing was written here
			continue
		}
		return nil, err
	}
	return nil, errContended
}

// onlyNew reports whether all changes create runs.
func onlyNew(changes []wire.Commit) bool {
	return !slices.ContainsFunc(changes, func(c wire.Commit) bool { return c.Version > 0 })
}

// letGo gives a connection back without what it watches: that would be held
// against the next who has it.
func letGo(ctx context.Context, conn *redis.Conn) {
	_ = conn.Do(ctx, "UNWATCH").Err()
	_ = conn.Close()
}

// errContended says that nothing was written and nothing is known of the runs:
// it is no conflict. Waiting helps.
var errContended = errors.New("TRYAGAIN what a commit depends on keeps being changed")

// attempt is one try of a transaction.
type attempt struct {
	*Store

	p    int
	mark *mark
	key  string // of the mark
	conn *redis.Conn
	// creates says that no run is changed that was there, and so the mark is not;
	// watched that the connection has watched it since our commit before.
	creates, watched bool
	// made is what was written, unchanged whether nobody else has changed the
	// mark since.
	made      []*written
	unchanged bool
	// acks counts, by entry of events, the changes written so far.
	acks map[string]int
}

// written is a change in a transaction, with the places of its replies.
type written struct {
	run     string
	version int64 // that it makes
	result  *wire.CommitResult
	tickets []wire.Ticket
	// record is the place of the reply to writing the run's record, fields how
	// many fields that were; ids are the places of the tickets' ids.
	record, fields int
	ids            []int
	vanished       bool
}

// attempt finds a connection: that which watches the mark, if there is one.
func (s *Store) attempt(ctx context.Context, p, side int, creates bool, node string) (*attempt, error) {
	a := &attempt{Store: s, p: p, mark: s.markOf(p, side), key: s.markKey(p, side), creates: creates}
	if !creates {
		a.conn = a.mark.take(ctx, a.key)
	}
	if a.watched = a.conn != nil; a.watched {
		return a, nil
	}
	var err error
	a.conn, err = s.connection(ctx, s.events(p), node)
	return a, err
}

// try writes; redis.TxFailedErr when somebody else was faster, and nothing was
// written.
func (a *attempt) try(ctx context.Context, changes []wire.Commit) ([]wire.CommitResult, error) {
	results := make([]wire.CommitResult, len(changes))
	found, err := a.watch(ctx, changes)
	if err != nil {
		return nil, err
	}
	tx := newTransaction(a)
	defer tx.end()
	for i := range changes {
		if found.conflict(&changes[i]) {
			results[i].Err = wire.ErrConflict
			continue // mutant: conflict-commits-nothing (skip)
		}
		w := tx.commit(&changes[i], found)
		w.result = &results[i]
		a.made = append(a.made, w)
	}
	switch {
	// mutant: unconfirmed-conflict (false)
	case len(a.made) == 0 && a.watched: // by what is known, which Redis has not confirmed
		return nil, redis.TxFailedErr
	case len(a.made) == 0:
		return results, nil
	}
	replies, err := tx.exec(ctx)
	if err != nil {
		a.made = nil
		if strings.HasPrefix(err.Error(), "READONLY") {
			// This is no master any more. The client drops the connection when a
			// command of its own is told so.
			_ = a.conn.Persist(ctx, a.events(a.p)).Err()
		}
		return nil, err
	}
	for entry, n := range tx.covered {
		a.acks[entry] += n
	}
	for _, w := range a.made {
		if err := w.hear(replies); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// hear takes what concerns a change out of the replies to the transaction.
func (w *written) hear(replies []any) error {
	for _, at := range w.ids {
		id, is := replies[at].(string)
		if !is {
			return fmt.Errorf("publish a ticket of run %s: Redis answers %v", w.run, replies[at])
		}
		w.result.TicketIDs = append(w.result.TicketIDs, id)
	}
	// A record has its version from the beginning: when all fields are new, it
	// was not there any more.
	// mutant: deleted-run-stays-deleted (false)
	if n, is := replies[w.record].(int64); is && w.version > 1 && n == int64(w.fields) {
		w.vanished, w.result.Err = true, wire.ErrConflict
	}
	return nil
}

// undo takes back what was written of runs that somebody who knows nothing of
// marks had deleted.
func (s *Store) undo(ctx context.Context, p int, made []*written) error {
	for _, w := range made {
		if !w.vanished {
			continue
		}
		var refs []wire.TicketRef
		for i := range w.tickets {
			refs = append(refs, wire.TicketRef{Stream: w.tickets[i].Stream(), ID: w.result.TicketIDs[i]})
		}
		if err := errors.Join(s.DropTickets(ctx, p, refs), s.DeleteRuns(ctx, p, []string{w.run})); err != nil {
			return fmt.Errorf("take back what was written of run %s, which is gone: %w", w.run, err)
		}
	}
	return nil
}

// cause is why a transaction was refused: EXECABORT says only that it was.
func cause(cmds []redis.Cmder, err error) error {
	if !strings.HasPrefix(err.Error(), "EXECABORT") {
		return err
	}
	for _, c := range cmds {
		if e := c.Err(); e != nil && !strings.HasPrefix(e.Error(), "EXECABORT") {
			return e
		}
	}
	return err
}

// begun is when a run that is created was, unless it has ended already.
func begun(c *wire.Commit) string {
	if c.Version != 0 || c.Done != 0 {
		return ""
	}
	if created := field(c, "created"); created != "" {
		return created
	}
	return strconv.FormatInt(c.Active, 10)
}

// field is the value that a change writes into a field of the run; empty when
// it does not.
func field(c *wire.Commit, name string) string {
	for i := 0; i+1 < len(c.Fields); i += 2 {
		if c.Fields[i] == name {
			return c.Fields[i+1]
		}
	}
	return ""
}

// indexes are those in which a run that has ended is to stand.
func indexes(c *wire.Commit) []string {
	recipe := c.Recipe
	if r := field(c, "recipe"); r != "" {
		recipe = r
	}
	return doneIndexes(recipe, field(c, "state"))
}

// member names a timer in the sorted set.
func member(t wire.Timer) string { return t.Run + "|" + t.Kind + "|" + t.Task + "|" + t.Fence }

func parseMember(m string, due int64) (wire.Timer, bool) {
	parts := strings.Split(m, "|")
	if len(parts) != 4 {
		return wire.Timer{}, false
	}
	return wire.Timer{Run: parts[0], Kind: parts[1], Task: parts[2], Fence: parts[3], Due: due}, true
}
