package flow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// This file and encode.go are the only ones that use the YAML library. It parses
// text into values with their places, within limits.

// parse reads the only document of a text. It returns nil, and reports why, when it
// cannot.
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
		return c.fail(n, "E104", fmt.Sprintf("the tag %s is not supported", tag))
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
		return c.fail(n, "E002", "this value is not supported")
	}
	return v
}

// mapping reads a map. A key may occur only once; the keys of the map itself
// override merged ones (<<).
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
			c.src.errorAt(key, "E101", fmt.Sprintf("the key %q appears twice, first in line %d", k.Value, first.line), "remove one of the two")
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

// keySet finds the keys of a map. It is nil for a small map, whose keys are
// searched.
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
