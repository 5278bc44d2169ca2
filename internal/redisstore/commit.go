package redisstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/orchis-run/orchis/internal/wire"
)

// maxCommit is about the number of records and tickets that one call of the
// script may write; other clients of Redis wait as long, which is some 4 ms.
const maxCommit = 400

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
			return nil, err
		}
		results = append(results, part...)
		changes = changes[n:]
	}
	return results, nil
}

func weight(c *wire.Commit) int { return 1 + len(c.Tasks)/2 + len(c.Tickets) + len(c.Revokes) }

func (s *Store) commitSome(ctx context.Context, p int, changes []wire.Commit) ([]wire.CommitResult, error) {
	args := arguments{s.base(p), len(changes)}
	known := map[string]bool{}
	for i := range changes {
		at := len(args)
		args = append(args, 0)
		args.commit(&changes[i], known)
		args[at] = len(args) - at - 1
	}
	reply, err := s.commit.Run(ctx, s.client, s.commitKeys(p, changes), args...).Slice()
	if err != nil {
		return nil, fmt.Errorf("commit %d changes: %w", len(changes), err)
	}
	if len(reply) != len(changes) {
		return nil, fmt.Errorf("commit %d changes: got %d replies", len(changes), len(reply))
	}
	results := make([]wire.CommitResult, len(reply))
	for i, r := range reply {
		words, ok := r.([]any)
		if !ok || len(words) == 0 {
			return nil, fmt.Errorf("commit: the reply for run %s is not understood", changes[i].Run)
		}
		if words[0] != "ok" {
			results[i].Err = wire.ErrConflict
			continue
		}
		for _, id := range words[1:] {
			text, _ := id.(string)
			results[i].TicketIDs = append(results[i].TicketIDs, text)
		}
	}
	return results, nil
}

// commitKeys names every key that changes touch, in the order in which the
// script wants them. While a slot moves from one node of a Cluster to another,
// Redis refuses the script unless all of them are on one node; without their
// names it would find out half way.
func (s *Store) commitKeys(p int, changes []wire.Commit) []string {
	keys := make([]string, 1, 8+5*len(changes))
	keys[0] = s.events(p)
	for i := range changes {
		run := s.run(p, changes[i].Run)
		keys = append(keys, run, run+":tasks", run+":outputs", run+":log")
	}
	known := map[string]bool{}
	add := func(touched bool, names ...string) {
		for _, k := range names {
			if touched && !known[k] {
				known[k] = true
				keys = append(keys, k)
			}
		}
	}
	lanes := map[string]bool{} // queue and priority
	for i := range changes {
		c := &changes[i]
		for k := range c.Tickets {
			if t := &c.Tickets[k]; !lanes[t.Queue+" "+string(t.Priority)] {
				lanes[t.Queue+" "+string(t.Priority)] = true
				add(true, s.queues(p), s.tickets(p, t.Queue, t.Priority))
			}
		}
		add(c.Active != 0 || c.Done != 0, s.active(p))
		if !rare(c) {
			continue
		}
		add(len(c.Blobs) > 0, s.runBlobs(p, c.Run))
		for _, b := range c.Blobs {
			add(true, s.blob(p, b), s.blob(p, b)+":runs")
		}
		add(len(c.Artifacts) > 0, s.runArtifacts(p, c.Run))
		for _, a := range c.Artifacts {
			add(true, s.artifact(p, a.Digest))
		}
		add(c.Digest != "", s.definition(p, c.Digest), s.definition(p, c.Digest)+":runs")
		add(len(c.SetTimers)+len(c.ClearTimers) > 0, s.timers(p))
		for _, r := range c.Revokes {
			add(true, s.tickets(p, r.Queue, r.Priority))
		}
		add(len(c.Dead) > 0, s.dead(p))
		add(c.Done != 0, s.done(p))
		for _, index := range indexes(c) {
			add(true, s.base(p)+index)
		}
		add(c.Version == 0 || c.Done != 0, s.begun(p))
		add(c.RetainFor != 0, s.retained(p))
	}
	return keys
}

