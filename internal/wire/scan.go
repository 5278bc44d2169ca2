package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/orchis-run/orchis/internal/jsontext"
)

// scanner reads one JSON text from left to right and remembers the first
// error, with what is wrong. Tickets and events are read by it because
// encoding/json costs several times as much; fuzz tests compare the two.
type scanner struct {
	text string
	at   int
	err  error
}

func scan(text string) *scanner { return &scanner{text: text} }

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
	}
	s.at = len(s.text)
}

// is skips blanks, and the byte b if it follows.
func (s *scanner) is(b byte) bool {
	s.at = jsontext.SkipSpace(s.text, s.at)
	if s.at < len(s.text) && s.text[s.at] == b {
		s.at++
		return true
	}
	return false
}

// object calls member for each key of the object at the cursor. member must
// read or skip the value.
func (s *scanner) object(member func(key string)) {
	if !s.is('{') {
		s.fail("expected a JSON object")
		return
	}
	for first := true; s.err == nil; first = false {
		if s.is('}') {
			return
		}
		if !first && !s.is(',') {
			s.fail("expected , or } in a JSON object")
			return
		}
		key := s.quoted()
		if !s.is(':') {
			s.fail("expected : after a key")
			return
		}
		s.at = jsontext.SkipSpace(s.text, s.at)
		member(key)
	}
}

// array calls element before each element of the array at the cursor. element
// must read or skip the value.
func (s *scanner) array(element func()) {
	if !s.is('[') {
		s.fail("expected a JSON array")
		return
	}
	for first := true; s.err == nil; first = false {
		if s.is(']') {
			return
		}
		if !first && !s.is(',') {
			s.fail("expected , or ] in a JSON array")
			return
		}
		s.at = jsontext.SkipSpace(s.text, s.at)
		element()
	}
}

// end fails when anything but blanks follows.
func (s *scanner) end() {
	if s.at = jsontext.SkipSpace(s.text, s.at); s.err == nil && s.at < len(s.text) {
		s.fail("text follows the JSON value")
	}
}

// rawText returns the text of the value at the cursor, which is valid JSON.
func (s *scanner) rawText() string {
	start := s.at
	end, ok := jsontext.Skip(s.text, start)
	if s.err != nil || !ok {
		s.fail("expected a JSON value")
		return ""
	}
	s.at = end
	return s.text[start:end]
}

// tidy is raw that also reports whether the value is in valid UTF-8 without space
// between its tokens.
func (s *scanner) tidy() (json.RawMessage, bool) {
	start := s.at
	end, ok, compact := jsontext.SkipCompact(s.text, start)
	if s.err != nil || !ok {
		s.fail("expected a JSON value")
		return nil, false
	}
	s.at = end
	text := s.text[start:end]
	return json.RawMessage(text), compact && utf8.ValidString(text)
}

// raw returns a copy of the value at the cursor.
func (s *scanner) raw() json.RawMessage { return json.RawMessage(s.rawText()) }

func (s *scanner) skip() { s.rawText() }

// null consumes null, which means the same as an absent member.
func (s *scanner) null() bool {
	if s.at < len(s.text) && s.text[s.at] == 'n' {
		return s.rawText() == "null"
	}
	return false
}

// quoted returns the JSON string at the cursor.
func (s *scanner) quoted() string {
	s.at = jsontext.SkipSpace(s.text, s.at)
	if s.at < len(s.text) && s.text[s.at] == '"' {
		if text, end, ok := jsontext.ReadString(s.text, s.at); ok {
			s.at = end
			return text
		}
	}
	s.fail("expected a JSON string")
	return ""
}

// string, integer, float and yes read the value of member key.
func (s *scanner) string(key string) string {
	if s.null() {
		return ""
	}
	if s.at < len(s.text) && s.text[s.at] != '"' {
		s.fail("%q is not a text", key)
		return ""
	}
	return s.quoted()
}

func (s *scanner) integer(key string) int64 {
	if s.null() {
		return 0
	}
	n, err := strconv.ParseInt(s.rawText(), 10, 64)
	if err != nil {
		s.fail("%q is not a whole number", key)
	}
	return n
}

func (s *scanner) float(key string) float64 {
	if s.null() {
		return 0
	}
	n, err := strconv.ParseFloat(s.rawText(), 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		s.fail("%q is not a number", key)
	}
	return n
}

func (s *scanner) yes(key string) bool {
	switch s.rawText() {
	case "true":
		return true
	case "false", "null":
		return false
	}
	s.fail("%q is not true or false", key)
	return false
}

// object appends members to a JSON object and leaves out empty values.
type object struct{ b []byte }

func openObject(b []byte) object { return object{append(b, '{')} }

func (o *object) close() []byte { return append(o.b, '}') }

func (o *object) key(key string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, '"'), key...), '"', ':')
}

func (o *object) string(key, value string) {
	if value != "" {
		o.key(key)
		o.b = jsontext.AppendQuote(o.b, value)
	}
}

func (o *object) raw(key string, value json.RawMessage) {
	if len(value) > 0 {
		o.key(key)
		o.b = append(o.b, value...)
	}
}

func (o *object) integer(key string, value int64) {
	if value != 0 {
		o.key(key)
		o.b = strconv.AppendInt(o.b, value, 10)
	}
}

func (o *object) yes(key string, value bool) {
	if value {
		o.key(key)
		o.b = append(o.b, "true"...)
	}
}
