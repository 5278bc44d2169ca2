package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// logLength is about how many entries the log of a run and the dead letters
// have at most.
const logLength = 10_000

// transaction is the half of a commit that writes.
type transaction struct {
	*attempt

	ctx  context.Context //nolint:containedctx // lives as long as one call
	pipe redis.Pipeliner
	sent int // commands so far
	// What several runs have in common is written by one command: members of
	// sets and sorted sets by key, in the order of the keys, and events that
	// are done with. No two changes of a commit say different things of one
	// member: a run has one of them.
	order   []grouped
	members map[grouped][]any
	done    []any
	covered map[string]int  // entries of events: changes in here that name them
	known   map[string]bool // queues and definitions that are written already
}

// grouped is a command on a key of which one is enough.
type grouped struct{ command, key string }

func newTransaction(ctx context.Context, a *attempt) *transaction {
	// mutant: commit-one-connection (replace conn by client)
	t := &transaction{attempt: a, ctx: ctx, pipe: a.conn.Pipeline(), members: map[grouped][]any{}, covered: map[string]int{}, known: map[string]bool{}}
	_ = t.pipe.Do(ctx, "MULTI")
	return t
}

// do adds a command and returns its place among the replies.
func (t *transaction) do(args ...any) int {
	_ = t.pipe.Do(t.ctx, args...)
	t.sent++
	return t.sent - 1
}

// commit adds one change.
func (t *transaction) commit(c *wire.Commit, f *found) *written {
	key := t.run(t.p, c.Run)
	w := &written{run: c.Run, version: c.Version + 1, tickets: c.Tickets, fields: len(c.Fields)/2 + 1}
	t.erase(c, key)
	t.hash(key+":tasks", c.Tasks)
	t.hash(key+":outputs", c.Outputs)
	w.record = t.hash(key, c.Fields, "version", strconv.FormatInt(w.version, 10))
	t.refer(c, f)
	t.timersOf(c)
	t.life(c)
	t.remember(c, key+":changes")
	for i := range c.Tickets {
		ticket := &c.Tickets[i]
		stream := ticket.Stream()
		if route := stream.Route(); !t.known[route] {
			t.known[route] = true
			t.group("SADD", t.queues(t.p), route)
		}
		ticket.Partition = t.p
		w.ids = append(w.ids, t.do(append([]any{"XADD", t.tickets(t.p, stream), "*"}, ticket.Fields(t.signing)...)...))
	}
	t.cover(c.Acks)
	return w
}

// cover acknowledges the entries whose last change is in this transaction.
func (t *transaction) cover(acks []wire.Ack) {
	for _, a := range acks {
		if a.Of > 1 {
			t.covered[a.Entry]++
		}
		if a.Of <= 1 || t.acks[a.Entry]+t.covered[a.Entry] == a.Of { // mutant: entry-acked-by-last-commit (true)
			t.done = append(t.done, a.Entry)
		}
	}
}

// remember adds what is changed to the log of the run, and cuts that now and
// then.
func (t *transaction) remember(c *wire.Commit, key string) {
	version := c.Version + 1
	if len(c.Log) > 0 {
		entry := strconv.AppendInt(make([]byte, 0, len(c.Log)+20), version, 10)
		t.do("RPUSH", key, append(append(entry, ' '), c.Log...))
	}
	if version > logLength && version%logSlack == 0 {
		t.do("LTRIM", key, -logLength, -1) // mutant: log-trimmed (skip)
	}
}

// finish adds what all changes have in common.
func (t *transaction) finish() {
	for _, g := range t.order {
		t.do(append([]any{g.command, g.key}, t.members[g]...)...)
	}
	if len(t.done) > 0 {
		stream := t.events(t.p)
		t.do(append([]any{"XACK", stream, groupOrchestrators}, t.done...)...)
		t.do(append([]any{"XDEL", stream}, t.done...)...) // mutant: committed-events-deleted (skip)
	}
}

// exec carries the transaction out and returns the replies. It replaces the
// mark and has the connection watch it for the next one, in the same round
// trip.
func (t *transaction) exec() ([]any, error) {
	t.finish()
	text := ""
	if !t.creates {
		text = t.sign()
		t.do("SET", t.key, text) // mutant: commit-writes-mark (replace "SET" by "SETNX")
	}
	exec := t.pipe.Do(t.ctx, "EXEC")
	var watch *redis.Cmd
	var mark *redis.StringCmd
	if !t.creates {
		watch = t.pipe.Do(t.ctx, "WATCH", t.key)
		mark = t.pipe.Get(t.ctx, t.key)
	}
	cmds, _ := t.pipe.Exec(t.ctx)
	replies, err := exec.Slice()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, redis.TxFailedErr
	case err != nil:
		return nil, cause(cmds, err)
	}
	for _, r := range replies {
		if err, is := r.(error); is {
			return nil, err
		}
	}
	// mutant: watch-must-succeed (without 2)
	// mutant: watch-reads-mark (without 4)
	t.unchanged = mark != nil && watch.Err() == nil && mark.Err() == nil && mark.Val() == text
	return replies, nil
}

