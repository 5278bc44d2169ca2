package expr

import (
	"strconv"
	"strings"
)

func isLetter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// word reads letters, digits and underscores.
func (p *parser) word() string {
	start := p.pos
	for p.pos < len(p.src) && (isLetter(p.src[p.pos]) || isDigit(p.src[p.pos])) {
		p.pos++
	}
	return p.src[start:p.pos]
}

func (p *parser) text() (string, *Error) {
	start, quote := p.pos, p.src[p.pos]
	var b strings.Builder
	for p.pos++; p.pos < len(p.src); p.pos++ {
		c := p.src[p.pos]
		if c == quote {
			p.pos++
			return b.String(), nil
		}
		if c == '\\' && p.pos+1 < len(p.src) {
			p.pos++
			switch c = p.src[p.pos]; c {
			case 'n':
				c = '\n'
			case 't':
				c = '\t'
			}
		}
		b.WriteByte(c)
	}
	return "", p.errorAt(start, 1, "the text is not closed", "")
}

func (p *parser) number() (node, *Error) {
	start := p.pos
	for p.pos < len(p.src) && (isDigit(p.src[p.pos]) || p.src[p.pos] == '.' && p.pos+1 < len(p.src) && isDigit(p.src[p.pos+1])) {
		p.pos++
	}
	s := p.src[start:p.pos]
	if i, err := strconv.Atoi(s); err == nil {
		return &literal{i}, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, p.errorAt(start, len(s), strconv.Quote(s)+" is not a number", "")
	}
	return &literal{f}, nil
}

// sequence reads values up to a closing token.
func (p *parser) sequence(end string, depth int) ([]node, *Error) {
	var list []node
	for first := true; !p.take(end); first = false {
		if !first {
			if err := p.expect(","); err != nil {
				return nil, err
			}
			if p.take(end) {
				break
			}
		}
		n, err := p.ternary(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

func (p *parser) list(depth int) (node, *Error) {
	p.pos++
	items, err := p.sequence("]", depth)
	return &listNode{items}, err
}

func (p *parser) mapping(depth int) (node, *Error) {
	p.pos++
	n := &mapNode{}
	for first := true; !p.take("}"); first = false {
		if !first {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		p.space()
		var key string
		switch {
		case p.pos < len(p.src) && (p.src[p.pos] == '"' || p.src[p.pos] == '\''):
			s, err := p.text()
			if err != nil {
				return nil, err
			}
			key = s
		default:
			if key = p.word(); key == "" {
				return nil, p.unexpected()
			}
		}
		if err := p.expect(":"); err != nil {
			return nil, err
		}
		v, err := p.ternary(depth + 1)
		if err != nil {
			return nil, err
		}
		n.keys, n.values = append(n.keys, key), append(n.values, v)
	}
	return n, nil
}
