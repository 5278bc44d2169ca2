package expr

import "github.com/orchis-run/orchis/internal/jsontext"

// decoder reads JSON as encoding/json does, several times as fast: reading the
// results of 100,000 items with encoding/json kept other runs waiting. It fails
// at everything that is not JSON and leaves it to encoding/json to say why. A
// fuzz test compares the two.
type decoder struct {
	text []byte
	at   int
}

// next reports whether c comes next, and takes it.
func (d *decoder) next(c byte) bool {
	d.at = jsontext.SkipSpace(d.text, d.at)
	if d.at < len(d.text) && d.text[d.at] == c {
		d.at++
		return true
	}
	return false
}

// value reads a value that may nest depth lists and maps.
func (d *decoder) value(depth int) (any, bool) {
	d.at = jsontext.SkipSpace(d.text, d.at)
	if d.at == len(d.text) {
		return nil, false
	}
	switch d.text[d.at] {
	case '{':
		return d.object(depth)
	case '[':
		return d.list(depth)
	case '"':
		return d.string()
	case 't':
		return true, d.other()
	case 'f':
		return false, d.other()
	case 'n':
		return nil, d.other()
	default:
		from := d.at
		if !d.other() {
			return nil, false
		}
		return wholeOr(d.text[from:d.at]), true
	}
}

// other takes a number or a word.
func (d *decoder) other() (ok bool) {
	d.at, ok = jsontext.Skip(d.text, d.at)
	return ok
}

func (d *decoder) string() (text string, ok bool) {
	text, d.at, ok = jsontext.ReadString(d.text, d.at)
	return text, ok
}

func (d *decoder) object(depth int) (any, bool) {
	d.at++
	m := map[string]any{}
	if depth == 0 || d.next('}') {
		return m, depth > 0
	}
	for {
		d.at = jsontext.SkipSpace(d.text, d.at)
		k, ok := d.string()
		if !ok || !d.next(':') {
			return nil, false
		}
		if m[k], ok = d.value(depth - 1); !ok {
			return nil, false
		}
		if d.next('}') {
			return m, true
		}
		if !d.next(',') {
			return nil, false
		}
	}
}

func (d *decoder) list(depth int) (any, bool) {
	d.at++
	l := []any{}
	if depth == 0 || d.next(']') {
		return l, depth > 0
	}
	for {
		v, ok := d.value(depth - 1)
		if !ok {
			return nil, false
		}
		l = append(l, v)
		if d.next(']') {
			return l, true
		}
		if !d.next(',') {
			return nil, false
		}
	}
}

// wholeOr is number without the text of a short whole number being copied.
func wholeOr(text []byte) any {
	const sure = 18 // digits that fit an int64
	n, digits := 0, text
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) > sure {
		return number(string(text))
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return number(string(text))
		}
		n = n*10 + int(c-'0')
	}
	if len(digits) < len(text) {
		n = -n
	}
	return n
}
