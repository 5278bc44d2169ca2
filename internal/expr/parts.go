package expr

import (
	"errors"
	"fmt"

	"github.com/orchis-run/orchis/internal/jsontext"
)

// part is a compiled piece of a template.
type part interface {
	value(*machine) (any, error)
	// append appends the value as JSON.
	append(*machine, []byte) ([]byte, error)
}

type constant struct{ v any }

type listPart []part

type mapPart struct {
	keys  []string
	parts []part
}

// textPart is text with expressions inside.
type textPart []part

func (c constant) value(*machine) (any, error) { return c.v, nil }

func (c constant) append(_ *machine, b []byte) ([]byte, error) { return Append(b, c.v) }

func (l listPart) value(m *machine) (any, error) {
	out := make([]any, len(l))
	for i, p := range l {
		v, err := m.inside(i, p)
		if err != nil {
			return nil, at(i, err)
		}
		out[i] = v
	}
	return out, nil
}

func (p *mapPart) value(m *machine) (any, error) {
	out := make(map[string]any, len(p.keys))
	for i, key := range p.keys {
		v, err := m.inside(key, p.parts[i])
		if err != nil {
			return nil, at(key, err)
		}
		out[key] = v
	}
	return out, nil
}

func (l listPart) append(m *machine, b []byte) ([]byte, error) {
	b = append(b, '[')
	for i, p := range l {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = m.appendInside(b, i, p); err != nil {
			return nil, at(i, err)
		}
	}
	return append(b, ']'), nil
}

func (p *mapPart) append(m *machine, b []byte) ([]byte, error) {
	b = append(b, '{')
	for i, key := range p.keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsontext.AppendQuote(b, key), ':')
		var err error
		if b, err = m.appendInside(b, key, p.parts[i]); err != nil {
			return nil, at(key, err)
		}
	}
	return append(b, '}'), nil
}

// appendInside is inside for JSON.
func (m *machine) appendInside(b []byte, key any, p part) ([]byte, error) {
	m.at = append(m.at, key)
	defer func() { m.at = m.at[:len(m.at)-1] }()
	return p.append(m, b)
}

// inside evaluates a part that stands at a key or index of the value.
func (m *machine) inside(key any, p part) (any, error) {
	m.at = append(m.at, key)
	defer func() { m.at = m.at[:len(m.at)-1] }()
	return p.value(m)
}

func (t textPart) value(m *machine) (any, error) {
	text, parts, secret, err := t.text(m)
	if err != nil {
		return nil, err
	}
	if secret != nil {
		return text, m.note(parts, secret)
	}
	return text, nil
}

func (t textPart) append(m *machine, b []byte) ([]byte, error) { return appendValue(t, m, b) }

func appendValue(p part, m *machine, b []byte) ([]byte, error) {
	v, err := p.value(m)
	if err != nil {
		return nil, err
	}
	return Append(b, v)
}

// textOf evaluates a part of a text.
func textOf(p part, m *machine) (string, error) {
	if _, ok := p.(*secretPart); ok {
		return Hidden, nil
	}
	v, err := p.value(m)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case nil:
		e, _ := p.(*expression)
		return "", e.fail("the value is null, which cannot stand inside text", "give a default: ${... ?? \"\"}")
	}
	raw, err := Encode(v)
	return string(raw), err
}

func tooLong() error {
	return &Error{Message: fmt.Sprintf("the text is longer than %d bytes", maxText)}
}

// at puts a key or an index in front of the place of an error.
func at(key any, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	c := *e
	c.At = append([]any{key}, e.At...)
	return &c
}
