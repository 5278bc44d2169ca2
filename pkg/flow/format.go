package flow

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Format writes a definition in its usual form: keys in their usual order, quotes
// around expressions that are more than a path, two spaces for a tab, no blanks at
// the ends of lines, at most one empty line. Comments stay with the lines below
// them, and maps and lists in { } and [ ] stay as they are. The meaning never
// changes. For a text that is not valid it returns the diagnostics.
func (l *Loader) Format(file string, text []byte) ([]byte, Diagnostics, error) {
	before, diags := l.LoadText(file, text)
	if diags.HasErrors() {
		return nil, diags, nil
	}
	out, err := l.format(file, text)
	if err != nil {
		return nil, nil, err
	}
	after, diags := l.LoadText(file, out)
	if diags.HasErrors() {
		return nil, nil, fmt.Errorf("format %s: this is a bug in orchis fmt: %w", file, diags.Err())
	}
	a, errA := before.Digest()
	b, errB := after.Digest()
	if err := errors.Join(errA, errB); err != nil {
		return nil, nil, err
	}
	if a != b && !sameButOrder(before, after) {
		return nil, nil, fmt.Errorf("format %s: the meaning would change, which is a bug in orchis fmt; the file is unchanged", file)
	}
	return out, nil, nil
}

// sameButOrder compares two definitions without the order of jobs, of what they
// depend on, and of inputs.
func sameButOrder(a, b *Bundle) bool {
	for _, bundle := range []*Bundle{a, b} {
		for _, f := range bundle.Flows {
			slices.SortFunc(f.Jobs, func(x, y Job) int { return strings.Compare(x.Name, y.Name) })
			for i := range f.Jobs {
				slices.SortFunc(f.Jobs[i].Deps, func(x, y Dep) int { return strings.Compare(x.Job, y.Job) })
			}
			slices.SortFunc(f.Inputs, func(x, y Input) int { return strings.Compare(x.Name, y.Name) })
		}
	}
	x, errX := a.Encode()
	y, errY := b.Encode()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func (l *Loader) format(file string, text []byte) ([]byte, error) {
	s := &source{file: file, out: &Diagnostics{}}
	text = s.expandTabs(text)
	v := s.parse(text, l.o)
	if v == nil {
		return nil, fmt.Errorf("format %s: %w", file, s.out.Err())
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	quoteExpressions(v, lines)
	job := l.lang.job.names()
	for i, k := range v.keys {
		if k.text == "jobs" || k.text == "flows" && v.items[i].kind == mapValue {
			for n, body := range v.items[i].items {
				end := len(lines) + 1
				if n+1 < len(v.items[i].keys) {
					end = topOf(lines, v.items[i].keys[n+1])
				} else if i+1 < len(v.keys) {
					end = topOf(lines, v.keys[i+1])
				}
				reorder(body, lines, end, job)
			}
		}
	}
	reorder(v, lines, len(lines)+1, l.lang.definition.names())
	return tidy(lines), nil
}

var plainPath = regexp.MustCompile(`^\$\{\s*[A-Za-z_][A-Za-z0-9_.-]*\s*\}$`)

// quoteExpressions puts quotes around values that YAML could misread.
func quoteExpressions(v *value, lines []string) {
	for _, item := range v.items {
		quoteExpressions(item, lines)
	}
	if v.kind != scalarValue || v.quoted || !strings.Contains(v.text, "${") || plainPath.MatchString(v.text) || strings.Contains(v.text, "\n") || v.line < 1 || v.line > len(lines) {
		return
	}
	line := lines[v.line-1]
	at := byteOffset(line, v.column)
	if at < 0 || !strings.HasPrefix(line[at:], v.text) || strings.ContainsAny(v.text, `"\`) {
		return
	}
	lines[v.line-1] = line[:at] + `"` + v.text + `"` + line[at+len(v.text):]
}

// byteOffset converts a column (counted in characters, from 1) to an offset in
// bytes.
func byteOffset(line string, column int) int {
	n := 1
	for i := range line {
		if n == column {
			return i
		}
		n++
	}
	return -1
}

// topOf returns the first line, from 1, that belongs to a key: that of its comments.
func topOf(lines []string, k *value) int {
	at := k.line
	for at > 1 && strings.HasPrefix(strings.TrimSpace(lines[at-2]), "#") && indent(lines[at-2]) == indent(lines[k.line-1]) {
		at--
	}
	return at
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// reorder puts the keys of a map in block style into their usual order. Unknown
// keys (x-...) go last; the first comment of a file stays at its head.
func reorder(v *value, lines []string, end int, order []string) {
	if v.kind != mapValue || len(v.keys) < 2 || v.keys[0].line == v.keys[len(v.keys)-1].line {
		return
	}
	type block struct {
		rank  int
		lines []string
	}
	var blocks []block
	begin := topOf(lines, v.keys[0])
	if begin == 1 {
		begin = v.keys[0].line
	}
	first := begin
	for i, k := range v.keys {
		if i > 0 && k.line == v.keys[i-1].line || strings.TrimSpace(lines[k.line-1][:max(0, byteOffset(lines[k.line-1], k.column))]) != "" {
			return // more than one key in a line
		}
		next := end
		if i+1 < len(v.keys) {
			next = topOf(lines, v.keys[i+1])
		}
		rank := slices.Index(order, k.text)
		if rank < 0 {
			rank = len(order)
		}
		blocks = append(blocks, block{rank, slices.Clone(lines[begin-1 : next-1])})
		begin = next
	}
	slices.SortStableFunc(blocks, func(a, b block) int { return a.rank - b.rank })
	at := first - 1
	for _, b := range blocks {
		at += copy(lines[at:], b.lines)
	}
}

// tidy removes blanks at the ends of lines and repeated empty lines.
func tidy(lines []string) []byte {
	var b bytes.Buffer
	empty := true
	for _, line := range lines {
		line = strings.TrimRight(line, " \t\r")
		if line == "" && empty {
			continue
		}
		empty = line == ""
		b.WriteString(line + "\n")
	}
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n')
}
