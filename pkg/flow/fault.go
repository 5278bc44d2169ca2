package flow

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// fault is the place where a text stops being YAML. It is found by a second, rough
// reading after the library has failed, because the library reports only where
// the enclosing map, list or indentation begins.
type fault struct {
	line, column  int
	message, hint string
}

// bracket is an open { or [.
type bracket struct {
	open         rune
	line, column int
	// colon means that the entry has a colon, value that a value followed it.
	// Plain values may continue on the next line.
	colon, value, plain bool
}

// faultFinder reads a text roughly: it skips quoted texts, comments and blocks of
// text.
type faultFinder struct {
	lines  [][]rune
	line   int
	at     int
	open   []bracket
	indent int // of the line in which the outermost bracket was opened
	block  int // lines indented deeper belong to a block of text; -1 for none
	levels []level
	found  *fault
}

// level is an indentation at which a map or a list continues.
type level struct {
	indent int
	list   bool
}

// faultOf finds the place of an error of the library; nil when it finds none.
func (s *source) faultOf(text string) *fault {
	switch {
	case strings.HasPrefix(text, "did not find expected"), text == "found unexpected end of stream":
		return findFault(s.lines)
	case strings.HasPrefix(text, "unknown anchor '"):
		name, _, _ := strings.Cut(strings.TrimPrefix(text, "unknown anchor '"), "'")
		return s.first(text, func(line string) int { return strings.Index(line, "*"+name) })
	case text == "control characters are not allowed":
		return s.first(text, func(line string) int {
			return strings.IndexFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\r' })
		})
	}
	return nil
}

// first returns the fault at the first place that find returns.
func (s *source) first(message string, find func(line string) int) *fault {
	for i, line := range s.lines {
		if at := find(line); at >= 0 {
			return &fault{line: i + 1, column: utf8.RuneCountInString(line[:at]) + 1, message: message}
		}
	}
	return nil
}

// findFault returns nil when nothing is found.
func findFault(lines []string) *fault {
	f := &faultFinder{block: -1}
	for _, l := range lines {
		f.lines = append(f.lines, []rune(strings.TrimSuffix(l, "\r")))
	}
	for ; f.line < len(f.lines) && f.found == nil; f.line++ {
		f.at = 0
		f.readLine()
	}
	if f.found == nil && len(f.open) > 0 {
		f.unclosed()
	}
	return f.found
}

func (f *faultFinder) report(line, column int, hint, format string, args ...any) {
	if f.found == nil {
		f.found = &fault{line: line + 1, column: column + 1, message: fmt.Sprintf(format, args...), hint: hint}
	}
}

func (f *faultFinder) unclosed() {
	b := f.open[len(f.open)-1]
	f.report(b.line, b.column, "", "this %c is not closed", b.open)
}

func (f *faultFinder) text() []rune { return f.lines[f.line] }

// peek is the rune at a distance, a space at the end of the line.
func (f *faultFinder) peek(n int) rune {
	if at := f.at + n; at >= 0 && at < len(f.text()) {
		return f.text()[at]
	}
	return ' '
}

func (f *faultFinder) spaces() {
	for f.at < len(f.text()) && f.peek(0) == ' ' {
		f.at++
	}
}

func (f *faultFinder) readLine() {
	f.spaces()
	indent := f.at
	if f.at == len(f.text()) || f.comment() {
		return
	}
	if f.block >= 0 && indent > f.block {
		return
	}
	f.block = -1
	if len(f.open) > 0 {
		if c := f.peek(0); indent <= f.indent && f.line > f.open[0].line && c != '}' && c != ']' {
			f.unclosed()
			return
		}
	} else {
		f.place(indent)
	}
	f.nodes(indent)
}

func (f *faultFinder) comment() bool { return f.peek(0) == '#' && (f.at == 0 || f.peek(-1) == ' ') }

// nodes reads the contents of a line.
func (f *faultFinder) nodes(indent int) {
	for f.found == nil && f.at < len(f.text()) {
		if f.spaces(); f.at >= len(f.text()) || f.comment() {
			return
		}
		if len(f.open) > 0 {
			f.inBrackets()
			continue
		}
		switch c := f.peek(0); {
		case (c == '-' || c == '?') && f.peek(1) == ' ':
			f.at++
		case c == '&' || c == '!' || c == '*':
			f.word()
		case c == '"' || c == '\'':
			f.quoted()
			f.colon()
		case c == '{' || c == '[':
			f.indent = indent
			f.push(c)
		case c == '}' || c == ']':
			f.report(f.line, f.at, "", "this %c closes nothing", c)
		case c == '|' || c == '>':
			f.block = indent
			return
		case c == ':' && f.peek(1) == ' ':
			f.at++
		default:
			f.plain(false)
		}
	}
}

func (f *faultFinder) push(c rune) {
	f.open = append(f.open, bracket{open: c, line: f.line, column: f.at})
	f.at++
}

