package wire

import (
	"encoding/json"
	"strings"

	"github.com/orchis-run/orchis/pkg/run"
)

// Limits of an entry of an event stream. An entry with one event may be longer.
const (
	MaxEvents     = 256
	MaxEventBytes = 256 << 10
)

// Entry is one entry of a partition's event stream. Its events share it.
type Entry struct {
	ID string
	// Events is how many of them can be read.
	Events int
	// Deliveries counts how often the entry was delivered, 1 the first time.
	Deliveries int64
	// Covered counts the events that commits have covered. It belongs to the
	// partition that read the entry.
	Covered int
}

// Event is something that happened to a run, as it travels to the orchestrators.
type Event struct {
	// Entry is the stream entry that carried the event; nil before it is sent.
	Entry *Entry
	Type  EventType

	Run    string
	Task   string
	Fence  string
	Worker string
	// HandlerVersion is the version of the handler which made the result
	// (Succeeded), when it has one.
	HandlerVersion string
	// At is when it happened and Started when the handler started, in Unix
	// milliseconds by the worker's clock.
	At      int64
	Started int64
	// Result is a JSON value (Succeeded). A large one is stored in the blob of
	// that SHA-256 instead, while it is on its way.
	Result json.RawMessage
	Blob   string
	// Tidy says that Result was found to be JSON in valid UTF-8 without space
	// between its tokens. It does not travel.
	Tidy bool
	// Error tells what went wrong (Failed), or why the ticket was handed back.
	Error *run.Error
	// Permanent errors are not retried; RetryAfterMs, when positive, replaces
	// the delay before the next attempt.
	Permanent    bool
	RetryAfterMs int64
	// Progress is 0 to 100, Note a short text for people.
	Progress float64
	Note     string
	// Lines reports that the attempt wrote log lines.
	Lines bool
	// By is the person who asked (Cancel and the like), Reason why.
	By     string
	Reason string
	// Signal names a signal; Data is what came with it, or the inputs of an
	// approval (JSON).
	Signal string
	Data   json.RawMessage
	// Reply says to which control request an answer is due: see Control.ReplyTo.
	Reply string
	// Granted is the answer to a question, Due when to ask again.
	Granted bool
	Due     int64
	// From is the run that a cached result comes from.
	From string
}

// EntryID returns the id of the stream entry that carried the event.
func (e *Event) EntryID() string {
	if e.Entry == nil {
		return ""
	}
	return e.Entry.ID
}

// Deliveries returns how often the event was delivered.
func (e *Event) Deliveries() int64 {
	if e.Entry == nil {
		return 1
	}
	return max(1, e.Entry.Deliveries)
}

// Append appends the event's JSON. The worker is left out when it is the one
// that sends the entry.
func (e *Event) Append(b []byte, sender string) []byte {
	o := openObject(b)
	o.string("type", string(e.Type))
	o.string("run", e.Run)
	o.string("task", e.Task)
	o.string("fence", e.Fence)
	if e.Worker != sender {
		o.string("worker", e.Worker)
	}
	o.string("handlerVersion", e.HandlerVersion)
	o.integer("at", e.At)
	o.integer("started", e.Started)
	o.raw("result", e.Result)
	o.string("resultBlob", e.Blob)
	if e.Error != nil {
		if raw, err := json.Marshal(e.Error); err == nil {
			o.raw("error", raw)
		}
	}
	o.yes("permanent", e.Permanent)
	o.integer("retryAfter", e.RetryAfterMs)
	if e.Progress != 0 {
		if raw, err := json.Marshal(e.Progress); err == nil {
			o.raw("progress", raw)
		}
	}
	o.string("note", e.Note)
	o.yes("lines", e.Lines)
	o.string("by", e.By)
	o.string("reason", e.Reason)
	o.string("from", e.From)
	o.string("signal", e.Signal)
	o.raw("data", e.Data)
	o.string("reply", e.Reply)
	o.yes("granted", e.Granted)
	o.integer("due", e.Due)
	return o.close()
}

// EventPacker packs events into as few stream entries as their limits allow.
type EventPacker struct {
	// Sender is the worker that sends them; empty for an orchestrator.
	Sender string

	open   []byte
	events int
}

// Add packs one more event. When the entry so far has no room for it, Add
// returns that entry's array of events, which is complete.
func (p *EventPacker) Add(e *Event) (full []byte) {
	had := len(p.open)
	p.open = e.Append(append(p.open, ','), p.Sender)
	if p.events == 0 || p.events < MaxEvents && len(p.open)+1 <= MaxEventBytes {
		p.events++
		return nil
	}
	next := append(make([]byte, 0, len(p.open)-had+1), p.open[had:]...)
	p.open = p.open[:had]
	full = p.Close()
	p.open, p.events = next, 1
	return full
}

// Close returns the array of events of the last entry; nil when there is none.
func (p *EventPacker) Close() []byte {
	if p.events == 0 {
		return nil
	}
	p.open[0] = '['
	p.open = append(p.open, ']')
	full := p.open
	p.open, p.events = nil, 0
	return full
}

