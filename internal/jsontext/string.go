package jsontext

import (
	"bytes"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// SkipString checks the string whose opening quote is at i and returns the
// offset behind its closing quote.
func SkipString[T Text](s T, i int) (end int, ok bool) {
	if i >= len(s) || s[i] != '"' {
		return i, false
	}
	for i++; ; {
		if i = plainEnd(s, i); i == len(s) {
			return i, false
		}
		switch s[i] {
		case '"':
			return i + 1, true
		case '\\':
			_, n := escape(s, i)
			if n == 0 {
				return i, false
			}
			i += n
		default: // a control character
			return i, false
		}
	}
}

// ReadString returns the text of the string whose opening quote is at i, and
// the offset behind its closing quote. Bytes that are not UTF-8 and surrogates
// without their other half become U+FFFD, as in encoding/json. The text is a
// copy when s is a []byte, and may be a part of s when it is a string.
func ReadString[T Text](s T, i int) (text string, end int, ok bool) {
	if i >= len(s) || s[i] != '"' {
		return "", i, false
	}
	from, size := i+1, 0
	for i = from; ; {
		if i = plainEnd(s, i); i == len(s) {
			return "", i, false
		}
		if s[i] == '"' {
			break
		}
		r, n := escape(s, i)
		if n == 0 || s[i] != '\\' {
			return "", i, false
		}
		i += n
		size += utf8.RuneLen(noSurrogate(r)) - n
	}
	part := s[from:i]
	if size == 0 {
		if text := string(part); utf8.ValidString(text) {
			return text, i + 1, true
		}
	}
	return unescape(part, len(part)+size), i + 1, true
}

// Unquote returns the text of s, which must be one JSON string with nothing
// around it; ok is false when it is not.
func Unquote[T Text](s T) (text string, ok bool) {
	text, end, ok := ReadString(s, 0)
	return text, ok && end == len(s)
}

// unescape returns the text of the inside of a valid string. It has about size
// bytes.
func unescape[T Text](s T, size int) string {
	var b strings.Builder
	b.Grow(size)
	whole := utf8.Valid([]byte(s))
	for {
		n := bytes.IndexByte([]byte(s), '\\')
		if n < 0 {
			n = len(s)
		}
		if whole {
			b.Write([]byte(s[:n]))
		} else {
			writeValid(&b, []byte(s[:n]))
		}
		if s = s[n:]; len(s) == 0 {
			return b.String()
		}
		r, n := unescapeOne(s)
		b.WriteRune(r)
		s = s[n:]
	}
}

// unescapeOne returns the letter that the escape or the two escapes at the start
// of s stand for, and how many bytes they have.
func unescapeOne[T Text](s T) (r rune, n int) {
	r, n = escape(s, 0)
	if !utf16.IsSurrogate(r) {
		return r, n
	}
	if n < len(s) && s[n] == '\\' {
		second, m := escape(s, n)
		if pair := utf16.DecodeRune(r, second); pair != utf8.RuneError {
			return pair, n + m
		}
	}
	return utf8.RuneError, n
}

// writeValid writes bytes with U+FFFD for each that is not part of a letter in
// UTF-8.
func writeValid(b *strings.Builder, s []byte) {
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		b.WriteRune(r)
		s = s[n:]
	}
}

func noSurrogate(r rune) rune {
	if utf16.IsSurrogate(r) {
		return utf8.RuneError
	}
	return r
}

// escape returns what the escape at s[i], a backslash, stands for and how many
// bytes it has; none when it is wrong. Half a surrogate pair is returned as it
// is.
func escape[T Text](s T, i int) (r rune, n int) {
	if i+1 >= len(s) {
		return 0, 0
	}
	switch c := s[i+1]; c {
	case '"', '\\', '/':
		return rune(c), 2
	case 'n':
		return '\n', 2
	case 't':
		return '\t', 2
	case 'r':
		return '\r', 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'u':
		if len(s)-i < 6 {
			return 0, 0
		}
		for _, c := range []byte(s[i+2 : i+6]) {
			d := hexDigit(c)
			if d < 0 {
				return 0, 0
			}
			r = r<<4 | d
		}
		return r, 6
	}
	return 0, 0
}

