package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/orchis-run/orchis/internal/jsontext"
	"github.com/orchis-run/orchis/pkg/run"
)

// Stream entries are flat lists of a field's name and its value. Empty values
// are left out, unknown fields are ignored, and so may be added later.

// Limits of what the streams carry, in bytes.
const (
	MaxDefinition = 1 << 20
	MaxInputs     = 1 << 20 // of a submission
)

type fields []any

func (f *fields) text(name, value string) {
	if value != "" {
		*f = append(*f, name, value)
	}
}

// at is text that stays where it is: its address needs no memory of its own.
func (f *fields) at(name string, value *string) {
	if *value != "" {
		*f = append(*f, name, value)
	}
}

func (f *fields) json(name string, value json.RawMessage) {
	if len(value) > 0 {
		*f = append(*f, name, []byte(value))
	}
}

func (f *fields) number(name string, value int64) {
	if value != 0 {
		*f = append(*f, name, value)
	}
}

// texts are fields as they stand in Redis.
func texts(f []any) []any {
	for i, v := range f {
		switch v := v.(type) {
		case *string:
			f[i] = *v
		case []byte:
			f[i] = string(v)
		case int64:
			f[i] = strconv.FormatInt(v, 10)
		}
	}
	return f
}

// Fields returns the ticket as the fields of its stream entry, all of them text.
func (t *Ticket) Fields() []any { return texts(t.Append(nil)) }

// Append adds the fields of the ticket's stream entry to the arguments of a
// command; some are addresses of what is in the ticket.
func (t *Ticket) Append(args []any) []any {
	f := append(fields(args), "v", Version)
	f.at("run", &t.Run)
	f.at("task", &t.Task)
	f.at("fence", &t.Fence)
	f.number("attempt", int64(t.Attempt))
	f.at("handler", &t.Handler)
	f.json("inputs", t.Inputs)
	f.at("inputsBlob", &t.Blob)
	f.json("env", t.Env)
	f.json("secrets", t.Secrets)
	f.number("timeout", t.TimeoutMs)
	f.number("heartbeat", t.HeartbeatMs)
	f.at("recipe", &t.Recipe)
	f.at("trace", &t.Trace)
	f.number("at", t.PublishedMs)
	f.at("signature", &t.Signature)
	return f
}

// reader reads the fields of an entry and notes the first that is wrong.
type reader struct {
	m   map[string]any
	err error
}

func (r *reader) text(name string) string {
	s, _ := r.m[name].(string)
	return s
}

func (r *reader) must(name string) string {
	s := r.text(name)
	if s == "" && r.err == nil {
		r.err = fmt.Errorf("%w: field %q is missing", ErrMalformed, name)
	}
	return s
}

func (r *reader) number(name string) int64 {
	s := r.text(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%w: field %q is not a whole number", ErrMalformed, name)
	}
	return n
}

func (r *reader) json(name string) json.RawMessage {
	s := r.text(name)
	if s == "" {
		return nil
	}
	if !jsontext.Valid(s) && r.err == nil {
		r.err = fmt.Errorf("%w: field %q is not JSON", ErrMalformed, name)
	}
	return json.RawMessage(s)
}

func (r *reader) version() {
	if v := r.text("v"); v != Version && r.err == nil {
		r.err = fmt.Errorf("%w: version %q is not known here, this is version %s", ErrMalformed, v, Version)
	}
}

// ParseTicket reads a ticket. Partition, Queue and Priority stand in the name
// of the stream and are the reader's to set.
func ParseTicket(id string, values map[string]any) (Ticket, error) {
	r := &reader{m: values}
	r.version()
	t := Ticket{
		ID: id, Run: r.must("run"), Task: r.must("task"), Fence: r.must("fence"), Handler: r.must("handler"),
		Attempt: int(r.number("attempt")), Inputs: r.json("inputs"), Blob: r.text("inputsBlob"), Env: r.json("env"), Secrets: r.json("secrets"),
		TimeoutMs: r.number("timeout"), HeartbeatMs: r.number("heartbeat"),
		Recipe: r.text("recipe"), Trace: r.text("trace"), PublishedMs: r.number("at"),
		Signature: r.text("signature"),
	}
	return t, r.err
}

