package wire

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/jsontext"
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

// reader reads the fields of an entry and notes the first that is wrong.
type reader struct {
	m   map[string]any
	err error
}

func (r *reader) text(name string) string {
	s, _ := r.m[name].(string)
	return s
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
	f.text("inbox", c.Inbox)
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
	if c.Inbox = r.text("inbox"); c.Inbox != "" && !IsInbox(c.Inbox) {
		inbox := c.Inbox
		c.Inbox = ""
		return c, badInbox(inbox)
	}
	if data := or("data", "inputs"); data != "" {
		if c.Data = json.RawMessage(data); !jsontext.Valid(c.Data) {
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
	f.text("inbox", s.Inbox)
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
	if inbox := r.text("inbox"); inbox != "" {
		if !IsInbox(inbox) {
			return s, badInbox(inbox)
		}
		s.Inbox = inbox
	}
	for name, value := range values {
		text, _ := value.(string)
		switch name {
		case "id", "recipe", "definition", "from", "by", "inputs", "labels", "retry", "noCache", "key", "keyFor", "traceparent", "inbox":
		default:
			if slices.Contains(ReservedFields(), name) { // mutant: reserved-submission-fields (false)
				return s, fmt.Errorf("the field %q is reserved for a later version of Orchis: leave it out", name)
			}
			input, ok := cutInput(name)
			if !ok {
				return s, fmt.Errorf("unknown field %q: known are recipe, definition, from, retry, inputs, input.<name>, id, key, keyFor, by, labels, noCache, traceparent and inbox", name)
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
	if text := r.text("inputs"); text != "" && strings.TrimSpace(text) != "null" {
		if problem := notObject(text); problem != "" {
			return s, fmt.Errorf("the field inputs is not a JSON object: %s", problem)
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

// notObject returns why a text is not a JSON object; empty when it is one.
func notObject(text string) string {
	from := jsontext.SkipSpace(text, 0)
	end, ok := jsontext.Skip(text, from)
	if ok && jsontext.SkipSpace(text, end) < len(text) {
		end, ok = jsontext.SkipSpace(text, end), false
	}
	switch {
	case !ok && end == len(text):
		return "it ends too early"
	case !ok:
		return fmt.Sprintf("it is not JSON from byte %d on", end+1)
	case text[from] != '{':
		return "it is another kind of value"
	}
	return ""
}

func badInbox(text string) error {
	return fmt.Errorf("the field inbox is %.80q, want 1 to 64 letters, digits and hyphens", text)
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
