package expr

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Condition is a bare boolean expression, the value of `if`.
type Condition struct {
	source string
	e      *expression
}

// ParseCondition compiles a condition; it may be wrapped in ${...} as a whole.
func ParseCondition(src string) (*Condition, error) {
	body, offset := src, 0
	if trimmed := strings.TrimSpace(src); strings.HasPrefix(trimmed, "${") {
		start := strings.Index(src, "${")
		end, err := closing(src, start)
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(src[end+1:]) != "" {
			return nil, &Error{Offset: end + 1, Len: 1, Message: "text after the condition", Hint: "a condition is one expression and needs no ${ }"}
		}
		body, offset = src[start+2:end], start+2
	}
	e, err := compileExpression(body, offset, true)
	if err != nil {
		return nil, err
	}
	if secret, err := secretOf(e); err != nil || secret != "" {
		return nil, e.fail("a condition cannot read secrets", "they are for the inputs and the env of a job")
	}
	return &Condition{source: src, e: e}, nil
}

// Refs returns every path that the condition reads.
func (c *Condition) Refs() []Ref {
	if c == nil {
		return nil
	}
	return c.e.refs
}

// Source returns the text of the condition.
func (c *Condition) Source() string {
	if c == nil {
		return ""
	}
	return c.source
}

// StatusFunctions returns the status functions that the condition calls.
func (c *Condition) StatusFunctions() []string {
	if c == nil {
		return nil
	}
	return c.e.status
}

// Eval computes the condition, which must be true or false.
func (c *Condition) Eval(s Scope) (bool, error) {
	v, err := c.e.value(&machine{scope: s})
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, c.e.fail("the condition gives "+KindOf(v)+", not true or false", "compare it with something: == , != , > ...")
	}
	return b, nil
}

// MarshalJSON writes the source.
func (c *Condition) MarshalJSON() ([]byte, error) { return json.Marshal(c.source) }

// UnmarshalJSON reads a source and compiles it.
func (c *Condition) UnmarshalJSON(data []byte) error {
	var src string
	if err := json.Unmarshal(data, &src); err != nil {
		return fmt.Errorf("read a condition: %w", err)
	}
	made, err := ParseCondition(src)
	if err != nil {
		return fmt.Errorf("compile a condition: %w", err)
	}
	*c = *made
	return nil
}