// Fields returns the event as the fields of its stream entry, all of them text.
func (e *Event) Fields() []any { return texts(e.Append(nil)) }

// Append adds the fields of the event's stream entry to the arguments of a
// command; some are addresses of what is in the event.
func (e *Event) Append(args []any) []any {
	f := append(fields(args), "v", Version, "type", string(e.Type))
	f.at("run", &e.Run)
	f.at("task", &e.Task)
	f.at("fence", &e.Fence)
	f.at("worker", &e.Worker)
	f.at("handlerVersion", &e.HandlerVersion)
	f.number("at", e.At)
	f.number("started", e.Started)
	f.json("result", e.Result)
	f.at("resultBlob", &e.Blob)
	if e.Error != nil {
		if raw, err := json.Marshal(e.Error); err == nil {
			f.text("error", string(raw))
		}
	}
	if e.Permanent {
		f.text("permanent", "1")
	}
	f.number("retryAfter", e.RetryAfterMs)
	if e.Progress != 0 {
		f.text("progress", strconv.FormatFloat(e.Progress, 'f', -1, 64))
	}
	f.at("note", &e.Note)
	if e.Lines {
		f.text("lines", "1")
	}
	f.at("by", &e.By)
	f.at("reason", &e.Reason)
	f.at("from", &e.From)
	f.at("signal", &e.Signal)
	f.json("data", e.Data)
	f.at("reply", &e.Reply)
	if e.Granted {
		f.text("granted", "1")
	}
	f.number("due", e.Due)
	return f
}

// ParseEvent reads an event.
func ParseEvent(id string, values map[string]any) (Event, error) {
	r := &reader{m: values}
	r.version()
	e := Event{
		ID: id, Type: EventType(r.must("type")), Run: r.must("run"), Task: r.text("task"), Fence: r.text("fence"),
		Worker: r.text("worker"), HandlerVersion: r.text("handlerVersion"), At: r.number("at"), Started: r.number("started"), Result: r.json("result"), Blob: r.text("resultBlob"),
		Permanent: r.text("permanent") == "1", RetryAfterMs: r.number("retryAfter"), Note: r.text("note"),
		Lines: r.text("lines") == "1", By: r.text("by"), Reason: r.text("reason"), Deliveries: 1,
		Signal: r.text("signal"), Data: r.json("data"), Reply: r.text("reply"), Granted: r.text("granted") == "1", Due: r.number("due"),
		From: r.text("from"),
	}
	if raw := r.json("error"); raw != nil {
		e.Error = &run.Error{}
		if err := json.Unmarshal(raw, e.Error); err != nil && r.err == nil {
			r.err = fmt.Errorf("%w: field %q is not an error", ErrMalformed, "error")
		}
	}
	if s := r.text("progress"); s != "" {
		p, err := strconv.ParseFloat(s, 64)
		if (err != nil || math.IsNaN(p)) && r.err == nil {
			r.err = fmt.Errorf("%w: field %q is not a number", ErrMalformed, "progress")
		}
		e.Progress = max(0, min(p, 100))
	}
	return e, r.err
}

// Fields returns the wish as the fields of its stream entry.
func (c *Control) Fields() []any {
	f := fields{"op", c.Op}
	f.text("run", c.Run)
	f.text("job", c.Job)
	f.text("queue", c.Queue)
	f.text("schedule", c.Schedule)
	f.text("by", c.By)
	f.text("reason", c.Reason)
	f.text("signal", c.Signal)
	f.text("data", string(c.Data))
	return f
}

// ParseControl reads a wish. The words comment and inputs, which people may
// use with approvals, mean reason and data.
func ParseControl(entry string, values map[string]any) (Control, error) {
	r := &reader{m: values}
	or := func(a, b string) string {
		if s := r.text(a); s != "" {
			return s
		}
		return r.text(b)
	}
	c := Control{
		Entry: entry, Op: r.text("op"), Run: r.text("run"), Job: r.text("job"), Queue: r.text("queue"), Schedule: r.text("schedule"),
		By: r.text("by"), Reason: or("reason", "comment"), Signal: r.text("signal"),
	}
	if data := or("data", "inputs"); data != "" {
		if c.Data = json.RawMessage(data); !json.Valid(c.Data) {
			return c, fmt.Errorf("%w: the field data is not JSON", ErrMalformed)
		}
	}
	return c, r.err
}

