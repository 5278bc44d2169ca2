package expr

import "strconv"

// quick reads the JSON that results and inputs mostly are: objects, lists,
// texts of ASCII without escapes, whole numbers, true, false and null. It gives
// up on everything else, right or wrong, and leaves it to encoding/json, with
// which reading the results of 100,000 items kept other runs waiting. A fuzz
// test holds the two to the same values.
type quick struct {
	text []byte
	at   int
}

// How deep quick goes, and appendJSON, and how many digits a number may have that fits an int
// for certain.
const (
	quickDepth  = 100
	quickDigits = 18
)

func (q *quick) space() {
	for q.at < len(q.text) {
		switch q.text[q.at] {
		case ' ', '\n', '\t', '\r':
			q.at++
		default:
			return
		}
	}
}

// next reports whether c comes next, and takes it.
func (q *quick) next(c byte) bool {
	q.space()
	if q.at < len(q.text) && q.text[q.at] == c {
		q.at++
		return true
	}
	return false
}

func (q *quick) word(w string) bool {
	if len(q.text)-q.at < len(w) || string(q.text[q.at:q.at+len(w)]) != w {
		return false
	}
	q.at += len(w)
	return true
}

func (q *quick) value(depth int) (any, bool) {
	q.space()
	if q.at == len(q.text) || depth > quickDepth {
		return nil, false
	}
	switch c := q.text[q.at]; c {
	case '{':
		return q.object(depth)
	case '[':
		return q.list(depth)
	case '"':
		return q.string()
	case 't':
		return true, q.word("true")
	case 'f':
		return false, q.word("false")
	case 'n':
		return nil, q.word("null")
	default:
		return q.number()
	}
}

func (q *quick) object(depth int) (any, bool) {
	q.at++
	m := map[string]any{}
	if q.next('}') {
		return m, true
	}
	for {
		if q.space(); q.at == len(q.text) || q.text[q.at] != '"' {
			return nil, false
		}
		k, ok := q.string()
		if !ok || !q.next(':') {
			return nil, false
		}
		if m[k], ok = q.value(depth + 1); !ok {
			return nil, false
		}
		if q.next('}') {
			return m, true
		}
		if !q.next(',') {
			return nil, false
		}
	}
}

func (q *quick) list(depth int) (any, bool) {
	q.at++
	l := []any{}
	if q.next(']') {
		return l, true
	}
	for {
		v, ok := q.value(depth + 1)
		if !ok {
			return nil, false
		}
		l = append(l, v)
		if q.next(']') {
			return l, true
		}
		if !q.next(',') {
			return nil, false
		}
	}
}

func (q *quick) string() (string, bool) {
	from := q.at + 1
	for i := from; i < len(q.text); i++ {
		switch c := q.text[i]; {
		case c == '"':
			q.at = i + 1
			return string(q.text[from:i]), true
		case c < ' ' || c > '~' || c == '\\':
			return "", false
		}
	}
	return "", false
}

func (q *quick) number() (any, bool) {
	from := q.at
	if q.text[q.at] == '-' {
		q.at++
	}
	digits := q.at
	for q.at < len(q.text) && q.text[q.at] >= '0' && q.text[q.at] <= '9' {
		q.at++
	}
	n := q.at - digits
	if n == 0 || n > quickDigits || n > 1 && q.text[digits] == '0' {
		return nil, false
	}
	if q.at < len(q.text) && (q.text[q.at] == '.' || q.text[q.at] == 'e' || q.text[q.at] == 'E') {
		return nil, false
	}
	v, err := strconv.Atoi(string(q.text[from:q.at]))
	return v, err == nil
}
