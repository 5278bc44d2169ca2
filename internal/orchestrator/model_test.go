package orchestrator

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// model is Redis as the orchestrator and the workers see it, in memory, with
// one partition. A differential test holds it to a real Redis.
type model struct {
	time func() int64 // Unix milliseconds
	skew int64        // jumps of the clock of Redis

	runs        map[string]*modelRun
	definitions map[string][]byte
	timers      map[string]wire.Timer
	active      map[string]int64
	done        map[string]int64
	owner       string
	ownedUntil  int64
	queues      map[string]bool
	submit      *stream[wire.Submission]
	wishes      *stream[wire.Control]
	events      *stream[[]wire.Event]
	acks        map[string]int // of a call that commits: by entry, changes that name it
	tickets     map[string]*stream[wire.Ticket]
	answers     map[string]wire.Answer
	dead        []wire.DeadLetter
	groups      map[string]*modelGroup
	seeds       map[string]map[string]wire.Seed
	cached      map[string]wire.Cached
	told        map[string]int // runs of whose end clients were told, and how often
	// committed is called after each change.
	committed func(c *wire.Commit, before, after *modelRun)
}

// modelRun is what is kept of a run.
type modelRun struct {
	fields, tasks, outputs map[string]string
	log                    []wire.LogEntry
}

// result is the result of a task, wherever it is stored.
func (r *modelRun) result(task string) string {
	if out, large := r.outputs[task]; large {
		return out
	}
	rec, err := run.ParseTask(task, r.tasks[task])
	if err != nil {
		return ""
	}
	return string(rec.Result)
}

func newModel(now func() int64) *model {
	m := &model{
		time: now, runs: map[string]*modelRun{}, definitions: map[string][]byte{}, timers: map[string]wire.Timer{},
		active: map[string]int64{}, done: map[string]int64{}, queues: map[string]bool{},
		tickets: map[string]*stream[wire.Ticket]{}, answers: map[string]wire.Answer{},
		seeds: map[string]map[string]wire.Seed{}, cached: map[string]wire.Cached{}, told: map[string]int{},
	}
	m.submit, m.wishes, m.events = newStream[wire.Submission](m), newStream[wire.Control](m), newStream[[]wire.Event](m)
	return m
}

func (m *model) redisNow() int64 { return m.time() + m.skew }

// lane is a stream of tickets.
func (m *model) lane(s wire.Stream) *stream[wire.Ticket] {
	key := s.String()
	if m.tickets[key] == nil {
		m.tickets[key] = newStream[wire.Ticket](m)
	}
	return m.tickets[key]
}

func (m *model) load(id string) (*wire.Stored, error) {
	r := m.runs[id]
	if r == nil {
		return nil, wire.ErrNotFound
	}
	return &wire.Stored{Run: maps.Clone(r.fields), Tasks: maps.Clone(r.tasks), Outputs: maps.Clone(r.outputs), Seeds: maps.Clone(m.seeds[id])}, nil
}

func (m *model) record(id string) (run.Run, error) {
	r := m.runs[id]
	if r == nil {
		return run.Run{}, wire.ErrNotFound
	}
	return run.Parse(id, 0, r.fields)
}

func (m *model) cacheGet(key string) (wire.Cached, error) {
	c, there := m.cached[key]
	if !there || c.Expires <= m.redisNow() {
		return wire.Cached{}, wire.ErrNotFound
	}
	return c, nil
}

func (m *model) version(id string) int64 {
	if r := m.runs[id]; r != nil {
		n, _ := strconv.ParseInt(r.fields["version"], 10, 64)
		return n
	}
	return 0
}

// entries are those of a run's log after one; all, when the run has not come to
// that one.
func (m *model) entries(id, after string, count int) []wire.LogEntry {
	r, from := m.runs[id], seqOf(after)
	if r == nil {
		return nil
	}
	if strings.Contains(after, "-") || from > m.version(id) {
		from = 0
	}
	var out []wire.LogEntry
	for _, e := range r.log {
		if seqOf(e.ID) > from && len(out) < count {
			out = append(out, e)
		}
	}
	return out
}

// commit is a commit of one run.
func (m *model) commit(c *wire.Commit) wire.CommitResult {
	if m.version(c.Run) != c.Version {
		return wire.CommitResult{Err: wire.ErrConflict}
	}
	before := m.runs[c.Run]
	r := &modelRun{fields: map[string]string{}, tasks: map[string]string{}, outputs: map[string]string{}}
	if before != nil {
		r = &modelRun{fields: maps.Clone(before.fields), tasks: maps.Clone(before.tasks), outputs: maps.Clone(before.outputs), log: before.log}
	}
	for _, task := range c.Forget {
		delete(r.tasks, task)
		delete(r.outputs, task)
	}
	put(r.tasks, c.Tasks)
	for _, o := range c.Outputs {
		r.outputs[o.Task] = string(o.Value)
	}
	put(r.fields, c.Fields)
	r.fields["version"] = strconv.FormatInt(c.Version+1, 10)
	if len(c.Log) > 0 {
		changes, err := run.ParseChanges(c.Log)
		if err != nil {
			panic(err)
		}
		r.log = append(slices.Clip(r.log), wire.LogEntry{ID: r.fields["version"], Changes: changes})
	}
	m.runs[c.Run] = r
	res := m.around(c)
	if m.committed != nil {
		m.committed(c, before, r)
	}
	return res
}

