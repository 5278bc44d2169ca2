package expr

import (
	"slices"
	"strconv"
	"strings"
)

// name reads a path, a call, or one of true, false and null.
func (p *parser) name(depth int) (node, *Error) {
	start := p.pos
	name := p.word()
	switch name {
	case "true", "false":
		return &literal{name == "true"}, nil
	case "null":
		return &literal{nil}, nil
	}
	if p.pos < len(p.src) && p.src[p.pos] == '(' {
		p.pos++
		call, err := p.call(name, start, depth)
		if err != nil {
			return nil, err
		}
		return p.postfix(call, depth)
	}
	n := &pathNode{name: name}
	keys, err := p.keys(depth)
	if err != nil {
		return nil, err
	}
	n.keys, n.src = keys, strings.TrimSpace(p.src[start:p.pos])
	p.refer(n)
	return n, nil
}

// keys reads .name, .0 and [expression] as often as they come.
func (p *parser) keys(depth int) ([]node, *Error) {
	var keys []node
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case '.':
			p.pos++
			key := p.word()
			if key == "" {
				return nil, p.unexpected()
			}
			keys = append(keys, &literal{key})
		case '[':
			p.pos++
			k, err := p.ternary(depth + 1)
			if err != nil {
				return nil, err
			}
			if err := p.expect("]"); err != nil {
				return nil, err
			}
			keys = append(keys, k)
		default:
			return keys, nil
		}
	}
	return keys, nil
}

func (p *parser) postfix(of node, depth int) (node, *Error) {
	keys, err := p.keys(depth)
	if err != nil || len(keys) == 0 {
		return of, err
	}
	return &indexNode{of: of, keys: keys}, nil
}

func (p *parser) call(name string, start, depth int) (node, *Error) {
	if slices.Contains(statusFunctions(), name) {
		if !p.condition {
			return nil, p.errorAt(start, len(name), name+"() can be asked only in `if`", "")
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
		p.e.status = append(p.e.status, name)
		return &statusNode{name}, nil
	}
	if name == "map" || name == "filter" {
		return p.loop(name, start, depth)
	}
	f, ok := functions()[name]
	if !ok {
		hint := "known are " + strings.Join(Functions(), " ")
		if near := Nearest(name, Functions()); near != "" {
			hint = "did you mean " + near + "?"
		}
		return nil, p.errorAt(start, len(name), "unknown function "+name, hint)
	}
	args, err := p.sequence(")", depth)
	if err != nil {
		return nil, err
	}
	if len(args) < f.least || f.most >= 0 && len(args) > f.most {
		return nil, p.errorAt(start, p.pos-start, name+" wants "+f.usage+", not "+strconv.Itoa(len(args))+" values", "")
	}
	return &callNode{name: name, f: f, args: args}, nil
}

// loop reads map(list, name, expression) and filter(list, name, condition).
func (p *parser) loop(name string, start, depth int) (node, *Error) {
	if p.loops++; p.loops > maxLoops {
		return nil, p.errorAt(start, len(name), "map and filter are nested more than 3 deep", "")
	}
	defer func() { p.loops-- }()
	list, err := p.ternary(depth + 1)
	if err != nil {
		return nil, err
	}
	usage := p.errorAt(start, len(name), name+" wants a list, a name and an expression", "as in "+name+"(list, x, x.name)")
	if !p.take(",") {
		return nil, usage
	}
	p.space()
	v := p.word()
	if v == "" || !p.take(",") {
		return nil, usage
	}
	if IsRoot(v) && v != "item" {
		return nil, p.errorAt(start, len(name), "the name "+v+" is reserved", "take another name for the element")
	}
	p.bound = append(p.bound, v)
	body, err := p.ternary(depth + 1)
	p.bound = p.bound[:len(p.bound)-1]
	if err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	return &loopNode{filter: name == "filter", list: list, name: v, body: body}, nil
}

// plain makes the node of a path that is nothing but a path.
func (p *parser) plain(path string) node {
	path = strings.NewReplacer("[", ".", "]", "").Replace(path)
	names := strings.Split(path, ".")
	n := &pathNode{src: path, name: names[0]}
	for _, name := range names[1:] {
		n.keys = append(n.keys, &literal{v: name})
	}
	p.refer(n)
	return n
}

// refer notes what a path reads.
func (p *parser) refer(n *pathNode) {
	if slices.Contains(p.bound, n.name) {
		n.bound = true
		return
	}
	path := []string{n.name}
	if !IsRoot(n.name) {
		path = []string{"jobs", n.name, "outputs"}
	}
	for _, k := range n.keys {
		lit, ok := k.(*literal)
		if !ok {
			break
		}
		switch v := lit.v.(type) {
		case string:
			path = append(path, v)
		case int:
			path = append(path, strconv.Itoa(v))
		}
	}
	if path[0] == "flows" {
		path[0] = "jobs"
	}
	p.e.refs = append(p.e.refs, Ref{Path: path, Guarded: p.guarded > 0})
}
