package jsontext

import (
	"strconv"
	"unicode/utf8"
)

// Reader walks through a JSON text: into objects and arrays, past what is of no
// interest. After the first mistake in the text, or a value of another kind than
// was read, OK is false and all methods return zero values, so it is enough to
// check OK once at the end.
//
//	r := jsontext.NewReader(text)
//	for name, more := r.Object(); more; name, more = r.Next() {
//		switch string(name) {
//		case "id":
//			id = r.String()
//		default:
//			r.Skip()
//		}
//	}
//	if !r.End() { ... }
type Reader[T Text] struct {
	text   T
	at     int
	failed bool
}

// NewReader returns a reader at the start of a text.
func NewReader[T Text](text T) Reader[T] { return Reader[T]{text: text} }

// OK reports whether everything read so far was there, and JSON.
func (r *Reader[T]) OK() bool { return !r.failed }

// Offset returns where the reader is, or where it failed.
func (r *Reader[T]) Offset() int { return r.at }

// End reports whether the text ends here and everything read was OK.
func (r *Reader[T]) End() bool {
	return !r.failed && SkipSpace(r.text, r.at) == len(r.text)
}

// Kind returns the first byte of the next value: { [ " t f n, a digit or a
// minus sign. It is 0 at the end of the text.
func (r *Reader[T]) Kind() byte {
	r.at = SkipSpace(r.text, r.at)
	if r.failed || r.at == len(r.text) {
		return 0
	}
	return r.text[r.at]
}

// Fail makes the reader fail where it is.
func (r *Reader[T]) Fail() { r.failed = true }

// take moves past the next byte if it is c.
func (r *Reader[T]) take(c byte) bool {
	if r.Kind() != c {
		return false
	}
	r.at++
	return true
}

// Object enters an object and returns the name of its first member; more is
// false when it has none. The value of the member must be read or skipped
// before Next.
func (r *Reader[T]) Object() (name T, more bool) {
	if !r.take('{') {
		r.failed = true
		return name, false
	}
	if r.take('}') {
		return name, false
	}
	return r.name()
}

// Next returns the name of the next member of an object; more is false when
// there is none, and the object is left.
func (r *Reader[T]) Next() (name T, more bool) {
	if r.take('}') {
		return name, false
	}
	if !r.take(',') {
		r.failed = true
		return name, false
	}
	return r.name()
}

// name reads the name of a member and its colon.
func (r *Reader[T]) name() (name T, ok bool) {
	if r.Kind() != '"' {
		r.failed = true
		return name, false
	}
	if end := plainEnd(r.text, r.at+1); end < len(r.text) && r.text[end] == '"' {
		name, r.at = r.text[r.at+1:end], end+1
		if !utf8.Valid([]byte(name)) {
			name = T(unescape(name, len(name)))
		}
	} else {
		name = T(r.String())
	}
	if !r.take(':') {
		r.failed = true
	}
	return name, !r.failed
}

// Array enters an array and reports whether it has an element, which must be
// read or skipped before More.
func (r *Reader[T]) Array() bool {
	if !r.take('[') {
		r.failed = true
		return false
	}
	return !r.take(']') && !r.failed
}

// More reports whether there is another element of an array; when there is
// none, the array is left.
func (r *Reader[T]) More() bool {
	if r.take(']') {
		return false
	}
	if !r.take(',') {
		r.failed = true
	}
	return !r.failed
}

// Skip moves past a value of any kind.
func (r *Reader[T]) Skip() { r.Raw() }

// Raw returns the text of a value of any kind. It is a part of the text that is
// read, and valid as long as that.
func (r *Reader[T]) Raw() (raw T) {
	if r.Kind() == 0 {
		r.failed = true
		return raw
	}
	end, ok := Skip(r.text, r.at)
	if !ok {
		r.at, r.failed = end, true
		return raw
	}
	raw, r.at = r.text[r.at:end], end
	return raw
}

// String reads a string.
func (r *Reader[T]) String() string {
	if r.Kind() != '"' {
		r.failed = true
		return ""
	}
	text, end, ok := ReadString(r.text, r.at)
	r.at, r.failed = end, !ok
	return text
}

// Int reads a whole number that fits an int64, written without fraction and
// exponent.
func (r *Reader[T]) Int() int64 {
	raw := r.Raw()
	if r.failed {
		return 0
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		r.failed = true
	}
	return n
}

// Bool reads true or false.
func (r *Reader[T]) Bool() bool {
	switch raw := r.Raw(); string(raw) {
	case "true":
		return true
	case "false":
	default:
		r.failed = true
	}
	return false
}
