package wire

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Ticket offers one attempt at a task to the workers of a queue. It carries
// everything a worker needs.
type Ticket struct {
	// ID is the stream entry's id; empty before the ticket is published.
	ID string
	// Partition, Queue, Route and Priority name the stream the ticket is in.
	// Route is the handler in the stream's name, empty in a common stream.
	Partition int
	Queue     string
	Route     string
	Priority  Priority

	Run     string
	Task    string
	Fence   string // a report counts only while its fence is the task's current one
	Attempt int    // from 1
	Handler string
	// Inputs is a JSON value; Env a JSON object of strings, or empty.
	Inputs json.RawMessage
	Env    json.RawMessage
	// Blob is the SHA-256 of Inputs that are stored in a key of their own. Inputs
	// is empty then.
	Blob string
	// Secrets says where in Inputs and Env which secrets belong, or is empty.
	Secrets json.RawMessage
	// TimeoutMs bounds the attempt, counted from its start on the worker; 0
	// is none. HeartbeatMs is the longest time between two progress reports.
	TimeoutMs   int64
	HeartbeatMs int64
	// Recipe is the name of the run's recipe, for logs and metrics.
	Recipe string
	// Trace is a W3C traceparent, or empty.
	Trace string
	// PublishedMs is when the orchestrator published it (clock of Redis).
	PublishedMs int64

	// Text is the JSON that was read, Signature an orchestrator's signature of
	// it, or empty, and SignedMs when it was signed; see Keys.
	Text      string
	Signature string
	SignedMs  int64
}

// Stream returns the stream that the ticket is in.
func (t *Ticket) Stream() Stream {
	return Stream{Queue: t.Queue, Handler: t.Route, Priority: t.Priority}
}

// Place sets the stream that a ticket was read from.
func (t *Ticket) Place(partition int, s Stream) {
	t.Partition, t.Queue, t.Route, t.Priority = partition, s.Queue, s.Handler, s.Priority
}

// Priority is the lane of a queue a ticket is in.
type Priority string

// The lanes, served in this order.
const (
	High   Priority = "high"
	Normal Priority = "normal"
	Low    Priority = "low"
)

// Lanes returns the lanes in the order in which workers serve them.
func Lanes() []Priority { return []Priority{High, Normal, Low} }

// LaneOf returns the lane for a priority of the language, 0 to 9.
func LaneOf(priority int) Priority {
	switch {
	case priority <= 3:
		return Low
	case priority >= 7:
		return High
	}
	return Normal
}

// The keys of a ticket's JSON. They are short because Redis stores them again
// with every waiting ticket; members with their usual value are left out. See
// ReservedTicketKeys for keys that have no meaning yet.
const (
	keyRun       = "r"
	keyTask      = "t"
	keyFence     = "f"
	keyHandler   = "h"
	keyAttempt   = "n" // 1 when absent
	keyInputs    = "i" // {} when absent
	keyBlob      = "ib"
	keyEnv       = "e"
	keySecrets   = "s"
	keyTimeout   = "to"
	keyHeartbeat = "hb"
	keyRecipe    = "c"
	keyTrace     = "tr"
	keySigned    = "at"
)

// Append appends the ticket's JSON. It tells its time only when it is to be
// signed: the id of the stream entry has that time, but no signature covers it.
func (t *Ticket) Append(b []byte, signed bool) []byte {
	o := openObject(b)
	o.string(keyRun, t.Run)
	o.string(keyTask, t.Task)
	o.string(keyFence, t.Fence)
	o.string(keyHandler, t.Handler)
	if t.Attempt != 1 {
		o.integer(keyAttempt, int64(t.Attempt))
	}
	if string(t.Inputs) != "{}" {
		o.raw(keyInputs, t.Inputs)
	}
	o.string(keyBlob, t.Blob)
	o.raw(keyEnv, t.Env)
	o.raw(keySecrets, t.Secrets)
	o.integer(keyTimeout, t.TimeoutMs)
	o.integer(keyHeartbeat, t.HeartbeatMs)
	o.string(keyRecipe, t.Recipe)
	o.string(keyTrace, t.Trace)
	if signed {
		o.integer(keySigned, t.PublishedMs)
	}
	return o.close()
}

// Fields returns the fields of the ticket's stream entry, signed when there are
// keys.
func (t *Ticket) Fields(keys Keys) []any {
	text := t.Append(make([]byte, 0, 256+len(t.Inputs)+len(t.Env)), !keys.Empty())
	fields := []any{"v", Version, "ticket", text}
	if sig := t.Sign(keys, text); sig != "" {
		fields = append(fields, "sig", sig)
	}
	return fields
}

// Sign returns the signature of the ticket's JSON, made by Append; empty without
// keys.
func (t *Ticket) Sign(keys Keys, text []byte) string {
	if keys.Empty() {
		return ""
	}
	return keys.Sign(t.Partition, t.Stream().String(), text)
}

// ParseTicket reads the fields of a ticket's stream entry. The caller sets what
// the name of the stream says, by Place.
func ParseTicket(id string, values map[string]any) (Ticket, error) {
	t := Ticket{ID: id, Attempt: 1}
	if err := checkVersion(values); err != nil {
		return t, err
	}
	t.Text, _ = values["ticket"].(string)
	t.Signature, _ = values["sig"].(string)
	s := scan(t.Text)
	s.object(func(key string) { t.member(s, key) })
	s.end()
	if len(t.Inputs) == 0 && t.Blob == "" {
		t.Inputs = json.RawMessage("{}")
	}
	if t.PublishedMs = t.SignedMs; t.PublishedMs == 0 {
		t.PublishedMs = entryTime(id)
	}
	for _, must := range [...]struct{ key, value string }{{keyRun, t.Run}, {keyTask, t.Task}, {keyFence, t.Fence}, {keyHandler, t.Handler}} {
		if must.value == "" {
			s.fail("the ticket has no %q", must.key)
		}
	}
	if t.Attempt < 1 {
		s.fail("the attempt is %d; attempts count from 1", t.Attempt)
	}
	return t, s.err
}

func (t *Ticket) member(s *scanner, key string) {
	switch key {
	case keyRun:
		t.Run = s.string(key)
	case keyTask:
		t.Task = s.string(key)
	case keyFence:
		t.Fence = s.string(key)
	case keyHandler:
		t.Handler = s.string(key)
	case keyAttempt:
		t.Attempt = int(s.integer(key))
	case keyInputs:
		t.Inputs = s.raw()
	case keyBlob:
		t.Blob = s.string(key)
	case keyEnv:
		t.Env = s.raw()
	case keySecrets:
		t.Secrets = s.raw()
	case keyTimeout:
		t.TimeoutMs = s.integer(key)
	case keyHeartbeat:
		t.HeartbeatMs = s.integer(key)
	case keyRecipe:
		t.Recipe = s.string(key)
	case keyTrace:
		t.Trace = s.string(key)
	case keySigned:
		t.SignedMs = s.integer(key)
	default:
		s.skip()
	}
}

// checkVersion refuses entries of another protocol version.
func checkVersion(values map[string]any) error {
	if v, _ := values["v"].(string); v != Version {
		return fmt.Errorf("%w: its version is %q, this program reads version %s", ErrMalformed, v, Version)
	}
	return nil
}

// entryTime is the time in the id of a stream entry, in Unix milliseconds.
func entryTime(id string) int64 {
	ms, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