// EventFields returns the fields of a stream entry with an array of events.
func EventFields(sender string, events []byte) []any {
	if sender == "" {
		return []any{"v", Version, "events", events}
	}
	return []any{"v", Version, "worker", sender, "events", events}
}

// BadEvent is an event of an entry that cannot be read.
type BadEvent struct {
	Run, Task string
	Err       error
}

// ParseEvents reads the fields of an entry of an event stream. An event that
// cannot be read does not affect the others: it is among the bad ones. The
// error says that the entry as a whole cannot be read.
func ParseEvents(id string, values map[string]any) (events []Event, bad []BadEvent, err error) {
	if err := checkVersion(values); err != nil {
		return nil, nil, err
	}
	text, _ := values["events"].(string)
	worker, _ := values["worker"].(string)
	worker = strings.Clone(worker)
	entry := &Entry{ID: id, Deliveries: 1}
	s, n := scan(text), 0
	s.array(func() {
		n++
		e := Event{Entry: entry, Worker: worker}
		end, err := e.parse(text, s.at)
		if err != nil {
			bad = append(bad, BadEvent{Run: e.Run, Task: e.Task, Err: err})
			s.skip()
			return
		}
		if events == nil {
			events = make([]Event, 0, 1+len(text)/(end-s.at+1))
		}
		events, s.at = append(events, e), end
	})
	s.end()
	switch {
	case s.err == nil && n == 0:
		s.fail("there is no event in it")
	case n > MaxEvents:
		s.fail("it has %d events, more than the limit of %d", n, MaxEvents)
	case n > 1 && len(text) > MaxEventBytes:
		s.fail("its %d events have %d bytes, more than the limit of %d", n, len(text), MaxEventBytes)
	}
	entry.Events = len(events)
	if s.err != nil {
		return nil, nil, s.err
	}
	return events, bad, nil
}

// parse reads the event that starts at an offset of the text and returns the
// offset of its end.
func (e *Event) parse(text string, at int) (end int, err error) {
	s := &scanner{text: text, at: at}
	s.object(func(key string) { e.member(s, key) })
	end = s.at
	switch {
	case e.Type == "":
		s.fail("the event has no %q", "type")
	case e.Run == "":
		s.fail("the event has no %q", "run")
	}
	e.Progress = max(0, min(e.Progress, 100))
	e.Type = EventType(strings.Clone(string(e.Type)))
	// What is kept of an event must not keep the whole entry in memory.
	ids := e.Run + e.Task + e.Fence
	e.Run, e.Task, e.Fence = ids[:len(e.Run)], ids[len(e.Run):len(e.Run)+len(e.Task)], ids[len(e.Run)+len(e.Task):]
	for _, text := range [...]*string{&e.Note, &e.By, &e.Reason, &e.Signal, &e.Reply, &e.From, &e.HandlerVersion, &e.Blob} {
		if *text != "" {
			*text = strings.Clone(*text)
		}
	}
	return end, s.err
}

func (e *Event) member(s *scanner, key string) {
	switch key {
	case "type":
		e.Type = EventType(s.string(key))
	case "run":
		e.Run = s.string(key)
	case "task":
		e.Task = s.string(key)
	case "fence":
		e.Fence = s.string(key)
	case "worker":
		if w := s.string(key); w != "" && w != e.Worker {
			e.Worker = strings.Clone(w)
		}
	case "handlerVersion":
		e.HandlerVersion = s.string(key)
	case "at":
		e.At = s.integer(key)
	case "started":
		e.Started = s.integer(key)
	case "result":
		e.Result, e.Tidy = s.tidy()
	case "resultBlob":
		e.Blob = s.string(key)
	case "error":
		e.Error = s.failure(key)
	case "permanent":
		e.Permanent = s.yes(key)
	case "retryAfter":
		e.RetryAfterMs = s.integer(key)
	case "progress":
		e.Progress = s.float(key)
	case "note":
		e.Note = s.string(key)
	case "lines":
		e.Lines = s.yes(key)
	default:
		e.request(s, key)
	}
}

// request reads the members of events that orchestrators send.
func (e *Event) request(s *scanner, key string) {
	switch key {
	case "by":
		e.By = s.string(key)
	case "reason":
		e.Reason = s.string(key)
	case "from":
		e.From = s.string(key)
	case "signal":
		e.Signal = s.string(key)
	case "data":
		e.Data = s.raw()
	case "reply":
		e.Reply = s.string(key)
	case "granted":
		e.Granted = s.yes(key)
	case "due":
		e.Due = s.integer(key)
	default:
		s.skip()
	}
}

func (s *scanner) failure(key string) *run.Error {
	if s.null() {
		return nil
	}
	out := &run.Error{}
	if err := json.Unmarshal([]byte(s.rawText()), out); err != nil {
		s.fail("%q is not an object with code and message", key)
	}
	return out
}