// Fields returns the submission as the fields of its stream entry.
func (s *Submission) Fields() []any {
	var f fields
	f.text("id", s.ID)
	f.text("recipe", s.Recipe)
	f.text("definition", s.Definition)
	f.text("from", s.From)
	if s.Retry != nil {
		if raw, err := json.Marshal(s.Retry); err == nil {
			f.text("retry", string(raw))
		}
	}
	if s.Key != "" {
		f.text("key", s.Key)
		if s.KeyFor > 0 {
			f.text("keyFor", (time.Duration(s.KeyFor) * time.Millisecond).String())
		}
	}
	if s.NoCache {
		f.text("noCache", "1")
	}
	f.text("inputs", string(s.Inputs))
	for name, value := range s.Single {
		f = append(f, "input."+name, value)
	}
	f.text("by", s.By)
	f.text("traceparent", s.Trace)
	if len(s.Labels) > 0 {
		if raw, err := json.Marshal(s.Labels); err == nil {
			f.text("labels", string(raw))
		}
	}
	return f
}

// ParseSubmission reads a submission. Unknown fields are refused here, since a
// person typed them.
func ParseSubmission(entry string, values map[string]any) (Submission, error) {
	r := &reader{m: values}
	s := Submission{
		Entry: entry, ID: r.text("id"), Recipe: r.text("recipe"), Definition: r.text("definition"), From: r.text("from"),
		Key: r.text("key"), By: r.text("by"), Single: map[string]string{}, NoCache: r.text("noCache") == "1", Deliveries: 1,
		Trace: r.text("traceparent"),
	}
	for name, value := range values {
		text, _ := value.(string)
		switch name {
		case "id", "recipe", "definition", "from", "by", "inputs", "labels", "retry", "noCache", "key", "keyFor", "traceparent":
		default:
			input, ok := cutInput(name)
			if !ok {
				return s, fmt.Errorf("unknown field %q: known are recipe, definition, from, retry, inputs, input.<name>, id, key, keyFor, by, labels, noCache and traceparent", name)
			}
			s.Single[input] = text
		}
	}
	var err error
	if s.KeyFor, err = parseKeyFor(r.text("keyFor")); err != nil {
		return s, err
	}
	if s.Trace != "" && !IsTrace(s.Trace) {
		return s, fmt.Errorf("the field traceparent is %q, want 00-<32 hex digits>-<16 hex digits>-<2 hex digits>", s.Trace)
	}
	if s.Retry, err = parseRetry(r.text("retry")); err != nil {
		return s, err
	}
	if err := s.checkSources(len(s.Single) > 0 || r.text("inputs") != ""); err != nil {
		return s, err
	}
	if len(r.text("inputs")) > MaxInputs {
		return s, fmt.Errorf("the inputs have %d bytes, more than the limit of %d", len(r.text("inputs")), MaxInputs)
	}
	if text := r.text("inputs"); text != "" {
		var m map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			return s, fmt.Errorf("the field inputs is not a JSON object: %w", err)
		}
		s.Inputs = json.RawMessage(text)
	}
	if text := r.text("labels"); text != "" {
		if err := json.Unmarshal([]byte(text), &s.Labels); err != nil {
			return s, fmt.Errorf("the field labels is not a JSON object of texts: %w", err)
		}
	}
	return s, nil
}

// parseKeyFor reads how long the key of a submission counts.
func parseKeyFor(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d > 90*24*time.Hour {
		return 0, fmt.Errorf("the field keyFor is %q, want a duration from 1s to 2160h", text)
	}
	return d.Milliseconds(), nil
}

func cutInput(name string) (string, bool) {
	const prefix = "input."
	if len(name) <= len(prefix) || name[:len(prefix)] != prefix {
		return "", false
	}
	return name[len(prefix):], true
}
