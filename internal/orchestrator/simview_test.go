package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// verdict is what becomes of one command.
type verdict int

const (
	proceed     verdict = iota
	loseRequest         // it never arrives
	loseReply           // it is carried out, and nobody hears of it
	crash               // its sender dies before
	crashAfter          // its sender dies after
)

var verdictNames = []string{"", "request lost", "reply lost", "crash before", "crash after"}

// errLink is what a lost command looks like.
var errLink = errors.New("connection reset by peer")

// crashed unwinds an actor that is killed.
type crashed struct{}

// view is the Redis of one actor: every command is a step of the scheduler.
type view struct {
	*model
	a *actor
}

// call carries out one command, as the scheduler wants it. partly applies a
// part of it when its reply is lost; nil means that there are no parts.
func call[T any](v *view, name string, do func() (T, error)) (T, error) {
	var zero T
	switch v.a.step(name) {
	case loseRequest:
		return zero, errLink
	case loseReply:
		_, _ = do()
		return zero, errLink
	case crash:
		panic(crashed{})
	case crashAfter:
		_, _ = do()
		panic(crashed{})
	}
	got, err := do()
	v.a.note(got, err)
	return got, err
}

// void is call for commands without a reply.
func void(v *view, name string, do func()) error {
	_, err := call(v, name, func() (struct{}, error) { do(); return struct{}{}, nil })
	return err
}

func (v *view) Partitions() int            { return 1 }
func (v *view) PartitionOf(string) int     { return 0 }
func (v *view) Retryable(err error) bool   { return errors.Is(err, errLink) }
func (v *view) Fatal(error) (string, bool) { return "", false }
func (v *view) Workers(context.Context) ([]wire.Worker, error) {
	return nil, nil
}
func (v *view) Epoch(context.Context) (now, opened string, err error)     { return "", "", nil }
func (v *view) Recover(context.Context) error                             { return nil }
func (v *view) DeleteRuns(context.Context, int, []string) error           { return nil }
func (v *view) FittingRuns(context.Context, int, int64) (int, error)      { return 0, nil }
func (v *view) ForgetConsumers(context.Context, int, time.Duration) error { return nil }
func (v *view) AskGroup(_ context.Context, q wire.GroupAsk) (wire.GroupReply, error) {
	return call(v, "ask "+q.Group, func() (wire.GroupReply, error) { return v.askGroup(q), nil })
}

func (v *view) FreeGroup(_ context.Context, name string, m wire.Member, now, until int64) (wire.GroupReply, error) {
	return call(v, "free "+name, func() (wire.GroupReply, error) { return v.freeGroup(name, m, now, until), nil })
}

func (v *view) TakeRate(context.Context, string, int, time.Duration, int64) (int64, error) {
	return 0, nil
}

func (v *view) HoldRate(context.Context, string, int, time.Duration, int64, int64) error { return nil }

func (v *view) Groups(context.Context) ([]string, error) {
	return call(v, "groups", func() ([]string, error) { return slices.Sorted(maps.Keys(v.groups)), nil })
}

func (v *view) Group(_ context.Context, name string) (wire.Group, error) {
	return call(v, "group "+name, func() (wire.Group, error) { return v.group(name), nil })
}

func (v *view) ForgetGroup(context.Context, string) error { return nil }

func (v *view) Task(_ context.Context, id, task string) (string, error) {
	return call(v, "task "+task, func() (string, error) { return v.task(id, task) })
}

func (v *view) Schedules(context.Context) (map[string]wire.Schedule, error) { return nil, nil }
func (v *view) PutSchedule(context.Context, wire.Schedule) error            { return nil }
func (v *view) RemoveSchedule(context.Context, string) error                { return nil }
func (v *view) Submit(_ context.Context, sub wire.Submission) (string, error) {
	return v.submit.add(sub), nil
}

func (v *view) SendControl(_ context.Context, c wire.Control) (string, error) {
	return v.wishes.add(c), nil
}

func (v *view) PausedSchedules(context.Context) (map[string]wire.Paused, error)   { return nil, nil }
func (v *view) PauseSchedule(context.Context, string, wire.Paused) error          { return nil }
func (v *view) ResumeSchedule(context.Context, string) error                      { return nil }
func (v *view) PutLimits(context.Context, []byte) error                           { return nil }
func (v *view) PauseQueue(context.Context, string, wire.Paused) error             { return nil }
func (v *view) ResumeQueue(context.Context, string) error                         { return nil }
func (v *view) AnswerControl(context.Context, wire.AnswerTo, time.Duration) error { return nil }

// Notify notes the ends of runs that clients are told of: each must be true.
func (v *view) Notify(_ context.Context, messages map[string][]wire.Message) error {
	return void(v, "notify", func() {
		for _, some := range messages {
			for _, m := range some {
				if r, err := v.record(m.Run); err != nil || string(r.State) != m.State {
					v.a.w.violated("a client is told that run %s is %s, and it is %s", m.Run, m.State, r.State)
				}
				v.told[m.Run]++
			}
		}
	})
}