// around applies what a commit changes beside the run itself.
func (m *model) around(c *wire.Commit) (res wire.CommitResult) {
	if c.Digest != "" {
		m.definitions[c.Digest] = c.Definition
	}
	for _, t := range c.ClearTimers {
		delete(m.timers, timerName(t))
	}
	for _, t := range c.SetTimers {
		m.timers[timerName(t)] = t
	}
	for _, t := range c.Tickets {
		m.queues[t.Stream().Route()] = true
		res.TicketIDs = append(res.TicketIDs, m.lane(t.Stream()).add(t))
	}
	for _, r := range c.Revokes {
		m.lane(r.Stream).remove(r.ID)
	}
	m.dead = append(m.dead, c.Dead...)
	if c.More {
		m.events.add([]wire.Event{{Type: wire.Continue, Run: c.Run}})
	}
	if c.Active != 0 {
		m.active[c.Run] = c.Active
	}
	if c.Done != 0 {
		delete(m.active, c.Run)
		m.done[c.Run] = c.Done
	}
	m.cover(c.Acks)
	return res
}

// cover acknowledges the entries that the commits of a call cover.
func (m *model) cover(acks []wire.Ack) {
	for _, a := range acks {
		if m.acks[a.Entry]++; m.acks[a.Entry] >= a.Of {
			m.events.remove(a.Entry)
		}
	}
}

func put(to map[string]string, pairs []string) {
	for i := 0; i < len(pairs); i += 2 {
		to[pairs[i]] = pairs[i+1]
	}
}

func timerName(t wire.Timer) string {
	return strings.Join([]string{t.Run, t.Kind, t.Task, t.Fence}, "|")
}

func (m *model) due(now time.Time, limit int) (due []wire.Timer, next time.Time) {
	all := slices.SortedFunc(maps.Values(m.timers), func(a, b wire.Timer) int {
		return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(timerName(a), timerName(b)))
	})
	for _, t := range all[:min(len(all), limit+1)] {
		if t.Due > now.UnixMilli() {
			return due, time.UnixMilli(t.Due)
		}
		due = append(due, t)
	}
	return due, time.Time{}
}

// before returns the members up to a score, the lowest first, after so many.
func before(set map[string]int64, at time.Time, after, limit int) []string {
	ids := slices.SortedFunc(maps.Keys(set), func(a, b string) int {
		return cmp.Or(cmp.Compare(set[a], set[b]), cmp.Compare(a, b))
	})
	ids = slices.DeleteFunc(ids, func(id string) bool { return set[id] > at.UnixMilli() })
	ids = ids[min(len(ids), after):]
	return ids[:min(len(ids), limit)]
}

func (m *model) own(who string, ttl time.Duration) bool {
	if m.owner != "" && m.owner != who && m.redisNow() < m.ownedUntil {
		return false
	}
	m.owner, m.ownedUntil = who, m.redisNow()+ttl.Milliseconds()
	return true
}

func (m *model) answer(entry string, a wire.Answer) {
	m.answers[entry] = a
	m.submit.remove(entry)
}

// streams are all ticket streams.
func (m *model) streams() []wire.Stream {
	var all []wire.Stream
	for _, route := range sortedKeys(m.queues) {
		s, err := wire.ParseRoute(route)
		if err != nil {
			panic(err)
		}
		all = append(all, s.Lanes()...)
	}
	return all
}

func (m *model) pending(streams []wire.Stream, idle time.Duration, count int) []wire.Pending {
	var out []wire.Pending
	for _, stream := range streams {
		s := m.lane(stream)
		for _, seq := range s.silent(idle.Milliseconds(), count) {
			h := s.pel[seq]
			out = append(out, wire.Pending{TicketRef: wire.TicketRef{Stream: stream, ID: idOf(seq)}, Consumer: h.consumer, Idle: time.Duration(m.redisNow()-h.at) * time.Millisecond})
		}
	}
	return out
}

func (m *model) scan(stream wire.Stream, after string, count int) []wire.Ticket {
	var out []wire.Ticket
	for _, e := range m.lane(stream).entries {
		if e.seq > seqOf(after) && len(out) < count {
			out = append(out, placed(e, stream))
		}
	}
	return out
}

func placed(e entry[wire.Ticket], stream wire.Stream) wire.Ticket {
	t := e.value
	t.ID = idOf(e.seq)
	t.Place(0, stream)
	return t
}

// readTickets claims tickets for a worker, one stream after the other.
func (m *model) readTickets(streams []wire.Stream, consumer string, count int) []wire.Ticket {
	var out []wire.Ticket
	for _, stream := range streams {
		for _, e := range m.lane(stream).take(consumer, count-len(out)) {
			out = append(out, placed(e, stream))
		}
	}
	return out
}

func (m *model) ownTickets(streams []wire.Stream, consumer string) []wire.Ticket {
	var out []wire.Ticket
	for _, stream := range streams {
		for _, e := range m.lane(stream).own(consumer) {
			out = append(out, placed(e, stream))
		}
	}
	return out
}

// complete reports and removes tickets, all or none, as one entry of events.
func (m *model) complete(tickets []wire.Ticket, events []wire.Event) {
	m.events.add(events)
	for i := range tickets {
		m.lane(tickets[i].Stream()).remove(tickets[i].ID)
	}
}

func (m *model) heartbeat(consumer string, tickets []wire.Ticket) []wire.Ticket {
	var kept []wire.Ticket
	for _, t := range tickets {
		if len(m.lane(t.Stream()).beat(consumer, []string{t.ID})) > 0 {
			kept = append(kept, t)
		}
	}
	return kept
}
