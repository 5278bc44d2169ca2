package expr

import (
	"fmt"
	"strings"
)

// The bounds of an expression.
const (
	maxSource = 16 << 10  // bytes of one expression
	maxDepth  = 64        // nesting of an expression or value
	maxSteps  = 1_000_000 // elements looked at and operations in one evaluation
	maxText   = 1 << 20   // bytes of one computed text
	maxRange  = 100_000   // elements of a range
	maxLoops  = 3         // map and filter inside each other
)

// Error says what is wrong with an expression, and where.
type Error struct {
	// At is the place of the text inside the template: keys and indexes.
	At []any
	// Offset and Len are the place inside that text, in bytes.
	Offset, Len int
	Message     string
	// Hint says what to write instead; empty when there is nothing to say.
	Hint string

	// missing says that a value is not there, which ?? forgives.
	missing bool
}

// Error returns the message, the place and the hint.
func (e *Error) Error() string {
	var b strings.Builder
	for i, k := range e.At {
		switch k := k.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", k)
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, k)
		}
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// KindOf names the type of a value for people.
func KindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case int, float64:
		return "a number"
	case string:
		return "a text"
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return fmt.Sprintf("a %T", v)
}
