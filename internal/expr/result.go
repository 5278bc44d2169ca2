package expr

import (
	"fmt"
	"strconv"

	"github.com/orchis-run/orchis/internal/jsontext"
)

// Result is the result of a job as JSON. It is decoded only as far as
// expressions read it. What a template only passes on is copied as text, so that
// numbers and the order of keys stay as the handler wrote them.
//
// A Result must not be used by two goroutines at once: it remembers what it has
// decoded. What it has decoded never changes what it returns.
type Result struct {
	text []byte
	// list says that there is no text, only items: the elements of a list.
	list bool
	// The members or elements of a large text, once one was asked for.
	indexed bool
	members map[string][]byte
	items   [][]byte
	// parts are the large ones of them that were asked for.
	parts map[string]*Result
	// value is the decoded text. If it was made there is no text.
	value         any
	decoded, made bool
}

// small is the size in bytes up to which a text is decoded whole and searched
// without an index.
const small = 4096

// NewResult returns the result that has a text, which must be valid JSON without
// space between its tokens.
func NewResult(text []byte) *Result { return &Result{text: text} }

// NewListResult returns the list of these texts. A nil text is null.
func NewListResult(items [][]byte) *Result {
	return &Result{items: items, list: true, indexed: true}
}

// NewValueResult returns a result whose value is there already.
func NewValueResult(v any) *Result { return &Result{value: v, decoded: true, made: true} }

// Value returns the decoded result, nil if it is not JSON.
func (r *Result) Value() any {
	if r.decoded {
		return r.value
	}
	r.decoded = true
	if !r.list {
		r.value = decodeOrNil(r.text)
		return r.value
	}
	list := make([]any, len(r.items))
	for i, item := range r.items {
		list[i] = decodeOrNil(item)
	}
	r.value = list
	return list
}

func decodeOrNil(text []byte) any {
	if len(text) == 0 {
		return nil
	}
	v, err := Decode(text)
	if err != nil {
		return nil
	}
	return v
}

// Append appends the result as JSON, unless it was made of a value.
func (r *Result) Append(b []byte) []byte {
	if !r.list {
		return append(b, r.text...)
	}
	b = append(b, '[')
	for i, item := range r.items {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendOrNull(b, item)
	}
	return append(b, ']')
}

func appendOrNull(b, text []byte) []byte {
	if len(text) == 0 {
		return append(b, "null"...)
	}
	return append(b, text...)
}

// Lookup returns the decoded value at the end of a path of keys and indexes.
func (r *Result) Lookup(keys ...any) (any, bool) {
	for len(keys) > 0 && !r.decoded && (r.list || len(r.text) > small) {
		part, ok := r.part(keys[0])
		if !ok {
			break // Value knows about length
		}
		r, keys = part, keys[1:]
	}
	v := r.Value()
	for _, key := range keys {
		var ok bool
		if v, ok = step(v, key); !ok {
			return nil, false
		}
	}
	return v, true
}

// AppendAt appends what is at the end of a path, as JSON. It fails when there is
// nothing, or a number that JSON cannot say.
func (r *Result) AppendAt(b []byte, keys ...any) ([]byte, bool) {
	if r.made {
		if v, ok := r.Lookup(keys...); ok {
			if longer, ok := appendJSON(b, v, 0); ok {
				return longer, true
			}
		}
		return b, false
	}
	if len(keys) == 0 {
		return r.Append(b), true
	}
	text, ok := r.Raw(keys...)
	return append(b, text...), ok
}

// Raw returns the text of what is at the end of a path of at least one key. It
// is a part of the result's text.
func (r *Result) Raw(keys ...any) (text []byte, ok bool) {
	if r.made {
		return nil, false
	}
	for len(keys) > 0 && (r.list || len(r.text) > small) {
		if r, ok = r.part(keys[0]); !ok {
			return nil, false
		}
		keys = keys[1:]
	}
	text = r.text
	for _, key := range keys {
		if text, ok = find(text, key); !ok {
			return nil, false
		}
	}
	return text, true
}

