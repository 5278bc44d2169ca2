package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Template is a JSON-like value whose texts may hold ${...}. It never changes
// and may be evaluated at the same time by many.
type Template struct {
	source any
	root   part
	refs   []Ref
	fixed  bool // it holds no ${...}
}

// ParseTemplate compiles a value. The error joins an *Error for each text that
// is wrong.
func ParseTemplate(v any) (*Template, error) {
	t := &Template{source: v, fixed: true}
	var problems []error
	t.root = t.compile(v, nil, &problems, 0)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return t, nil
}

func (t *Template) compile(v any, where []any, problems *[]error, depth int) part {
	if depth > maxDepth {
		*problems = append(*problems, &Error{At: where, Message: fmt.Sprintf("values are nested more than %d deep", maxDepth)})
		return constant{}
	}
	switch v := v.(type) {
	case string:
		p, err := t.compileText(v)
		if err != nil {
			err.At = slices.Clone(where)
			*problems = append(*problems, err)
			return constant{}
		}
		return p
	case []any:
		list := make(listPart, len(v))
		for i, item := range v {
			list[i] = t.compile(item, append(where, i), problems, depth+1)
		}
		return list
	case map[string]any:
		m := &mapPart{}
		for key := range v {
			m.keys = append(m.keys, key)
		}
		slices.Sort(m.keys)
		for _, key := range m.keys {
			m.parts = append(m.parts, t.compile(v[key], append(where, key), problems, depth+1))
		}
		return m
	case nil, bool, int, float64:
		return constant{v}
	}
	*problems = append(*problems, &Error{At: slices.Clone(where), Message: fmt.Sprintf("a %T is no value of JSON", v)})
	return constant{}
}

// compileText splits a text into literal pieces and expressions. $${ stands
// for ${ itself.
func (t *Template) compileText(s string) (part, *Error) {
	if !strings.Contains(s, "${") {
		if i := strings.Index(s, "{{"); i >= 0 && looksLikeTemplate(s[i:]) {
			return nil, &Error{Offset: i, Len: 2, Message: "{{ }} is not expanded here", Hint: "write ${inputs.name}"}
		}
		return constant{s}, nil
	}
	var parts textPart
	var literal strings.Builder
	for i := 0; i < len(s); {
		next := strings.Index(s[i:], "${")
		if next < 0 {
			literal.WriteString(s[i:])
			break
		}
		next += i
		if next > i && s[next-1] == '$' {
			literal.WriteString(s[i : next-1])
			literal.WriteString("${")
			i = next + 2
			continue
		}
		literal.WriteString(s[i:next])
		end, err := closing(s, next)
		if err != nil {
			return nil, err
		}
		e, err := compileExpression(s[next+2:end], next+2, false)
		if err != nil {
			return nil, err
		}
		var piece part = e
		secret, err := secretOf(e)
		if err != nil {
			return nil, err
		}
		if secret != "" {
			piece = &secretPart{name: secret, e: e}
		}
		t.fixed = false
		t.refs = append(t.refs, e.refs...)
		if next == 0 && end == len(s)-1 {
			return piece, nil
		}
		if literal.Len() > 0 {
			parts = append(parts, constant{literal.String()})
			literal.Reset()
		}
		parts = append(parts, piece)
		i = end + 1
	}
	if len(parts) == 0 {
		return constant{literal.String()}, nil
	}
	if literal.Len() > 0 {
		parts = append(parts, constant{literal.String()})
	}
	return parts, nil
}

// looksLikeTemplate tells {{ name }} from braces that mean something else,
// such as the format strings of other tools ({{json .}}, {{.Name}}).
func looksLikeTemplate(s string) bool {
	inner := strings.TrimSpace(strings.TrimPrefix(s, "{{"))
	for _, root := range Roots() {
		if strings.HasPrefix(inner, root+".") {
			return true
		}
	}
	return false
}

// closing finds the brace that ends the ${ at i, past texts and inner braces.
func closing(s string, i int) (int, *Error) {
	if strings.HasPrefix(s[i:], "${{") {
		return 0, &Error{Offset: i, Len: 3, Message: "${{ }} is the form of another tool", Hint: "write ${...}"}
	}
	depth, quote := 0, byte(0)
	for j := i + 2; j < len(s); j++ {
		switch c := s[j]; {
		case quote != 0:
			switch c {
			case '\\':
				j++
			case quote:
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{':
			depth++
		case c == '}':
			if depth == 0 {
				return j, nil
			}
			depth--
		}
	}
	return 0, &Error{Offset: i, Len: 2, Message: "the ${ is not closed", Hint: "add the missing }, or write $${ for the text itself"}
}

// Refs returns every path that the template reads.
func (t *Template) Refs() []Ref {
	if t == nil {
		return nil
	}
	return t.refs
}

// Constant returns the value of a template that holds no ${...}.
func (t *Template) Constant() (any, bool) {
	if t == nil {
		return nil, true
	}
	if !t.fixed {
		return nil, false
	}
	v, err := t.root.value(&machine{})
	return v, err == nil
}

// Source returns the value from which the template was made.
func (t *Template) Source() any {
	if t == nil {
		return nil
	}
	return t.source
}

// Eval computes the value. A nil template gives nil. Errors are of type
// *Error and say where in the value they arose. Mentioning a secret is one.
func (t *Template) Eval(s Scope) (any, error) {
	if t == nil {
		return nil, nil
	}
	return t.root.value(&machine{scope: s})
}

// EvalSecret computes the value of a template that may mention secrets. Where
// one belongs, the value has Hidden, and the list says what to put there.
func (t *Template) EvalSecret(s Scope) (any, []SecretText, error) {
	if t == nil {
		return nil, nil, nil
	}
	var secrets []SecretText
	v, err := t.root.value(&machine{scope: s, secrets: &secrets})
	return v, secrets, err
}

// Append is Eval that appends the value to b as JSON. What is only passed on of
// another job's result is copied as it is.
func (t *Template) Append(b []byte, s Scope) ([]byte, error) {
	if t == nil {
		return append(b, "null"...), nil
	}
	return t.root.append(&machine{scope: s}, b)
}

// AppendSecret is EvalSecret that appends the value as JSON, like Append.
func (t *Template) AppendSecret(b []byte, s Scope) ([]byte, []SecretText, error) {
	if t == nil {
		return append(b, "null"...), nil, nil
	}
	var secrets []SecretText
	b, err := t.root.append(&machine{scope: s, secrets: &secrets}, b)
	return b, secrets, err
}

// MarshalJSON writes the source.
func (t *Template) MarshalJSON() ([]byte, error) { return Encode(t.source) }

// UnmarshalJSON reads a source and compiles it.
func (t *Template) UnmarshalJSON(data []byte) error {
	v, err := Decode(data)
	if err != nil {
		return fmt.Errorf("read a template: %w", err)
	}
	made, err := ParseTemplate(v)
	if err != nil {
		return fmt.Errorf("compile a template: %w", err)
	}
	*t = *made
	return nil
}