// group adds members to a command that is sent once for a key.
func (t *transaction) group(command, key string, members ...any) {
	g := grouped{command, key}
	if len(t.members[g]) == 0 {
		t.order = append(t.order, g)
	}
	t.members[g] = append(t.members[g], members...)
}

// hash writes fields and values; it returns the place of the reply.
func (t *transaction) hash(key string, pairs []string, more ...string) int {
	if len(pairs)+len(more) == 0 {
		return -1
	}
	args := append(make([]any, 0, 2+len(pairs)+len(more)), "HSET", key)
	for i := range pairs {
		args = append(args, &pairs[i])
	}
	for i := range more {
		args = append(args, &more[i])
	}
	return t.do(args...)
}

// erase takes away what the change forgets or takes back.
func (t *transaction) erase(c *wire.Commit, key string) {
	if len(c.Forget) > 0 {
		for _, hash := range []string{key + ":tasks", key + ":outputs"} {
			args := []any{"HDEL", hash}
			for _, task := range c.Forget {
				args = append(args, task)
			}
			t.do(args...)
		}
		args := []any{"SADD", t.runForgotten(t.p, c.Run)} // mutant: forgotten-tasks-keep-lines (replace "SADD" by "SREM")
		for _, task := range c.Forget {
			args = append(args, task)
		}
		t.do(args...)
	}
	for _, r := range c.Revokes {
		stream := t.tickets(t.p, r.Stream)
		t.do("XACK", stream, groupWorkers, r.ID)
		t.do("XDEL", stream, r.ID) // mutant: revoked-ticket-deleted (skip)
	}
}

// refer notes what the run refers to: large values, files and its definition.
func (t *transaction) refer(c *wire.Commit, f *found) {
	for _, b := range c.Blobs {
		blob := t.blob(t.p, b)
		t.do("PERSIST", blob) // mutant: blob-persisted (skip)
		t.do("SADD", blob+":runs", c.Run)
		t.do("SADD", t.runBlobs(t.p, c.Run), b)
	}
	for i := range c.Artifacts {
		a := &c.Artifacts[i]
		keep := f.keep(c.Run, a)
		t.do("HSET", t.runArtifacts(t.p, c.Run), a.Digest, keep)
		t.do("HSET", t.artifact(t.p, a.Digest), c.Run, keep)
	}
	if c.Digest == "" {
		return
	}
	definition := t.definition(t.p, c.Digest)
	if !t.known[c.Digest] && len(c.Definition) > 0 {
		t.known[c.Digest] = true
		t.do("SET", definition, c.Definition)
	}
	t.group("SADD", definition+":runs", c.Run)
}

func (t *transaction) timersOf(c *wire.Commit) {
	for _, tm := range c.ClearTimers {
		t.do("ZREM", t.timers(t.p), member(tm)) // mutant: timer-cleared (skip)
	}
	for _, tm := range c.SetTimers {
		t.do("ZADD", t.timers(t.p), tm.Due, member(tm))
	}
}

// life moves the run among those that have begun, are active and have ended,
// and writes what is to be known after it: dead letters, and that there is more
// to do.
func (t *transaction) life(c *wire.Commit) {
	for _, d := range c.Dead {
		reason, err := json.Marshal(d.Error)
		if err != nil {
			reason = nil
		}
		t.do("XADD", t.dead(t.p), "MAXLEN", "~", logLength, "*", "run", d.Run, "task", d.Task, "handler", d.Handler,
			"attempt", d.Attempt, "error", reason, "at", d.At)
	}
	if c.More {
		t.do(t.addEvent(t.p, &wire.Event{Type: wire.Continue, Run: c.Run})...)
	}
	if since := begun(c); since != "" {
		t.group("ZADD", t.begun(t.p), since, c.Run)
	}
	if c.Active != 0 {
		t.group("ZADD", t.active(t.p), c.Active, c.Run)
	}
	if c.Done == 0 {
		return
	}
	t.group("ZREM", t.active(t.p), c.Run)
	t.group("ZREM", t.begun(t.p), c.Run)
	for _, index := range indexes(c) {
		t.group("ZADD", t.base(t.p)+index, c.Done, c.Run)
	}
	t.group("ZADD", t.Store.done(t.p), c.Done, c.Run)
	if c.RetainFor != 0 {
		t.group("ZADD", t.retained(t.p), c.Done+c.RetainFor, c.Run)
	}
}
