package flow

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/orchis-run/orchis/internal/expr"
)

// Severity separates errors, which keep a definition from running, from advice.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Diagnostic is one error or warning about a definition.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	// Code is stable: tools may match on it.
	Code string `json:"code"`
	File string `json:"file"`
	// Line and Column count from 1; a Line of 0 means the file as a whole.
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
	// Hint says what to write instead.
	Hint string `json:"hint,omitempty"`
	// Source is the line, and Length the number of characters to underline.
	Source string `json:"source,omitempty"`
	Length int    `json:"length,omitempty"`
}

// Codes lists the codes of diagnostics with their meanings.
func Codes() map[string]string {
	return map[string]string{
		"W001": "a line is indented with tabs",
		"E001": "a file cannot be read, or a name is not found",
		"E002": "the text is not YAML",
		"E003": "a limit on size, depth, aliases or nesting is exceeded",
		"E004": "a flow calls itself",
		"E101": "a key appears twice",
		"E102": "a key is unknown",
		"E104": "a value has the wrong type or form",
		"E105": "a key is missing, or two keys exclude each other",
		"E106": "a name is not allowed",
		"E201": "a job depends on a job that does not exist, on itself, or twice on the same",
		"E202": "jobs wait for each other",
		"E203": "an expression is not valid",
		"E204": "an expression reads something that does not exist",
		"E205": "the inputs of a nested flow are not valid",
		"E301": "no worker has a handler",
		"E302": "a handler has no such input",
		"E303": "a required input of a handler is missing",
		"E304": "an input of a handler has the wrong type",
		"E305": "a result has no such key",
	}
}

// Diagnostics are the errors and warnings about a definition, in reading order.
type Diagnostics []Diagnostic

// HasErrors reports whether the definition cannot run.
func (d Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(d, func(x Diagnostic) bool { return x.Severity == SeverityError })
}

// Err returns nil when there are no errors, else an error whose text is the
// rendered diagnostics.
func (d Diagnostics) Err() error {
	if !d.HasErrors() {
		return nil
	}
	return &InvalidError{Diagnostics: d}
}

// InvalidError says that a definition is not valid.
type InvalidError struct{ Diagnostics Diagnostics }

// Error renders all diagnostics.
func (e *InvalidError) Error() string {
	var b strings.Builder
	e.Diagnostics.Render(&b, RenderOptions{})
	return strings.TrimRight(b.String(), "\n")
}

// RenderOptions says how diagnostics are written.
type RenderOptions struct{ Color bool }

// Render writes each diagnostic with its place, its line and a caret.
func (d Diagnostics) Render(w io.Writer, o RenderOptions) {
	red, yellow, dim, off := "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
	if !o.Color {
		red, yellow, dim, off = "", "", "", ""
	}
	for _, x := range d {
		colour := red
		if x.Severity == SeverityWarning {
			colour = yellow
		}
		place := x.File
		if x.Line > 0 {
			place += fmt.Sprintf(":%d:%d", x.Line, x.Column)
		}
		hint := ""
		if x.Hint != "" {
			hint = " (" + x.Hint + ")"
		}
		_, _ = fmt.Fprintf(w, "%s: %s%s %s%s: %s%s\n", place, colour, x.Severity, x.Code, off, x.Message, hint)
		if x.Source == "" {
			continue
		}
		line, column := window(x.Source, x.Column)
		number := fmt.Sprintf("%5d", x.Line)
		_, _ = fmt.Fprintf(w, "%s%s |%s %s\n", dim, number, off, line)
		pad := strings.Map(func(r rune) rune {
			if r == '\t' {
				return r
			}
			return ' '
		}, string([]rune(line)[:min(column-1, utf8.RuneCountInString(line))]))
		_, _ = fmt.Fprintf(w, "%s%s |%s %s%s^%s%s\n", dim, strings.Repeat(" ", len(number)), off, pad, colour,
			strings.Repeat("~", max(0, min(x.Length, 60)-1)), off)
	}
}

// window cuts a long line down to the part around the column.
func window(line string, column int) (string, int) {
	runes := []rune(line)
	if len(runes) <= 120 {
		return line, max(column, 1)
	}
	start := max(0, min(column-40, len(runes)-100))
	return string(runes[start:min(len(runes), start+100)]), max(1, column-start)
}

// inOrder sorts by file and place, keeping the order of equal places.
func (d Diagnostics) inOrder() Diagnostics {
	slices.SortStableFunc(d, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return d
}

func didYouMean(word string, candidates []string) string {
	if near := expr.Nearest(word, candidates); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}
