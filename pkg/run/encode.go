package run

import "strconv"

// The records that each commit writes are encoded by hand: encoding/json took a
// third of the time of a step. A test holds the two to the same bytes.

// object writes the fields of a JSON object, leaving out those that are zero.
type object struct{ b []byte }

func (o *object) name(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, '"'), name...), '"', ':')
}

func (o *object) text(name, value string) {
	if value != "" {
		o.name(name)
		o.b = appendText(o.b, value)
	}
}

func (o *object) number(name string, value int64) {
	if value != 0 {
		o.name(name)
		o.b = strconv.AppendInt(o.b, value, 10)
	}
}

func (o *object) always(name string, value int64) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, value, 10)
}

// since writes a time as the milliseconds after another; 0 is none.
func (o *object) since(name string, at, from int64) {
	if at != 0 {
		o.always(name, at-from)
	}
}

func (o *object) flag(name string, value bool) {
	if value {
		o.name(name)
		o.b = append(o.b, "true"...)
	}
}

// value writes what is rare.
func (o *object) value(name string, wanted bool, value any) {
	if wanted {
		o.name(name)
		o.b = append(o.b, jsonText(true, value)...)
	}
}

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return append(b, jsonText(true, s)...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// Encode returns the record as it is stored in the tasks hash.
func (t *Task) Encode() string {
	o := object{append(make([]byte, 0, 256+len(t.Result)), '{')}
	o.name("state")
	o.b = appendText(o.b, string(t.State))
	o.number("failures", int64(t.Failures))
	o.number("losses", int64(t.Losses))
	o.number("releases", int64(t.Releases))
	o.text("fence", t.Fence)
	o.flag("bulk", t.Bulk)
	o.text("worker", t.Worker)
	o.number("queued", t.Queued)
	o.number("due", t.Due)
	o.number("items", int64(t.Items))
	o.flag("tolerated", t.Tolerated)
	o.value("error", t.Error != nil, t.Error)
	o.value("stop", t.Stop != nil, t.Stop)
	o.text("reason", t.Reason)
	o.value("progress", t.Progress != 0, t.Progress)
	o.text("note", t.Note)
	o.flag("lines", t.Lines)
	o.value("wait", t.Wait != nil, t.Wait)
	o.number("delayed", t.Delayed)
	o.value("slots", len(t.Slots) > 0, t.Slots)
	o.text("digest", t.Digest)
	o.text("from", t.From)
	o.flag("reused", t.Reused)
	if t.Queue != defaultQueue {
		o.name("queue")
		o.b = appendText(o.b, t.Queue)
	}
	if t.First != t.Queued {
		o.always("first", t.First)
	}
	if t.Attempt != t.usualAttempt() {
		o.always("attempt", int64(t.Attempt))
	}
	o.since("started", t.Started, t.Queued)
	o.since("ended", t.Ended, t.Queued)
	if len(t.Result) > 0 {
		o.name("result")
		o.b = append(o.b, t.Result...)
	}
	return string(append(o.b, '}'))
}

// EncodeChanges returns an entry of a run's log: a JSON list of the time and the
// changes. Those of a commit have one time.
func EncodeChanges(changes []Change) []byte {
	at := int64(0)
	if len(changes) > 0 {
		at = changes[0].At
	}
	b := append(make([]byte, 0, 128*len(changes)+16), '[')
	b = strconv.AppendInt(b, at, 10)
	for i := range changes {
		b = changes[i].append(append(b, ','), at)
	}
	return append(b, ']')
}

func (c *Change) append(b []byte, at int64) []byte {
	o := object{append(b, '{')}
	o.text("run", string(c.Run))
	o.text("task", c.Task)
	o.text("state", string(c.State))
	o.text("worker", c.Worker)
	o.number("items", int64(c.Items))
	o.number("due", c.Due)
	o.value("progress", c.Progress != 0, c.Progress)
	o.text("note", c.Note)
	o.value("error", c.Error != nil, c.Error)
	o.text("reason", c.Reason)
	o.text("by", c.By)
	o.value("wait", c.Wait != nil, c.Wait)
	o.text("op", c.Op)
	if c.At != at {
		o.always("at", c.At)
	}
	if c.Attempt != c.defaultAttempt() {
		o.always("attempt", int64(c.Attempt))
	}
	o.since("started", c.Started, c.At)
	return append(o.b, '}')
}

func (c *Counts) encode() string {
	o := object{append(make([]byte, 0, 128), '{')}
	o.number("pending", int64(c.Pending))
	o.number("delayed", int64(c.Delayed))
	o.number("waiting", int64(c.Waiting))
	o.number("queued", int64(c.Queued))
	o.number("running", int64(c.Running))
	o.number("retrying", int64(c.Retrying))
	o.number("succeeded", int64(c.Succeeded))
	o.number("cached", int64(c.Cached))
	o.number("failed", int64(c.Failed))
	o.number("skipped", int64(c.Skipped))
	o.number("blocked", int64(c.Blocked))
	o.number("cancelled", int64(c.Cancelled))
	return string(append(o.b, '}'))
}
