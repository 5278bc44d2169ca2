package wire

import "encoding/json"

// deepest is how deep arrays and objects may lie in one another; json.Valid has
// the last word on what is deeper.
const deepest = 1000

// valid reports whether a text is JSON, as json.Valid does, several times as
// fast: results are mostly long strings.
func valid(text string) bool {
	c := checker{text: text}
	c.blank()
	if !c.value(0) {
		return c.deep && json.Valid([]byte(text))
	}
	c.blank()
	return c.at == len(text)
}

// checker goes through a text.
type checker struct {
	text string
	at   int
	deep bool // it went too deep
}

func (c *checker) blank() {
	for c.at < len(c.text) {
		switch c.text[c.at] {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return
		}
	}
}

// is takes a letter, if that is the next.
func (c *checker) is(b byte) bool {
	if c.at < len(c.text) && c.text[c.at] == b {
		c.at++
		return true
	}
	return false
}

func (c *checker) value(depth int) bool {
	if c.at == len(c.text) {
		return false
	}
	if depth > deepest {
		c.deep = true
		return false
	}
	switch c.text[c.at] {
	case '"':
		return c.str()
	case '{':
		return c.list('}', depth, true)
	case '[':
		return c.list(']', depth, false)
	case 't':
		return c.word("true")
	case 'f':
		return c.word("false")
	case 'n':
		return c.word("null")
	}
	return c.number()
}

func (c *checker) word(w string) bool {
	if len(c.text)-c.at < len(w) || c.text[c.at:c.at+len(w)] != w {
		return false
	}
	c.at += len(w)
	return true
}

// list is an array, or an object, whose values have names.
func (c *checker) list(end byte, depth int, named bool) bool {
	c.at++
	c.blank()
	if c.is(end) {
		return true
	}
	for {
		if named {
			if c.at == len(c.text) || c.text[c.at] != '"' || !c.str() {
				return false
			}
			c.blank()
			if !c.is(':') {
				return false
			}
			c.blank()
		}
		if !c.value(depth + 1) {
			return false
		}
		c.blank()
		if c.is(end) {
			return true
		}
		if !c.is(',') {
			return false
		}
		c.blank()
	}
}

// str is a string; json.Valid takes bytes that are not UTF-8, too.
func (c *checker) str() bool {
	for i := c.at + 1; i < len(c.text); i++ {
		switch b := c.text[i]; {
		case b == '"':
			c.at = i + 1
			return true
		case b < ' ':
			return false
		case b == '\\':
			if i++; i == len(c.text) {
				return false
			}
			switch c.text[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if len(c.text)-i <= 4 || !isHex(c.text[i+1:i+5]) {
					return false
				}
				i += 4
			default:
				return false
			}
		}
	}
	return false
}

func isHex(text string) bool {
	for i := range len(text) {
		if b := text[i] | ' '; (b < '0' || b > '9' || text[i] < '0') && (b < 'a' || b > 'f') {
			return false
		}
	}
	return true
}

func (c *checker) number() bool {
	c.is('-')
	if !c.is('0') && !c.digits() {
		return false
	}
	if c.is('.') && !c.digits() {
		return false
	}
	if c.is('e') || c.is('E') {
		if !c.is('+') {
			c.is('-')
		}
		return c.digits()
	}
	return true
}

// digits takes at least one.
func (c *checker) digits() bool {
	from := c.at
	for c.at < len(c.text) && '0' <= c.text[c.at] && c.text[c.at] <= '9' {
		c.at++
	}
	return c.at > from
}