func hexDigit(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c|' ' && c|' ' <= 'f':
		return rune(c|' ') - 'a' + 10
	}
	return -1
}

// AppendQuote appends s as a JSON string. It writes the bytes that encoding/json
// writes without EscapeHTML: <, > and & stay as they are, U+2028 and U+2029 are
// escaped, and a byte that is not UTF-8 becomes \ufffd.
func AppendQuote[T Text](dst []byte, s T) []byte {
	// Room for a newline in every 16 bytes: growing copies all that is there.
	if n := len(s) + len(s)/16 + 2; cap(dst)-len(dst) < n {
		dst = append(make([]byte, 0, max(2*cap(dst), len(dst)+n)), dst...)
	}
	dst = append(dst, '"')
	if utf8.Valid([]byte(s)) {
		dst = appendEscaped(dst, s)
	} else {
		for len(s) > 0 {
			n := validEnd([]byte(s))
			dst = appendEscaped(dst, s[:n])
			if s = s[n:]; len(s) > 0 {
				dst, s = append(dst, `\ufffd`...), s[1:]
			}
		}
	}
	return append(dst, '"')
}

// validEnd returns how many bytes from the start are UTF-8.
func validEnd(s []byte) int {
	i := 0
	for i < len(s) {
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return i
}

const hex = "0123456789abcdef"

// appendEscaped appends s, which is UTF-8, with the escapes that a JSON string
// needs.
func appendEscaped[T Text](dst []byte, s T) []byte {
	for i := 0; ; {
		from := i
		i = quotableEnd(s, i)
		dst = append(dst, s[from:i]...)
		if i == len(s) {
			return dst
		}
		switch c := s[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case separator:
			if s[i+1] == 0x80 && s[i+2]|1 == 0xA9 {
				dst = append(dst, '\\', 'u', '2', '0', '2', hex[s[i+2]&0xF])
				i += 3
				continue
			}
			dst = append(dst, c)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xF])
		}
		i++
	}
}

// Eight bytes are looked at as one number. A byte of a mask is 0x80 where the
// search has a hit; only the lowest hit is certain, since a borrow can add one
// above it.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080

	// separator is the first byte of U+2028 and U+2029, and of others.
	separator = 0xE2
)

// special finds control characters, quotes and backslashes.
func special(w uint64) uint64 {
	quote, slash := w^ones*'"', w^ones*'\\'
	return ((w-ones*' ')&^w | (quote-ones)&^quote | (slash-ones)&^slash) & highs
}

// load returns the eight bytes at i, the first as the lowest.
func load[T Text](s T, i int) uint64 {
	b := s[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// plainEnd returns the offset of the first quote, backslash or control
// character at or after i, or the length of s.
func plainEnd[T Text](s T, i int) int {
	for ; i+8 <= len(s); i += 8 {
		if hits := special(load(s, i)); hits != 0 {
			return i + bits.TrailingZeros64(hits)>>3
		}
	}
	for i < len(s) && s[i] >= ' ' && s[i] != '"' && s[i] != '\\' {
		i++
	}
	return i
}

// quotableEnd is plainEnd that also stops at the first byte of U+2028.
func quotableEnd[T Text](s T, i int) int {
	for ; i+8 <= len(s); i += 8 {
		w := load(s, i)
		line := w ^ ones*separator
		if hits := special(w) | (line-ones)&^line&highs; hits != 0 {
			return i + bits.TrailingZeros64(hits)>>3
		}
	}
	for i < len(s) && s[i] >= ' ' && s[i] != '"' && s[i] != '\\' && s[i] != separator {
		i++
	}
	return i
}
