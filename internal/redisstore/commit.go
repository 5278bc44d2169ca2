package redisstore

import (
	"context"
	"errors"
	"fmt"
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
	var results []wire.CommitResult
	for len(changes) > 0 {
		n, size := 0, 0
		for n < len(changes) && (n == 0 || size+weight(&changes[n]) <= maxCommit) {
			size += weight(&changes[n])
			n++
		}
		part, err := s.commitSome(ctx, p, changes[:n])
		if err != nil {
			return nil, fmt.Errorf("commit %d changes: %w", n, err)
		}
		results = append(results, part...)
		changes = changes[n:]
	}
	return results, nil
}

func weight(c *wire.Commit) int { return 1 + len(c.Tasks)/2 + len(c.Tickets) + len(c.Revokes) }

// commitSome applies changes in one transaction. Its first half watches what
// the changes depend on, the versions of the runs above all, and reads it; the
// second writes, and Redis refuses it when anything watched has changed. Both
// go through one connection: one that breaks takes its watch with it, and is
// not replaced.
func (s *Store) commitSome(ctx context.Context, p int, changes []wire.Commit) ([]wire.CommitResult, error) {
	node := ""
	for range commitTries {
		conn, err := s.connection(ctx, s.events(p), node)
		if err != nil {
			return nil, err
		}
		results, err := s.try(ctx, conn, p, changes)
		_ = conn.Close()
		if errors.Is(err, redis.TxFailedErr) {
			continue
		}
		s.reroute(ctx, err)
		if to, moved := redis.IsMovedError(err); moved && to != node {
			node = to // nothing was written here
			continue
		}
		return results, err
	}
	return nil, errContended
}

// errContended says that nothing was written and nothing is known of the runs:
// it is no conflict. Waiting helps.
var errContended = errors.New("TRYAGAIN what a commit depends on keeps being changed")

// try is one attempt of a transaction; redis.TxFailedErr when somebody else was
// faster, and nothing was written.
func (s *Store) try(ctx context.Context, conn *redis.Conn, p int, changes []wire.Commit) ([]wire.CommitResult, error) {
	results := make([]wire.CommitResult, len(changes))
	found, err := s.watch(ctx, conn, p, changes)
	if err != nil {
		_ = conn.Do(ctx, "UNWATCH").Err() // the connection is another's next
		return nil, err
	}
	tx := transaction{Store: s, ctx: ctx, p: p, pipe: conn.TxPipeline(), members: map[grouped][]any{}, known: map[string]bool{}}
	left := 0
	tickets := make([][]*redis.Cmd, len(changes))
	for i := range changes {
		if found.conflict(&changes[i]) {
			results[i].Err = wire.ErrConflict
			continue
		}
		left++
		tickets[i] = tx.commit(&changes[i], found)
	}
	if left == 0 {
		return results, conn.Do(ctx, "UNWATCH").Err()
	}
	tx.finish()
	if cmds, err := tx.pipe.Exec(ctx); err != nil {
		err = cause(cmds, err)
		if strings.HasPrefix(err.Error(), "READONLY") {
			// This is no master any more. The client drops the connection when a
			// command of its own is told so.
			_ = conn.Persist(ctx, s.events(p)).Err()
		}
		return nil, err
	}
	for i := range changes {
		for _, cmd := range tickets[i] {
			id, err := cmd.Text()
			if err != nil {
				return nil, err
			}
			results[i].TicketIDs = append(results[i].TicketIDs, id)
		}
	}
	return results, nil
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

// found is what stands in Redis of what changes depend on.
type found struct {
	versions map[string]*redis.StringCmd // by run
	changed  map[string]int64            // versions that runs get by the transaction
	blobs    map[string]*redis.IntCmd    // by digest
	// held says how long a run keeps an artifact so far, kept how long from now
	// on; by run and digest.
	held map[[2]string]*redis.StringCmd
	kept map[[2]string]string
}

// watch reads what changes depend on, and has Redis notice when it changes.
func (s *Store) watch(ctx context.Context, conn *redis.Conn, p int, changes []wire.Commit) (*found, error) {
	f := &found{
		versions: make(map[string]*redis.StringCmd, len(changes)), changed: make(map[string]int64, len(changes)),
		blobs: map[string]*redis.IntCmd{}, held: map[[2]string]*redis.StringCmd{}, kept: map[[2]string]string{},
	}
	keys := make([]any, 1, 1+len(changes))
	keys[0] = "WATCH"
	for i := range changes {
		c := &changes[i]
		keys = append(keys, s.run(p, c.Run))
		for _, b := range c.Blobs {
			keys = append(keys, s.blob(p, b))
		}
		if len(c.Artifacts) > 0 {
			keys = append(keys, s.runArtifacts(p, c.Run))
		}
	}
	pipe := conn.Pipeline()
	watch := pipe.Do(ctx, keys...)
	for i := range changes {
		c := &changes[i]
		f.versions[c.Run] = pipe.HGet(ctx, s.run(p, c.Run), "version")
		for _, b := range c.Blobs {
			f.blobs[b] = pipe.Exists(ctx, s.blob(p, b))
		}
		for _, a := range c.Artifacts {
			f.held[[2]string{c.Run, a.Digest}] = pipe.HGet(ctx, s.runArtifacts(p, c.Run), a.Digest)
		}
	}
	cmds, err := pipe.Exec(ctx)
	if watch.Err() != nil {
		return nil, watch.Err()
	}
	if err == nil {
		return f, nil
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
	}
	return f, nil
}

// conflict reports whether a change was made for another state of its run, or
// refers to a value that has expired.
func (f *found) conflict(c *wire.Commit) bool {
	version, changed := f.changed[c.Run]
	if !changed {
		text := f.versions[c.Run].Val()
		if version = number(text); text != "" && text != strconv.FormatInt(version, 10) {
			return true // of somebody else's making
		}
	}
	if version != c.Version {
		return true
	}
	for _, b := range c.Blobs {
		if f.blobs[b].Val() == 0 {
			return true
		}
	}
	f.changed[c.Run] = version + 1
	return false
}

// keep is how long a run keeps an artifact from now on: empty is as long as it
// is there itself. The longest time counts.
func (f *found) keep(run string, a *wire.Artifact) string {
	at := [2]string{run, a.Digest}
	had, has := f.kept[at]
	if cmd := f.held[at]; !has && cmd != nil && cmd.Err() == nil {
		had, has = cmd.Val(), true
	}
	keep := ""
	switch {
	case !a.Made:
		keep = had
	case a.KeepFor > 0:
		keep = strconv.FormatInt(a.KeepFor, 10)
	}
	if has && keep != "" && (had == "" || number(had) > number(keep)) {
		keep = had
	}
	f.kept[at] = keep
	return keep
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
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
func member(t wire.Timer) string { return t.Run + "|" + t.Kind + "|" + t.Task + "|" + t.Pub }

func parseMember(m string, due int64) (wire.Timer, bool) {
	parts := strings.Split(m, "|")
	if len(parts) != 4 {
		return wire.Timer{}, false
	}
	return wire.Timer{Run: parts[0], Kind: parts[1], Task: parts[2], Pub: parts[3], Due: due}, true
}

func lanes() []wire.Priority { return wire.Lanes() }
