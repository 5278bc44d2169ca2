package redisstore

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// logLength is about how many entries the log of a run and the dead letters
// have at most.
const logLength = 10_000

// transaction is the half of a commit that writes.
type transaction struct {
	*Store

	ctx  context.Context //nolint:containedctx // lives as long as one call
	p    int
	pipe redis.Pipeliner
	// What several runs have in common is written by one command: members of
	// sets and sorted sets by key, in the order of the keys, and events that
	// are done with. No two changes of a commit say different things of one
	// member: a run has one of them.
	order   []grouped
	members map[grouped][]any
	events  []any
	known   map[string]bool // queues and definitions that are written already
}

// grouped is a command on a key of which one is enough.
type grouped struct{ command, key string }

// commit adds one change and returns the commands whose replies are the ids of
// its tickets.
func (t *transaction) commit(c *wire.Commit, f *found) []*redis.Cmd {
	key := t.run(t.p, c.Run)
	t.erase(c, key)
	t.hash(key+":tasks", c.Tasks)
	t.hash(key+":outputs", c.Outputs)
	t.hash(key, c.Fields, "version", strconv.FormatInt(c.Version+1, 10))
	t.refer(c, f)
	t.timersOf(c)
	t.life(c)
	if len(c.Log) > 0 {
		t.pipe.Do(t.ctx, "XADD", key+":log", "MAXLEN", "~", logLength, "*", "c", c.Log)
	}
	tickets := make([]*redis.Cmd, len(c.Tickets))
	for i := range c.Tickets {
		ticket := &c.Tickets[i]
		if !t.known[ticket.Queue] {
			t.known[ticket.Queue] = true
			t.group("SADD", t.queues(t.p), ticket.Queue)
		}
		fields := ticket.Fields()
		args := append(make([]any, 0, 3+len(fields)), "XADD", t.tickets(t.p, ticket.Queue, ticket.Priority), "*")
		tickets[i] = t.pipe.Do(t.ctx, append(args, fields...)...)
	}
	for _, id := range c.Events {
		t.events = append(t.events, id)
	}
	return tickets
}

// finish adds what all changes have in common.
func (t *transaction) finish() {
	for _, g := range t.order {
		t.pipe.Do(t.ctx, append([]any{g.command, g.key}, t.members[g]...)...)
	}
	if len(t.events) > 0 {
		stream := t.Store.events(t.p)
		t.pipe.Do(t.ctx, append([]any{"XACK", stream, groupOrchestrators}, t.events...)...)
		t.pipe.Do(t.ctx, append([]any{"XDEL", stream}, t.events...)...)
	}
}

// group adds members to a command that is sent once for a key.
func (t *transaction) group(command, key string, members ...any) {
	g := grouped{command, key}
	if len(t.members[g]) == 0 {
		t.order = append(t.order, g)
	}
	t.members[g] = append(t.members[g], members...)
}

// hash writes fields and values.
func (t *transaction) hash(key string, pairs []string, more ...string) {
	if len(pairs)+len(more) == 0 {
		return
	}
	args := append(make([]any, 0, 2+len(pairs)+len(more)), "HSET", key)
	for _, v := range pairs {
		args = append(args, v)
	}
	for _, v := range more {
		args = append(args, v)
	}
	t.pipe.Do(t.ctx, args...)
}

// erase takes away what the change forgets or takes back.
func (t *transaction) erase(c *wire.Commit, key string) {
	if len(c.Forget) > 0 {
		t.pipe.HDel(t.ctx, key+":tasks", c.Forget...)
		t.pipe.HDel(t.ctx, key+":outputs", c.Forget...)
	}
	for _, r := range c.Revokes {
		stream := t.tickets(t.p, r.Queue, r.Priority)
		t.pipe.XAck(t.ctx, stream, groupWorkers, r.ID)
		t.pipe.XDel(t.ctx, stream, r.ID)
	}
}

// refer notes what the run refers to: large values, files and its definition.
func (t *transaction) refer(c *wire.Commit, f *found) {
	for _, b := range c.Blobs {
		blob := t.blob(t.p, b)
		t.pipe.Persist(t.ctx, blob)
		t.pipe.SAdd(t.ctx, blob+":runs", c.Run)
		t.pipe.SAdd(t.ctx, t.runBlobs(t.p, c.Run), b)
	}
	for i := range c.Artifacts {
		a := &c.Artifacts[i]
		keep := f.keep(c.Run, a)
		t.pipe.HSet(t.ctx, t.runArtifacts(t.p, c.Run), a.Digest, keep)
		t.pipe.HSet(t.ctx, t.artifact(t.p, a.Digest), c.Run, keep)
	}
	if c.Digest == "" {
		return
	}
	definition := t.definition(t.p, c.Digest)
	if !t.known[c.Digest] && len(c.Definition) > 0 {
		t.known[c.Digest] = true
		t.pipe.Set(t.ctx, definition, c.Definition, 0)
	}
	t.group("SADD", definition+":runs", c.Run)
}

func (t *transaction) timersOf(c *wire.Commit) {
	for _, tm := range c.ClearTimers {
		t.pipe.ZRem(t.ctx, t.timers(t.p), member(tm))
	}
	for _, tm := range c.SetTimers {
		t.pipe.ZAdd(t.ctx, t.timers(t.p), redis.Z{Score: float64(tm.Due), Member: member(tm)})
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
		t.pipe.Do(t.ctx, "XADD", t.dead(t.p), "MAXLEN", "~", logLength, "*", "run", d.Run, "task", d.Task, "handler", d.Handler,
			"attempt", d.Attempt, "error", reason, "at", d.At)
	}
	if c.More {
		t.pipe.Do(t.ctx, "XADD", t.Store.events(t.p), "*", "v", "1", "type", "continue", "run", c.Run)
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
	t.group("ZADD", t.done(t.p), c.Done, c.Run)
	if c.RetainFor != 0 {
		t.group("ZADD", t.retained(t.p), c.Done+c.RetainFor, c.Run)
	}
}
