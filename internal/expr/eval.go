package expr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// machine is one evaluation.
type machine struct {
	scope   Scope
	e       *expression
	bound   []binding
	steps   int
	at      []any         // the place in the template's value
	secrets *[]SecretText // what the value needs; nil where secrets may not be
}

type binding struct {
	name  string
	value any
}

// spend counts work, so that every evaluation ends.
func (m *machine) spend(n int) error {
	if m.steps += n; m.steps > maxSteps {
		return m.e.fail(fmt.Sprintf("it takes more than %d operations", maxSteps), "do this work in a handler")
	}
	return nil
}

// node is a piece of a parsed expression.
type node interface {
	eval(*machine) (any, error)
}

type (
	literal    struct{ v any }
	groupNode  struct{ of node }
	listNode   struct{ items []node }
	statusNode struct{ name string }
	mapNode    struct {
		keys   []string
		values []node
	}
	pathNode struct {
		src   string
		name  string
		keys  []node
		bound bool
	}
	indexNode struct {
		of   node
		keys []node
	}
	unaryNode struct {
		op byte
		of node
	}
	binaryNode struct {
		op          string
		left, right node
	}
	ternaryNode struct{ test, yes, no node }
	callNode    struct {
		name string
		f    function
		args []node
	}
	loopNode struct {
		filter bool
		list   node
		name   string
		body   node
	}
)

func (n *literal) eval(*machine) (any, error)      { return n.v, nil }
func (n *groupNode) eval(m *machine) (any, error)  { return n.of.eval(m) }
func (n *statusNode) eval(m *machine) (any, error) { return m.scope.Status(n.name), nil }

func (n *listNode) eval(m *machine) (any, error) {
	return evalAll(m, n.items)
}

func evalAll(m *machine, nodes []node) ([]any, error) {
	out := make([]any, len(nodes))
	for i, item := range nodes {
		v, err := item.eval(m)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, m.spend(len(nodes) + 1)
}

func (n *mapNode) eval(m *machine) (any, error) {
	values, err := evalAll(m, n.values)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(n.keys))
	for i, k := range n.keys {
		out[k] = values[i]
	}
	return out, nil
}

// missing is the error of a value that is not there; ?? forgives it.
func (m *machine) missing(message, hint string) error {
	err := m.e.fail(message, hint)
	err.missing = true
	return err
}

func (n *pathNode) eval(m *machine) (any, error) {
	if err := m.spend(1); err != nil {
		return nil, err
	}
	keys, err := evalAll(m, n.keys)
	if err != nil {
		return nil, err
	}
	if n.bound {
		for _, v := range slices.Backward(m.bound) {
			if v.name == n.name {
				return m.walk(v.value, n.name, keys)
			}
		}
	}
	switch {
	case n.name == "jobs" || n.name == "flows":
		return n.job(m, keys)
	case IsRoot(n.name):
		v, ok := m.scope.Root(n.name)
		if !ok {
			return nil, m.missing(n.name+" does not exist here", "")
		}
		if r, is := v.(*Result); is {
			return m.lookup(r, n.name, keys)
		}
		return m.walk(v, n.name, keys)
	}
	j, ok := m.scope.Job(n.name)
	if !ok {
		return nil, m.missing("there is no job "+n.name, "")
	}
	return m.outputs(n.name, j, keys)
}

// job reads jobs.<name>.<field>...
func (n *pathNode) job(m *machine, keys []any) (any, error) {
	if len(keys) < 2 {
		return nil, m.e.fail("say which job and what of it", "as in jobs.fetch.outputs")
	}
	name, field := fmt.Sprint(keys[0]), fmt.Sprint(keys[1])
	j, ok := m.scope.Job(name)
	if !ok {
		return nil, m.missing("there is no job "+name, "")
	}
	where := n.name + "." + name + "." + field
	switch field {
	case "outputs":
		return m.outputs(name, j, keys[2:])
	case "status":
		return m.walk(j.Status, where, keys[2:])
	case "error":
		if j.Error == nil {
			return m.walk(nil, where, keys[2:])
		}
		return m.walk(j.Error, where, keys[2:])
	case "attempts":
		return m.walk(j.Attempts, where, keys[2:])
	case "duration":
		return m.walk(j.Duration, where, keys[2:])
	case "errors":
		return m.walk(slices.Clip(append([]any{}, j.Errors...)), where, keys[2:])
	}
	return nil, m.e.fail("a job has no "+field, "it has outputs, status, error, attempts, duration and errors")
}

func (m *machine) outputs(name string, j Job, keys []any) (any, error) {
	if j.Outputs == nil {
		return nil, m.missing(fmt.Sprintf("job %s has no outputs, it is %s", name, j.Status), "give a default: ?? null")
	}
	return m.lookup(j.Outputs, name, keys)
}

