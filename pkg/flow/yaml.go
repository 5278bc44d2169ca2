package flow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// This file and encode.go alone know the YAML library. It turns text into
// values that know their places, within limits.

type valueKind int

const (
	scalarValue valueKind = iota
	listValue
	mapValue
)

// value is one YAML value. A map holds keys and items side by side.
type value struct {
	kind         valueKind
	line, column int
	quoted       bool
	text         string // of a scalar, as written
	scalar       any    // nil, bool, int, float64 or string
	keys         []*value
	items        []*value
}

// source is one file: its text by lines, for messages.
type source struct {
	file  string
	lines []string
	out   *Diagnostics
}

// maxDiagnostics is how many are told; more would not be read.
const maxDiagnostics = 100

// full reports whether enough was told, an error among it.
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

// parse reads the one document of a text; nil means that it could not.
func (s *source) parse(text []byte, o Options) *value {
	if len(text) > o.MaxBytes {
		s.report(SeverityError, "E003", 0, 0, 0, fmt.Sprintf("the definition has %d bytes, more than the limit of %d", len(text), o.MaxBytes), "")
		return nil
	}
	if !utf8.Valid(text) {
		s.report(SeverityError, "E002", 0, 0, 0, "the text is not UTF-8", "")
		return nil
	}
	text = s.expandTabs(text)
	if deep := flowDepth(text); deep > o.MaxDepth {
		s.report(SeverityError, "E003", 0, 0, 0, fmt.Sprintf("values are nested more than %d deep", o.MaxDepth), "")
		return nil
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			s.report(SeverityError, "E002", 1, 1, 1, "the file is empty", "a flow has `jobs:`, a recipe `flows:`")
			return nil
		}
		s.syntax(err)
		return nil
	}
	var second yaml.Node
	if err := d.Decode(&second); err == nil {
		s.report(SeverityError, "E002", second.Line, second.Column, 1, "there is a second document in the file", "one file holds one recipe or flow: remove the `---`")
		return nil
	}
	if len(doc.Content) == 0 {
		return nil
	}
	c := &converter{src: s, o: o}
	v := c.convert(doc.Content[0], 0)
	if c.failed {
		return nil
	}
	return v
}

// expandTabs makes two spaces of each tab at the beginning of a line, where
// YAML knows none.
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

// syntax reports an error of the library in our words.
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

type converter struct {
	src      *source
	o        Options
	aliases  int
	expanded int // values made from aliases
	inAlias  int
	failed   bool
}

func (c *converter) fail(n *yaml.Node, code, message string) *value {
	if !c.failed {
		c.src.report(SeverityError, code, n.Line, n.Column, 1, message, "")
	}
	c.failed = true
	return &value{line: n.Line, column: n.Column}
}

// tags are those of YAML's own types.
func tags() []string {
	return []string{"", "!!str", "!!null", "!!bool", "!!int", "!!float", "!!timestamp", "!!binary", "!!merge", "!!map", "!!seq"}
}

func (c *converter) convert(n *yaml.Node, depth int) *value {
	if c.failed {
		return &value{}
	}
	if depth > c.o.MaxDepth {
		return c.fail(n, "E003", fmt.Sprintf("values are nested more than %d deep", c.o.MaxDepth))
	}
	if c.inAlias > 0 {
		if c.expanded++; c.expanded > 50_000 {
			return c.fail(n, "E003", "aliases expand to more than 50000 values")
		}
	}
	switch tag := n.ShortTag(); {
	case n.Kind == yaml.AliasNode, slices.Contains(tags(), tag):
	default:
		return c.fail(n, "E104", fmt.Sprintf("the tag %s is not understood", tag))
	}
	v := &value{line: n.Line, column: n.Column}
	switch n.Kind {
	case yaml.AliasNode:
		if c.aliases++; c.aliases > c.o.MaxAliases {
			return c.fail(n, "E003", fmt.Sprintf("there are more than %d aliases", c.o.MaxAliases))
		}
		c.inAlias++
		v = c.convert(n.Alias, depth+1)
		c.inAlias--
	case yaml.SequenceNode:
		v.kind = listValue
		for _, item := range n.Content {
			v.items = append(v.items, c.convert(item, depth+1))
		}
	case yaml.MappingNode:
		v.kind = mapValue
		c.mapping(n, v, depth)
	case yaml.ScalarNode:
		c.scalar(n, v)
	default:
		return c.fail(n, "E002", "this value is not understood")
	}
	return v
}