func (v *view) PutOrchestrator(_ context.Context, o wire.Orchestrator) (wire.Orchestrator, error) {
	return o, nil
}
func (v *view) ForgetOrchestrators(context.Context, time.Time) error { return nil }
func (v *view) ForgetWorkers(context.Context, time.Time) error       { return nil }
func (v *view) Memory(context.Context) (used, most int64, err error) { return 0, 0, nil }
func (v *view) Tasks(context.Context, string) ([]run.Task, error)    { return nil, nil }
func (v *view) Outputs(context.Context, string) (map[string]json.RawMessage, error) {
	return nil, nil
}

func (v *view) Log(_ context.Context, id, after string, count int, block time.Duration) ([]wire.LogEntry, error) {
	v.a.wait(func() bool { return len(v.entries(id, after, 1)) > 0 }, block)
	return call(v, "log "+id, func() ([]wire.LogEntry, error) { return v.entries(id, after, count), nil })
}

func (v *view) EndedRuns(context.Context, int, time.Time, time.Time, int, int) ([]string, error) {
	return nil, nil
}

func (v *view) ClaimKey(_ context.Context, _, id string, _ time.Duration) (string, error) {
	return id, nil
}

func (v *view) ReleaseKey(context.Context, string) error { return nil }

func (v *view) KeepArtifacts(context.Context, int, string, time.Time, []string) error { return nil }

func (v *view) HeldArtifacts(context.Context, []string, time.Time) (map[string]bool, error) {
	return nil, nil
}

func (v *view) Now(context.Context) (time.Time, error) {
	return call(v, "time", func() (time.Time, error) { return time.UnixMilli(v.redisNow()), nil })
}

func (v *view) Load(_ context.Context, id string) (*wire.Stored, error) {
	return call(v, "load "+id, func() (*wire.Stored, error) { return v.load(id) })
}

func (v *view) Definition(_ context.Context, _ int, digest string) ([]byte, error) {
	return call(v, "definition", func() ([]byte, error) { return v.definitions[digest], nil })
}

func (v *view) Run(_ context.Context, id string) (run.Run, error) {
	return call(v, "run "+id, func() (run.Run, error) { return v.record(id) })
}

func (v *view) SaveSeeds(_ context.Context, id string, seeds map[string]wire.Seed) error {
	return void(v, "save seeds "+id, func() { v.seeds[id] = maps.Clone(seeds) })
}

func (v *view) CacheGet(_ context.Context, key string) (wire.Cached, error) {
	return call(v, "look up", func() (wire.Cached, error) { return v.cacheGet(key) })
}

func (v *view) CachePut(_ context.Context, c wire.Cached, _ time.Time) error {
	return void(v, "keep", func() { v.cached[c.Key] = c })
}

func (v *view) Version(_ context.Context, id string) (int64, error) {
	return call(v, "version "+id, func() (int64, error) { return v.version(id), nil })
}

// Commit applies the changes one by one; when the reply is lost, some of them
// may not have been.
func (v *view) Commit(_ context.Context, _ int, changes []wire.Commit) ([]wire.CommitResult, error) {
	some := len(changes)
	var names []string
	for i := range changes {
		names = append(names, fmt.Sprintf(" %s@%d", changes[i].Run, changes[i].Version))
	}
	return call(v, "commit"+strings.Join(names, ""), func() ([]wire.CommitResult, error) {
		if v.a.verdict != proceed {
			some = 1 + v.a.w.choose(len(changes))
		}
		var out []wire.CommitResult
		v.acks = map[string]int{}
		for i := range changes[:some] {
			out = append(out, v.commit(&changes[i]))
		}
		return out, nil
	})
}

func (v *view) DueTimers(_ context.Context, _ int, now time.Time, limit int) ([]wire.Timer, time.Time, error) {
	var next time.Time
	due, err := call(v, "due timers", func() (due []wire.Timer, err error) { due, next = v.due(now, limit); return due, nil })
	return due, next, err
}

func (v *view) RemoveTimers(_ context.Context, _ int, timers []wire.Timer) error {
	return void(v, "remove timers", func() {
		for _, t := range timers {
			delete(v.timers, timerName(t))
		}
	})
}

func (v *view) ActiveRuns(_ context.Context, _ int, at time.Time, after, limit int) ([]string, error) {
	return call(v, "active runs", func() ([]string, error) { return before(v.active, at, after, limit), nil })
}

func (v *view) ReadSubmissions(_ context.Context, who string, count int, block time.Duration) ([]wire.Submission, error) {
	v.a.wait(v.submit.news, block)
	return call(v, "read submissions", func() ([]wire.Submission, error) { return submissionsOf(v.submit.take(who, count), nil), nil })
}

