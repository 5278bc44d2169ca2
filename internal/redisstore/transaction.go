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
	*batch

	// active and begun are keys that nearly every change needs.
	active, begun string
	// What several runs have in common is written by one command: members of
	// sets and sorted sets by key, in the order of the keys, and events that
	// are done with. No two changes of a commit say different things of one
	// member: a run has one of them.
	groups  []group
	places  map[grouped]int // in groups
	done    []string
	covered map[string]int // entries of events: changes in here that name them
	// streams are the keys of ticket streams, whose queues are written already.
	streams     map[wire.Stream]string
	definitions map[string]bool // that are written already
}

// grouped is a command on a key of which one is enough.
type grouped struct{ command, key string }

type group struct {
	grouped

	members []argument
}

func newTransaction(a *attempt) *transaction {
	b, is := a.batches.Get().(*batch)
	if !is {
		b = &batch{}
	}
	return &transaction{attempt: a, batch: b, active: a.active(a.p), begun: a.begun(a.p), places: map[grouped]int{}, covered: map[string]int{}, streams: map[wire.Stream]string{}, definitions: map[string]bool{}}
}

// end gives back the memory of a transaction that has been carried out.
func (t *transaction) end() {
	t.reset()
	t.batches.Put(t.batch)
}

// commit adds one change.
func (t *transaction) commit(c *wire.Commit, f *found) *written {
	key := t.run(t.p, c.Run)
	w := &written{run: c.Run, version: c.Version + 1, tickets: c.Tickets, fields: len(c.Fields)/2 + 1}
	t.erase(c, key)
	t.hash(c.Tasks, key, ":tasks")
	t.results(c.Outputs, key)
	w.record = t.command("HSET")
	t.arg(key)
	t.texts(c.Fields)
	t.arg("version")
	t.number(w.version)
	t.refer(c, f)
	t.timersOf(c)
	t.life(c)
	t.remember(c, key)
	for i := range c.Tickets {
		w.ids = append(w.ids, t.publish(&c.Tickets[i]))
	}
	t.cover(c.Acks)
	return w
}

// publish adds a ticket to its stream.
func (t *transaction) publish(ticket *wire.Ticket) int {
	stream := ticket.Stream()
	key, known := t.streams[stream]
	if !known {
		key = t.tickets(t.p, stream)
		t.streams[stream] = key
		t.group("SADD", t.queues(t.p), t.put(stream.Route()))
	}
	ticket.Partition = t.p
	place := t.command("XADD")
	t.arg(key)
	t.arg("*")
	t.arg("v")
	t.arg(wire.Version)
	t.arg("ticket")
	var sig string
	if len(ticket.Inputs) < largeArgument {
		from := len(t.text)
		t.text = ticket.Append(t.text, !t.signing.Empty())
		t.since(from)
		sig = ticket.Sign(t.signing, t.text[from:])
	} else {
		text := ticket.Append(make([]byte, 0, 256+len(ticket.Inputs)+len(ticket.Env)), !t.signing.Empty())
		t.whole(text)
		sig = ticket.Sign(t.signing, text)
	}
	if sig != "" {
		t.arg("sig")
		t.arg(sig)
	}
	return place
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
		t.command("RPUSH")
		t.arg(key, ":changes")
		from := len(t.text)
		t.text = append(append(strconv.AppendInt(t.text, version, 10), ' '), c.Log...)
		t.since(from)
	}
	if version > logLength && version%logSlack == 0 {
		t.do("LTRIM", key+":changes", -logLength, -1) // mutant: log-trimmed (skip)
	}
}

// finish adds what all changes have in common.
func (t *transaction) finish() {
	for _, g := range t.groups {
		t.command(g.command)
		t.arg(g.key)
		t.args = append(t.args, g.members...)
	}
	if len(t.done) > 0 {
		stream := t.events(t.p)
		t.command("XACK")
		t.arg(stream)
		t.arg(groupOrchestrators)
		t.texts(t.done)
		t.command("XDEL") // mutant: committed-events-deleted (replace "XDEL" by "EXISTS")
		t.arg(stream)
		t.texts(t.done)
	}
}

// exec carries the transaction out and returns the replies. It replaces the
// mark and has the connection watch it for the next one, in the same round
// trip.
func (t *transaction) exec(ctx context.Context) ([]any, error) {
	t.finish()
	text := ""
	if !t.creates {
		text = t.sign()
		t.do("SET", t.key, text) // mutant: commit-writes-mark (replace "SET" by "SETNX")
	}
	// mutant: commit-one-connection (replace conn by client)
	pipe := t.conn.Pipeline()
	_ = pipe.Do(ctx, "MULTI")
	_ = pipe.BatchProcess(ctx, t.commands(ctx)...)
	exec := pipe.Do(ctx, "EXEC")
	var watch *redis.Cmd
	var mark *redis.StringCmd
	if !t.creates {
		watch = pipe.Do(ctx, "WATCH", t.key)
		mark = pipe.Get(ctx, t.key)
	}
	cmds, _ := pipe.Exec(ctx)
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
func (t *transaction) group(command, key string, members ...argument) {
	name := grouped{command, key}
	i, known := t.places[name]
	if !known {
		i = len(t.groups)
		t.places[name] = i
		t.groups = append(t.groups, group{grouped: name})
	}
	t.groups[i].members = append(t.groups[i].members, members...)
}

// hash writes fields and values, if there are any.
func (t *transaction) hash(pairs []string, key, kind string) {
	if len(pairs) > 0 {
		t.command("HSET")
		t.arg(key, kind)
		t.texts(pairs)
	}
}

// results writes results, if there are any.
func (t *transaction) results(outputs []wire.Output, key string) {
	if len(outputs) == 0 {
		return
	}
	t.command("HSET")
	t.arg(key, ":outputs")
	for _, o := range outputs {
		t.arg(o.Task)
		t.bytes(o.Value)
	}
}

// erase takes away what the change forgets or takes back.
func (t *transaction) erase(c *wire.Commit, key string) {
	if len(c.Forget) > 0 {
		for _, hash := range []string{key + ":tasks", key + ":outputs"} {
			t.command("HDEL")
			t.arg(hash)
			t.texts(c.Forget)
		}
		t.command("SADD") // mutant: forgotten-tasks-keep-lines (replace "SADD" by "SREM")
		t.arg(t.runForgotten(t.p, c.Run))
		t.texts(c.Forget)
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
	if !t.definitions[c.Digest] && len(c.Definition) > 0 {
		t.definitions[c.Digest] = true
		t.do("SET", definition, c.Definition)
	}
	t.group("SADD", definition+":runs", t.put(c.Run))
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
		add := t.addEvent(t.p, &wire.Event{Type: wire.Continue, Run: c.Run})
		t.do(add[0], add[1:]...)
	}
	run := t.put(c.Run)
	if since := begun(c); since != "" {
		t.group("ZADD", t.begun, t.put(since), run)
	}
	if c.Active != 0 {
		t.group("ZADD", t.active, t.putNumber(c.Active), run)
	}
	if c.Done == 0 {
		return
	}
	t.group("ZREM", t.active, run)
	t.group("ZREM", t.begun, run)
	done := t.putNumber(c.Done)
	for _, index := range indexes(c) {
		t.group("ZADD", t.base(t.p)+index, done, run)
	}
	t.group("ZADD", t.Store.done(t.p), done, run)
	if c.RetainFor != 0 {
		t.group("ZADD", t.retained(t.p), t.putNumber(c.Done+c.RetainFor), run)
	}
}
