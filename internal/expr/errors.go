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

// kind names the type of a value for people.
func kind(v any) string {
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

// nearest returns the candidate closest to a word, if any is close.
func nearest(word string, candidates []string) string {
	best, at := "", len(word)/3+2
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < at {
			best, at = c, d
		}
	}
	return best
}

// distance is the number of letters to change, insert or delete.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		left := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := left
			if a[i-1] != b[j-1] {
				cost++
			}
			left = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
