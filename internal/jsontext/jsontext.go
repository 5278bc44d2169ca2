// Package jsontext scans JSON as text: it checks, skips, quotes and unquotes
// without building values. It agrees with encoding/json on every text, and a
// fuzz test holds it to that.
//
// Results of jobs are mostly one long string. The package therefore looks at
// eight bytes at a time, and a newline, a quote or a letter outside ASCII costs
// only its own handling.
//
// All functions read a string or a []byte. An offset is always in bytes.
package jsontext

// Text is what the functions of this package read.
type Text interface{ ~string | ~[]byte }

// MaxDepth is how deep arrays and objects may be nested, as in encoding/json.
const MaxDepth = 10000

// Valid reports whether s is one JSON value with nothing but space around it.
// Like json.Valid, it accepts strings that are not valid UTF-8.
func Valid[T Text](s T) bool {
	valid, _ := Check(s)
	return valid
}

// Check is Valid that also reports whether there is no space around the value
// and between its tokens.
func Check[T Text](s T) (valid, compact bool) {
	c := scanner[T]{text: s}
	end, ok := c.value(c.space(0), MaxDepth)
	return ok && c.space(end) == len(s), !c.spaced
}

// SkipSpace returns the offset of the first byte at or after i that is not
// JSON white space.
func SkipSpace[T Text](s T, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// Skip checks the value that starts at i, or behind the space there, and
// returns the offset of its end. When ok is false there is no value, and end is
// the offset at which the text stops being JSON.
func Skip[T Text](s T, i int) (end int, ok bool) {
	c := scanner[T]{text: s}
	return c.value(c.space(i), MaxDepth)
}

// SkipCompact is Skip that also reports whether there is no space from i to the
// end of the value.
func SkipCompact[T Text](s T, i int) (end int, ok, compact bool) {
	c := scanner[T]{text: s}
	end, ok = c.value(c.space(i), MaxDepth)
	return end, ok, !c.spaced
}

// scanner skips values. Its methods take and return offsets; those that return
// ok return the offset of the mistake when it is false.
type scanner[T Text] struct {
	text   T
	spaced bool // it came across space between tokens
}

func (c *scanner[T]) space(i int) int {
	end := SkipSpace(c.text, i)
	c.spaced = c.spaced || end > i
	return end
}

// value skips a value that may nest depth arrays and objects.
func (c *scanner[T]) value(i, depth int) (end int, ok bool) {
	if i >= len(c.text) {
		return i, false
	}
	switch c.text[i] {
	case '"':
		return SkipString(c.text, i)
	case '{':
		return c.object(i, depth)
	case '[':
		return c.array(i, depth)
	case 't':
		return c.word(i, "true")
	case 'f':
		return c.word(i, "false")
	case 'n':
		return c.word(i, "null")
	}
	return SkipNumber(c.text, i)
}

func (c *scanner[T]) word(i int, word string) (end int, ok bool) {
	if len(c.text)-i < len(word) || string(c.text[i:i+len(word)]) != word {
		return i, false
	}
	return i + len(word), true
}

func (c *scanner[T]) array(i, depth int) (end int, ok bool) {
	if depth == 0 {
		return i, false
	}
	if i = c.space(i + 1); i < len(c.text) && c.text[i] == ']' {
		return i + 1, true
	}
	for {
		if i, ok = c.value(i, depth-1); !ok {
			return i, false
		}
		if i = c.space(i); i == len(c.text) {
			return i, false
		}
		switch c.text[i] {
		case ']':
			return i + 1, true
		case ',':
			i = c.space(i + 1)
		default:
			return i, false
		}
	}
}

func (c *scanner[T]) object(i, depth int) (end int, ok bool) {
	if depth == 0 {
		return i, false
	}
	if i = c.space(i + 1); i < len(c.text) && c.text[i] == '}' {
		return i + 1, true
	}
	for {
		if i, ok = SkipString(c.text, i); !ok {
			return i, false
		}
		if i = c.space(i); i == len(c.text) || c.text[i] != ':' {
			return i, false
		}
		if i, ok = c.value(c.space(i+1), depth-1); !ok {
			return i, false
		}
		if i = c.space(i); i == len(c.text) {
			return i, false
		}
		switch c.text[i] {
		case '}':
			return i + 1, true
		case ',':
			i = c.space(i + 1)
		default:
			return i, false
		}
	}
}

// SkipNumber checks the number that starts at i and returns the offset of its
// end.
func SkipNumber[T Text](s T, i int) (end int, ok bool) {
	if i < len(s) && s[i] == '-' {
		i++
	}
	switch {
	case i < len(s) && s[i] == '0':
		i++
	default:
		if i, ok = skipDigits(s, i); !ok {
			return i, false
		}
	}
	if i < len(s) && s[i] == '.' {
		if i, ok = skipDigits(s, i+1); !ok {
			return i, false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		return skipDigits(s, i)
	}
	return i, true
}

// skipDigits skips one digit or more.
func skipDigits[T Text](s T, i int) (end int, ok bool) {
	from := i
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return i, i > from
}

// AppendCompact appends s, which must be valid JSON, without the space between
// its tokens.
func AppendCompact[T Text](dst []byte, s T) []byte {
	from := 0 // s[from:i] is to be appended
	for i := 0; i < len(s); {
		switch s[i] {
		case '"':
			end, ok := SkipString(s, i)
			if !ok {
				end = len(s)
			}
			i = end
		case ' ', '\n', '\t', '\r':
			dst = append(dst, s[from:i]...)
			i = SkipSpace(s, i)
			from = i
		default:
			i++
		}
	}
	return append(dst, s[from:]...)
}