func (v *view) ClaimSubmissions(_ context.Context, who string, idle time.Duration, count int) ([]wire.Submission, error) {
	return call(v, "claim submissions", func() ([]wire.Submission, error) {
		return submissionsOf(v.submit.claim(who, idle.Milliseconds(), count)), nil
	})
}

func submissionsOf(entries []entry[wire.Submission], times []int64) []wire.Submission {
	var out []wire.Submission
	for i, e := range entries {
		sub := e.value
		sub.Entry, sub.Deliveries = idOf(e.seq), 1
		if times != nil {
			sub.Deliveries = times[i]
		}
		out = append(out, sub)
	}
	return out
}

func (v *view) AnswerSubmissions(_ context.Context, answers []wire.AnswerTo, _ time.Duration) error {
	what := []string{"answer"}
	for _, a := range answers {
		what = append(what, a.State, a.Run)
	}
	return void(v, strings.Join(what, " "), func() {
		for _, a := range answers {
			v.answer(a.Entry, a.Answer)
		}
	})
}

func (v *view) ReadControl(_ context.Context, who string, count int, block, idle time.Duration) ([]wire.Control, error) {
	v.a.wait(v.wishes.news, block)
	return call(v, "read control", func() ([]wire.Control, error) {
		got, _ := v.wishes.claim(who, idle.Milliseconds(), count)
		if len(got) == 0 {
			got = v.wishes.take(who, count)
		}
		var out []wire.Control
		for _, e := range got {
			c := e.value
			c.Entry = idOf(e.seq)
			out = append(out, c)
		}
		return out, nil
	})
}

func (v *view) AckControl(_ context.Context, entries []string) error {
	return void(v, "acknowledge control", func() { v.wishes.remove(entries...) })
}

func (v *view) ReadEvents(_ context.Context, _ int, who string, count int, block time.Duration) ([]wire.Event, error) {
	v.a.wait(v.events.news, block)
	return call(v, "read events", func() ([]wire.Event, error) { return eventsOf(v.events.take(who, count), nil), nil })
}

func (v *view) ClaimEvents(_ context.Context, _ int, who string, idle time.Duration, count int) ([]wire.Event, error) {
	return call(v, "claim events", func() ([]wire.Event, error) {
		return eventsOf(v.events.claim(who, idle.Milliseconds(), count)), nil
	})
}

func eventsOf(entries []entry[[]wire.Event], times []int64) []wire.Event {
	var out []wire.Event
	for i, e := range entries {
		in := &wire.Entry{ID: idOf(e.seq), Events: len(e.value), Deliveries: 1}
		if times != nil {
			in.Deliveries = times[i]
		}
		for _, ev := range e.value {
			ev.Entry = in
			out = append(out, ev)
		}
	}
	return out
}

func (v *view) SendEvents(_ context.Context, _ int, events []wire.Event) error {
	var names []string
	for i := range events {
		names = append(names, fmt.Sprint(" ", events[i].Type, " ", events[i].Run, "/", events[i].Task))
	}
	return void(v, "send"+strings.Join(names, ""), func() {
		for _, ev := range events {
			v.events.add([]wire.Event{ev})
		}
	})
}

func (v *view) AckEvents(_ context.Context, _ int, ids []string) error {
	return void(v, "acknowledge events", func() { v.events.remove(ids...) })
}

func (v *view) Streams(context.Context, int) ([]wire.Stream, error) {
	return call(v, "streams", func() ([]wire.Stream, error) { return v.streams(), nil })
}

func (v *view) PendingTickets(_ context.Context, _ int, streams []wire.Stream, idle time.Duration, count int) ([]wire.Pending, error) {
	return call(v, "silent tickets", func() ([]wire.Pending, error) { return v.pending(streams, idle, count), nil })
}

func (v *view) ScanTickets(_ context.Context, _ int, stream wire.Stream, after string, count int) ([]wire.Ticket, error) {
	return call(v, "scan "+stream.String(), func() ([]wire.Ticket, error) { return v.scan(stream, after, count), nil })
}

func (v *view) Ticket(_ context.Context, _ int, ref wire.TicketRef) (wire.Ticket, error) {
	return call(v, "ticket "+ref.ID, func() (wire.Ticket, error) {
		e, there := v.lane(ref.Stream).get(seqOf(ref.ID))
		if !there {
			return wire.Ticket{}, wire.ErrNotFound
		}
		return placed(e, ref.Stream), nil
	})
}

func (v *view) DropTickets(_ context.Context, _ int, refs []wire.TicketRef) error {
	return void(v, "drop tickets", func() {
		for _, r := range refs {
			v.lane(r.Stream).remove(r.ID)
		}
	})
}

func (v *view) Own(_ context.Context, _ int, who string, ttl time.Duration) (bool, error) {
	return call(v, "own", func() (bool, error) { return v.own(who, ttl), nil })
}

func (v *view) Disown(_ context.Context, _ int, who string) error {
	return void(v, "disown", func() {
		if v.owner == who {
			v.owner = ""
		}
	})
}

var _ Store = (*view)(nil)