func (f *faultFinder) word() {
	for f.at < len(f.text()) && f.peek(0) != ' ' {
		f.at++
	}
}

func (f *faultFinder) colon() {
	if f.spaces(); f.peek(0) == ':' {
		f.at++
	}
}

// quoted skips a quoted text, which may have many lines.
func (f *faultFinder) quoted() {
	quote, line, column := f.peek(0), f.line, f.at
	f.at++
	for {
		for ; f.at < len(f.text()); f.at++ {
			switch c := f.peek(0); {
			case c == '\\' && quote == '"', c == quote && quote == '\'' && f.peek(1) == '\'':
				f.at++
			case c == quote:
				f.at++
				return
			}
		}
		if f.line+1 >= len(f.lines) {
			f.report(line, column, "", "this %c is not closed", quote)
			return
		}
		f.line, f.at = f.line+1, 0
	}
}

// plain skips a text without quotes and returns the start of its last word.
func (f *faultFinder) plain(inBrackets bool) (last int) {
	last = f.at
	for ; f.at < len(f.text()); f.at++ {
		c, next := f.peek(0), f.peek(1)
		switch {
		case inBrackets && strings.ContainsRune(",[]{}", c), c == '#' && f.peek(-1) == ' ':
			return last
		case c == ':' && (next == ' ' || inBrackets && strings.ContainsRune(",[]{}", next)):
			if !inBrackets {
				f.at++
			}
			return last
		case c != ' ' && f.peek(-1) == ' ':
			last = f.at
		}
	}
	return last
}

// inBrackets reads one token of a map in braces or a list in brackets.
func (f *faultFinder) inBrackets() {
	b := &f.open[len(f.open)-1]
	c := f.peek(0)
	switch {
	case c == ',':
		if !b.value && !b.colon {
			f.report(f.line, f.at, "", "there is nothing before this comma")
		}
		b.colon, b.value, b.plain = false, false, false
		f.at++
	case c == '}' || c == ']':
		f.closing(c)
	case c == ':' && (b.value || f.peek(1) == ' '):
		b.colon, b.value, b.plain = true, false, false
		f.at++
	case c == '&' || c == '!':
		f.word()
	case f.noComma(b, c):
	case c == '{' || c == '[':
		b.value, b.plain = true, false
		f.push(c)
	case c == '"' || c == '\'':
		b.value, b.plain = true, false
		f.quoted()
	default:
		start := f.at
		last := f.plain(true)
		if f.peek(0) == ':' && b.colon && b.open == '{' && f.at > start {
			f.report(f.line, last, "", "a comma is missing before %s", string(f.text()[last:f.at]))
			return
		}
		if f.at == start {
			f.at++
		}
		b.value, b.plain = true, true
	}
}

// noComma reports a value that follows another one without a comma.
func (f *faultFinder) noComma(b *bracket, c rune) bool {
	starts := strings.ContainsRune(`{["'`, c)
	if !b.value || b.plain && !starts {
		return false
	}
	if c == '{' && f.peek(-1) == '$' {
		f.report(f.line, f.at-1, "quote the value that holds ${...}", "a text that begins with $ cannot contain { without quotes")
		return true
	}
	f.report(f.line, f.at, "", "a comma is missing before this")
	return true
}

func (f *faultFinder) closing(c rune) {
	b := f.open[len(f.open)-1]
	if want := map[rune]rune{'{': '}', '[': ']'}[b.open]; c != want {
		f.report(f.line, f.at, "", "this %c cannot close the %c of line %d, column %d", c, b.open, b.line+1, b.column+1)
		return
	}
	f.at++
	f.open = f.open[:len(f.open)-1]
	if len(f.open) == 0 {
		f.colon()
	}
}

// place compares the indentation of a line with that of the lines above.
func (f *faultFinder) place(indent int) {
	list := f.peek(0) == '-' && f.peek(1) == ' '
	top := func() level { return f.levels[len(f.levels)-1] }
	popped := false
	for len(f.levels) > 0 && (top().indent > indent || top().indent == indent && top().list && !list) {
		f.levels, popped = f.levels[:len(f.levels)-1], true
	}
	switch {
	case len(f.levels) == 0 && popped || len(f.levels) > 0 && top().indent < indent && popped:
		f.report(f.line, indent, "", "the indentation of this line matches no line above")
		return
	case !slices.Contains(f.levels, level{indent, list}):
		f.levels = append(f.levels, level{indent, list})
	}
	for at := f.at; list; { // the text after a - begins a level of its own
		for at++; at < len(f.text()) && f.text()[at] == ' '; {
			at++
		}
		if list = at+1 < len(f.text()) && f.text()[at] == '-' && f.text()[at+1] == ' '; at < len(f.text()) {
			f.levels = append(f.levels, level{at, list})
		}
	}
}