// rare reports whether a change has what most have not.
func rare(c *wire.Commit) bool {
	return c.Version == 0 || c.Digest != "" || len(c.Forget)+len(c.Blobs)+len(c.Artifacts)+len(c.Revokes) > 0 ||
		len(c.SetTimers)+len(c.ClearTimers)+len(c.Dead) > 0 || c.More || c.Done != 0 || c.RetainFor != 0
}

// arguments are those of the script, in the order in which it reads them.
type arguments []any

func (a *arguments) list(values []string) {
	*a = append(*a, len(values))
	a.texts(values)
}

func (a *arguments) texts(values []string) {
	for _, v := range values {
		*a = append(*a, v)
	}
}

// commit adds a change; the definitions that are known to the script already are
// not sent again.
func (a *arguments) commit(c *wire.Commit, known map[string]bool) {
	*a = append(*a, c.Run, strconv.FormatInt(c.Version, 10))
	if rare(c) {
		*a = append(*a, 1)
		a.rare(c, known)
	} else {
		*a = append(*a, 0)
	}
	*a = append(*a, len(c.Tasks), len(c.Outputs), len(c.Fields)+2)
	a.texts(c.Tasks)
	a.texts(c.Outputs)
	a.texts(c.Fields)
	*a = append(*a, "version", strconv.FormatInt(c.Version+1, 10), c.Log, len(c.Tickets))
	for i := range c.Tickets {
		t := &c.Tickets[i]
		fields := t.Fields()
		*a = append(*a, lane(t.Queue, t.Priority), t.Queue, len(fields))
		*a = append(*a, fields...)
	}
	*a = append(*a, c.Active)
	a.list(c.Events)
}

// rare adds what few changes have.
func (a *arguments) rare(c *wire.Commit, known map[string]bool) {
	definition := c.Definition
	if known[c.Digest] {
		definition = nil
	}
	known[c.Digest] = true
	*a = append(*a, c.Digest, definition)
	a.list(c.Forget)
	a.list(c.Blobs)
	var files, revokes, set, cleared, dead []string
	for _, f := range c.Artifacts {
		keep := "taken"
		if f.Made {
			keep = "" // as long as the run
			if f.KeepFor > 0 {
				keep = strconv.FormatInt(f.KeepFor, 10)
			}
		}
		files = append(files, f.Digest, keep)
	}
	for _, r := range c.Revokes {
		revokes = append(revokes, lane(r.Queue, r.Priority), r.ID)
	}
	for _, t := range c.SetTimers {
		set = append(set, strconv.FormatInt(t.Due, 10), member(t))
	}
	for _, t := range c.ClearTimers {
		cleared = append(cleared, member(t))
	}
	for _, d := range c.Dead {
		reason, err := json.Marshal(d.Error)
		if err != nil {
			reason = nil
		}
		fields := []string{"run", d.Run, "task", d.Task, "handler", d.Handler, "attempt", strconv.Itoa(d.Attempt), "error", string(reason), "at", strconv.FormatInt(d.At, 10)}
		dead = append(append(dead, strconv.Itoa(len(fields))), fields...)
	}
	a.list(files)
	a.list(revokes)
	a.list(cleared)
	a.list(set)
	a.list(dead)
	more := 0
	if c.More {
		more = 1
	}
	*a = append(*a, more, begun(c), c.Done)
	a.list(indexes(c))
	*a = append(*a, c.RetainFor)
}

// begun is when a run that is created was, unless it has ended already.
func begun(c *wire.Commit) string {
	if c.Version != 0 || c.Done != 0 {
		return ""
	}
	for i := 0; i+1 < len(c.Fields); i += 2 {
		if c.Fields[i] == "created" {
			return c.Fields[i+1]
		}
	}
	return strconv.FormatInt(c.Active, 10)
}

// indexes are those in which a run that has ended is to stand.
func indexes(c *wire.Commit) []string {
	if c.Done == 0 {
		return nil
	}
	recipe, state := c.Recipe, ""
	for i := 0; i+1 < len(c.Fields); i += 2 {
		switch c.Fields[i] {
		case "state":
			state = c.Fields[i+1]
		case "recipe":
			recipe = c.Fields[i+1]
		}
	}
	return doneIndexes(recipe, state)
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