// lookup is walk for a result.
func (m *machine) lookup(r *Result, where string, keys []any) (any, error) {
	if v, ok := r.Lookup(keys...); ok {
		return v, nil
	}
	return m.walk(r.Value(), where, keys)
}

// walk follows keys and indexes into a value.
func (m *machine) walk(v any, where string, keys []any) (any, error) {
	for _, key := range keys {
		next, ok := step(v, key)
		if !ok {
			return nil, m.missing(noSuchKey(where, v, key), "")
		}
		where += "." + fmt.Sprint(key)
		v = next
	}
	return v, nil
}

func step(v, key any) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		c, ok := v[keyText(key)]
		return c, ok
	case []any:
		if key == any("length") {
			return len(v), true
		}
		i, ok := indexOf(key)
		if !ok || i < 0 || i >= len(v) {
			return nil, false
		}
		return v[i], true
	}
	return nil, false
}

func noSuchKey(where string, v, key any) string {
	switch v := v.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		if len(keys) == 0 {
			return fmt.Sprintf("%s has no %v, it is empty", where, key)
		}
		if len(keys) > 12 {
			keys = append(keys[:12:12], "...")
		}
		return fmt.Sprintf("%s has no %v, it has %s", where, key, strings.Join(keys, ", "))
	case []any:
		return fmt.Sprintf("%s has no element %v, it has %d", where, key, len(v))
	}
	return fmt.Sprintf("%s is %s and has no %v", where, KindOf(v), key)
}

func (n *indexNode) eval(m *machine) (any, error) {
	v, err := n.of.eval(m)
	if err != nil {
		return nil, err
	}
	keys, err := evalAll(m, n.keys)
	if err != nil {
		return nil, err
	}
	return m.walk(v, "the value", keys)
}

func (n *unaryNode) eval(m *machine) (any, error) {
	v, err := n.of.eval(m)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case bool:
		if n.op == '!' {
			return !v, nil
		}
	case int:
		if n.op == '-' {
			return -v, nil
		}
	case float64:
		if n.op == '-' {
			return -v, nil
		}
	}
	return nil, m.e.fail(fmt.Sprintf("%c cannot be applied to %s", n.op, KindOf(v)), "")
}

func (n *ternaryNode) eval(m *machine) (any, error) {
	yes, err := truth(m, n.test, "?")
	if err != nil {
		return nil, err
	}
	if yes {
		return n.yes.eval(m)
	}
	return n.no.eval(m)
}

func (n *binaryNode) eval(m *machine) (any, error) {
	switch n.op {
	case "&&", "||":
		left, err := truth(m, n.left, n.op)
		if err != nil || left == (n.op == "||") {
			return left, err
		}
		return truth(m, n.right, n.op)
	case "??":
		v, err := n.left.eval(m)
		var e *Error
		if err == nil && v != nil {
			return v, nil
		}
		if err != nil && (!errors.As(err, &e) || !e.missing) {
			return nil, err
		}
		return n.right.eval(m)
	}
	a, err := n.left.eval(m)
	if err != nil {
		return nil, err
	}
	b, err := n.right.eval(m)
	if err != nil {
		return nil, err
	}
	if err := m.spend(1); err != nil {
		return nil, err
	}
	switch n.op {
	case "==":
		return m.equal(a, b)
	case "!=":
		same, err := m.equal(a, b)
		return !same, err
	case "in":
		return m.contains(b, a)
	case "<", "<=", ">", ">=":
		return m.ordered(n.op, a, b)
	}
	return m.arithmetic(n.op, a, b)
}

func (n *callNode) eval(m *machine) (any, error) {
	if n.name == "cond" {
		return (&ternaryNode{n.args[0], n.args[1], n.args[2]}).eval(m)
	}
	args, err := evalAll(m, n.args)
	if err != nil {
		return nil, err
	}
	return n.f.call(&call{m: m, name: n.name, args: args})
}

func (n *loopNode) eval(m *machine) (any, error) {
	of, err := n.list.eval(m)
	if err != nil {
		return nil, err
	}
	list, ok := of.([]any)
	if !ok {
		return nil, m.e.fail("map and filter want a list, not "+KindOf(of), "")
	}
	out := make([]any, 0, len(list))
	m.bound = append(m.bound, binding{name: n.name})
	defer func() { m.bound = m.bound[:len(m.bound)-1] }()
	for _, item := range list {
		if err := m.spend(1); err != nil {
			return nil, err
		}
		m.bound[len(m.bound)-1].value = item
		if n.filter {
			yes, err := truth(m, n.body, "filter")
			if err != nil {
				return nil, err
			}
			if yes {
				out = append(out, item)
			}
			continue
		}
		v, err := n.body.eval(m)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