// mapping reads a map. Keys stand there once; merged ones (<<) give way to
// those of the map itself.
func (c *converter) mapping(n *yaml.Node, v *value, depth int) {
	seen := keysOf(len(n.Content) / 2)
	var merged []*value
	v.keys, v.items = make([]*value, 0, len(n.Content)/2), make([]*value, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		item := c.convert(n.Content[i+1], depth+1)
		if k.Tag == "!!merge" {
			if item.kind == scalarValue {
				c.fail(k, "E104", "only maps can be merged with <<")
				return
			}
			merged = append(merged, item)
			continue
		}
		if k.Kind != yaml.ScalarNode {
			c.fail(k, "E104", "a key must be a word")
			return
		}
		key := &value{line: k.Line, column: k.Column, text: k.Value, scalar: k.Value, quoted: k.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0}
		if first := seen.find(v, k.Value); first != nil {
			c.src.errorAt(key, "E101", fmt.Sprintf("the key %q stands here twice, first in line %d", k.Value, first.line), "remove one of the two")
			continue
		}
		seen.note(key)
		v.keys, v.items = append(v.keys, key), append(v.items, item)
	}
	for len(merged) > 0 {
		m := merged[0]
		merged = merged[1:]
		if m.kind == listValue {
			merged = append(append([]*value(nil), m.items...), merged...)
			continue
		}
		for i, key := range m.keys {
			if seen.find(v, key.text) == nil {
				seen.note(key)
				v.keys, v.items = append(v.keys, key), append(v.items, m.items[i])
			}
		}
	}
}

// keySet finds the keys of a map; those of a small one are looked through.
type keySet map[string]*value

func keysOf(count int) keySet {
	if count <= 8 {
		return nil
	}
	return make(keySet, count)
}

func (s keySet) find(v *value, key string) *value {
	if s != nil {
		return s[key]
	}
	for _, k := range v.keys {
		if k.text == key {
			return k
		}
	}
	return nil
}

func (s keySet) note(key *value) {
	if s != nil {
		s[key.text] = key
	}
}

func (c *converter) scalar(n *yaml.Node, v *value) {
	v.text = n.Value
	v.scalar = n.Value
	v.quoted = n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	if strings.ContainsRune(n.Value, 0) {
		c.fail(n, "E002", "the text holds a NUL character")
		return
	}
	switch n.ShortTag() {
	case "!!null":
		v.scalar = nil
	case "!!bool":
		v.scalar = strings.EqualFold(n.Value, "true")
	case "!!int":
		var i int
		if err := n.Decode(&i); err == nil {
			v.scalar = i
		} else if f, err := strconv.ParseFloat(n.Value, 64); err == nil {
			v.scalar = f
		}
	case "!!float":
		var f float64
		if err := n.Decode(&f); err == nil {
			v.scalar = f
		}
	}
}

// plain turns a value into what JSON knows.
func (v *value) plain() any {
	switch v.kind {
	case listValue:
		list := make([]any, len(v.items))
		for i, item := range v.items {
			list[i] = item.plain()
		}
		return list
	case mapValue:
		m := make(map[string]any, len(v.keys))
		for i, k := range v.keys {
			m[k.text] = v.items[i].plain()
		}
		return m
	}
	return v.scalar
}

// at returns the value under a path of keys and indexes.
func (v *value) at(path []any) *value {
	for _, p := range path {
		switch p := p.(type) {
		case int:
			if v.kind == listValue && p < len(v.items) {
				v = v.items[p]
			}
		case string:
			for i, k := range v.keys {
				if k.text == p {
					v = v.items[i]
					break
				}
			}
		}
	}
	return v
}

func (v *value) describe() string {
	switch v.kind {
	case listValue:
		return "a list"
	case mapValue:
		return "a map"
	}
	switch v.scalar.(type) {
	case nil:
		return "nothing"
	case bool:
		return "a boolean"
	case int, float64:
		return "a number"
	}
	return "a text"
}

// ParseYAML reads a YAML text into plain values, within the usual limits. name
// is used in messages.
func ParseYAML(name string, text []byte) (any, error) {
	var diags Diagnostics
	s := &source{file: name, out: &diags}
	v := s.parse(text, Options{}.withDefaults())
	if err := diags.Err(); err != nil {
		return nil, err
	}
	if v == nil {
		return nil, nil
	}
	return v.plain(), nil
}