// part returns a member or an element of a list or of a large text.
func (r *Result) part(key any) (*Result, bool) {
	r.index()
	var text []byte
	name := keyText(key)
	if r.members != nil {
		var ok bool
		if text, ok = r.members[name]; !ok {
			return nil, false
		}
	} else {
		i, ok := indexOf(key)
		if !ok || i < 0 || i >= len(r.items) {
			return nil, false
		}
		if text = r.items[i]; len(text) == 0 {
			text = []byte("null")
		}
	}
	if len(text) <= small {
		return &Result{text: text}, true
	}
	part := r.parts[name]
	if part == nil {
		part = &Result{text: text}
		if r.parts == nil {
			r.parts = map[string]*Result{}
		}
		r.parts[name] = part
	}
	return part, true
}

// index finds the members or elements of a text.
func (r *Result) index() {
	if r.indexed {
		return
	}
	r.indexed = true
	switch text := jsontext.NewReader(r.text); text.Kind() {
	case '{':
		r.members = map[string][]byte{}
		for name, more := text.Object(); more; name, more = text.Next() {
			r.members[string(name)] = text.Raw()
		}
	case '[':
		for more := text.Array(); more; more = text.More() {
			r.items = append(r.items, text.Raw())
		}
	}
}

// find returns the text of a member or an element. Of two members with one name
// it is the last, as for Decode.
func find(text []byte, key any) (found []byte, ok bool) {
	switch r := jsontext.NewReader(text); r.Kind() {
	case '{':
		want := keyText(key)
		for name, more := r.Object(); more; name, more = r.Next() {
			if raw := r.Raw(); string(name) == want {
				found, ok = raw, true
			}
		}
	case '[':
		i, isIndex := indexOf(key)
		if !isIndex {
			return nil, false
		}
		for more := r.Array(); more; more = r.More() {
			raw := r.Raw()
			if i == 0 {
				return raw, r.OK()
			}
			i--
		}
	}
	return found, ok
}

// indexOf is the index that a key means in a list.
func indexOf(key any) (int, bool) {
	switch key := key.(type) {
	case int:
		return key, true
	case string:
		i, err := strconv.Atoi(key)
		return i, err == nil
	}
	return 0, false
}

// keyText is the name that a key means in a map.
func keyText(key any) string {
	if s, ok := key.(string); ok {
		return s
	}
	return fmt.Sprint(key)
}

// passer is a node whose value may be a result, or a part of one, as it is.
type passer interface {
	// pass appends it as JSON. When ok is false the node has to be evaluated, be
	// it for the error.
	pass(m *machine, b []byte) (longer []byte, ok bool)
}

func pass(n node, m *machine, b []byte) ([]byte, bool) {
	if p, is := n.(passer); is {
		return p.pass(m, b)
	}
	return b, false
}

func (n *groupNode) pass(m *machine, b []byte) ([]byte, bool) { return pass(n.of, m, b) }

func (n *pathNode) pass(m *machine, b []byte) ([]byte, bool) {
	name := n.name
	if n.bound || IsRoot(name) && name != "jobs" && name != "flows" && name != "inputs" {
		return b, false
	}
	values, err := evalAll(m, n.keys)
	if err != nil {
		return b, false
	}
	if name == "inputs" {
		v, _ := m.scope.Root(name)
		if inputs, is := v.(*Result); is {
			return inputs.AppendAt(b, values...)
		}
		return b, false
	}
	if IsRoot(name) {
		if len(values) < 2 || values[1] != any("outputs") {
			return b, false
		}
		name, values = fmt.Sprint(values[0]), values[2:]
	}
	j, ok := m.scope.Job(name)
	if !ok || j.Outputs == nil {
		return b, false
	}
	return j.Outputs.AppendAt(b, values...)
}

func (n *ternaryNode) pass(m *machine, b []byte) ([]byte, bool) {
	yes, err := truth(m, n.test, "?")
	if err != nil {
		return b, false
	}
	if yes {
		return pass(n.yes, m, b)
	}
	return pass(n.no, m, b)
}

// pass passes on what is left or right of ??.
func (n *binaryNode) pass(m *machine, b []byte) ([]byte, bool) {
	if n.op != "??" {
		return b, false
	}
	longer, ok := pass(n.left, m, b)
	if ok && string(longer[len(b):]) == "null" {
		return pass(n.right, m, b)
	}
	return longer, ok
}
