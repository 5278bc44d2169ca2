package flow

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// source is one file: its text by lines, for messages.
type source struct {
	file  string
	lines []string
	out   *Diagnostics
}

// maxDiagnostics is the largest number of diagnostics of a definition.
const maxDiagnostics = 100

// full reports whether there are enough diagnostics, with an error among them.
func (s *source) full() bool { return len(*s.out) >= maxDiagnostics && s.out.HasErrors() }

func (s *source) report(sev Severity, code string, line, column, length int, message, hint string) {
	if s.full() || len(*s.out) >= maxDiagnostics && sev != SeverityError {
		return
	}
	d := Diagnostic{
		Severity: sev, Code: code, File: s.file, Line: line, Column: column,
		Message: message, Hint: hint, Length: length,
	}
	if line > 0 && line <= len(s.lines) {
		d.Source = s.lines[line-1]
	}
	*s.out = append(*s.out, d)
}

func (s *source) errorAt(v *value, code, message, hint string) {
	length := utf8.RuneCountInString(v.text)
	if v.kind != scalarValue || strings.Contains(v.text, "\n") {
		length = 1
	} else if v.quoted {
		length += 2
	}
	s.report(SeverityError, code, v.line, v.column, length, message, hint)
}

var yamlPlace = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// expandTabs replaces each tab at the beginning of a line, which YAML forbids, by
// two spaces.
func (s *source) expandTabs(text []byte) []byte {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	s.lines = strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	first := 0
	for i, line := range s.lines {
		rest := strings.TrimLeft(line, " \t")
		indent := line[:len(line)-len(rest)]
		if rest == "" || !strings.Contains(indent, "\t") {
			continue
		}
		if first == 0 {
			first = i + 1
		}
		s.lines[i] = strings.ReplaceAll(indent, "\t", "  ") + rest
	}
	if first == 0 {
		return text
	}
	s.report(SeverityWarning, "W001", first, 1, 1, "tabs at the beginning of lines are read as two spaces", "indent with spaces")
	return []byte(strings.Join(s.lines, "\n"))
}

// flowDepth is an upper bound for the nesting of [ and {, which the library
// would follow however deep it goes.
func flowDepth(text []byte) int {
	depth, deepest := 0, 0
	for _, c := range text {
		switch c {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth = max(0, depth-1)
		}
	}
	return deepest
}

// syntax translates an error of the YAML library and reports it.
func (s *source) syntax(err error) {
	text := err.Error()
	line := 1
	if m := yamlPlace.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		text = strings.TrimPrefix(text, m[0])
	}
	if f := s.faultOf(text); f != nil {
		s.report(SeverityError, "E002", f.line, f.column, 1, "this is not YAML: "+f.message, f.hint)
		return
	}
	hint := ""
	for i := max(0, line-2); i < min(line+2, len(s.lines)); i++ {
		_, inside, found := strings.Cut(s.lines[i], "${")
		if found && !strings.Contains(s.lines[i], "\"${") && (strings.Contains(inside, ": ") || strings.Contains(inside, " #") || strings.Contains(s.lines[i], "{ ")) {
			hint = "quote the value that holds ${...}"
			line = i + 1
			break
		}
	}
	line = max(1, min(line, len(s.lines)))
	column := 1
	if src := s.lines[line-1]; strings.TrimSpace(src) != "" {
		column = utf8.RuneCountInString(src) - utf8.RuneCountInString(strings.TrimLeft(src, " ")) + 1
	}
	s.report(SeverityError, "E002", line, column, 1, "this is not YAML: "+text, hint)
}
