package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Encode writes a value as YAML, with the names that JSON gives its fields and
// in their order.
func Encode(w io.Writer, v any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	var doc yaml.Node // JSON is YAML, except for some characters
	if err := yaml.Unmarshal(unreadable.ReplaceAllFunc(text.Bytes(), func(c []byte) []byte {
		r, _ := utf8.DecodeRune(c)
		return fmt.Appendf(nil, `\u%04x`, r)
	}), &doc); err != nil {
		return err
	}
	plain(&doc)
	out := yaml.NewEncoder(w)
	out.SetIndent(2)
	if err := out.Encode(&doc); err != nil {
		return err
	}
	return out.Close()
}

// unreadable are the characters that JSON allows and YAML does not.
var unreadable = regexp.MustCompile(`[\x{7f}-\x{9f}\x{feff}\x{fffe}\x{ffff}]`)

// manyLines are texts that can be written as a block.
var manyLines = regexp.MustCompile(`^([!-~]([ -~]*[!-~])?\n+)+([!-~]([ -~]*[!-~])?)?$`)

// plain removes the brackets and quotes of JSON, except for empty collections.
func plain(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && strings.ContainsAny(n.Value, "\n\u0085\u2028\u2029") {
		n.Style = yaml.DoubleQuotedStyle
		if manyLines.MatchString(n.Value) {
			n.Style = yaml.LiteralStyle
		}
	}
	for _, c := range n.Content {
		plain(c)
	}
}
