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
	end, ok := Skip(s, 0)
	return ok && SkipSpace(s, end) == len(s)
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
	return skipValue(s, SkipSpace(s, i), MaxDepth)
}

// skipValue is Skip for a value that may nest depth arrays and objects.
func skipValue[T Text](s T, i, depth int) (end int, ok bool) {
	if i >= len(s) {
		return i, false
	}
	switch s[i] {
	case '"':
		return SkipString(s, i)
	case '{':
		return skipObject(s, i, depth)
	case '[':
		return skipArray(s, i, depth)
	case 't':
		return skipWord(s, i, "true")
	case 'f':
		return skipWord(s, i, "false")
	case 'n':
		return skipWord(s, i, "null")
	}
	return SkipNumber(s, i)
}

func skipWord[T Text](s T, i int, word string) (end int, ok bool) {
	if len(s)-i < len(word) || string(s[i:i+len(word)]) != word {
		return i, false
	}
	return i + len(word), true
}

func skipArray[T Text](s T, i, depth int) (end int, ok bool) {
	if depth == 0 {
		return i, false
	}
	if i = SkipSpace(s, i+1); i < len(s) && s[i] == ']' {
		return i + 1, true
	}
	for {
		if i, ok = skipValue(s, i, depth-1); !ok {
			return i, false
		}
		if i = SkipSpace(s, i); i == len(s) {
			return i, false
		}
		switch s[i] {
		case ']':
			return i + 1, true
		case ',':
			i = SkipSpace(s, i+1)
		default:
			return i, false
		}
	}
}

func skipObject[T Text](s T, i, depth int) (end int, ok bool) {
	if depth == 0 {
		return i, false
	}
	if i = SkipSpace(s, i+1); i < len(s) && s[i] == '}' {
		return i + 1, true
	}
	for {
		if i, ok = SkipString(s, i); !ok {
			return i, false
		}
		if i = SkipSpace(s, i); i == len(s) || s[i] != ':' {
			return i, false
		}
		if i, ok = skipValue(s, SkipSpace(s, i+1), depth-1); !ok {
			return i, false
		}
		if i = SkipSpace(s, i); i == len(s) {
			return i, false
		}
		switch s[i] {
		case '}':
			return i + 1, true
		case ',':
			i = SkipSpace(s, i+1)
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
