package expr

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// expression is one compiled ${...}.
type expression struct {
	src    string
	offset int // of src inside the text
	tree   node
	refs   []Ref
	status []string
}

func (e *expression) value(m *machine) (any, error) {
	m.e = e
	return e.tree.eval(m)
}

func (e *expression) append(m *machine, b []byte) ([]byte, error) {
	m.e = e
	if longer, ok := pass(e.tree, m, b); ok {
		return longer, nil
	}
	return appendValue(e, m, b)
}

func (e *expression) fail(message, hint string) *Error {
	err := &Error{Message: message, Hint: hint}
	if e != nil {
		err.Offset, err.Len = e.offset, len(e.src)
		err.Message = "${" + strings.TrimSpace(e.src) + "}: " + message
	}
	return err
}

// plainPath matches a path such as fetch.file, list.0.name or a-b.items[2]:
// its names may hold dashes, so that x-1 is a name and x - 1 a difference.
var plainPath = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+|\[[0-9]+\])*$`)

// Roots lists the reserved first words of a path.
func Roots() []string {
	return []string{"inputs", "vars", "env", "secrets", "run", "jobs", "flows", "iterate", "item", "self"}
}

// IsRoot reports whether a name is a reserved first word of a path.
func IsRoot(name string) bool { return slices.Contains(Roots(), name) }

func statusFunctions() []string {
	return []string{"success", "ready", "failure", "finished", "always", "cancelled"}
}

func compileExpression(src string, offset int, condition bool) (*expression, *Error) {
	e := &expression{src: src, offset: offset}
	p := &parser{src: src, offset: offset, e: e, condition: condition}
	trimmed := strings.TrimSpace(src)
	switch {
	case trimmed == "":
		return nil, &Error{Offset: offset, Len: len(src), Message: "the expression is empty"}
	case len(src) > maxSource:
		return nil, &Error{Offset: offset, Len: len(src), Message: "the expression is longer than 16 KiB"}
	case plainPath.MatchString(trimmed) && !slices.Contains([]string{"true", "false", "null"}, trimmed):
		e.tree = p.plain(trimmed)
		return e, nil
	}
	tree, err := p.ternary(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.pos < len(src) {
		return nil, p.unexpected()
	}
	e.tree = tree
	return e, nil
}

// parser reads an expression by precedence climbing, straight from the text.
type parser struct {
	src       string
	pos       int
	offset    int
	e         *expression
	condition bool
	bound     []string // variables of map and filter
	guarded   int      // inside the left side of ??
	loops     int
}

func (p *parser) errorAt(pos, length int, message, hint string) *Error {
	return &Error{Offset: p.offset + pos, Len: max(length, 1), Message: message, Hint: hint}
}

func (p *parser) unexpected() *Error {
	if p.pos >= len(p.src) {
		return p.errorAt(len(p.src), 1, "the expression ends too early", "")
	}
	rest := p.src[p.pos:]
	hint := ""
	switch {
	case rest[0] == '=':
		hint = "write == to compare"
	case rest[0] == '&':
		hint = "write && for and"
	case rest[0] == '|':
		hint = "write || for or"
	case strings.HasPrefix(rest, "and "):
		hint = "write && for and"
	case strings.HasPrefix(rest, "or "):
		hint = "write || for or"
	}
	return p.errorAt(p.pos, 1, "unexpected "+strconv.Quote(string([]rune(rest)[0])), hint)
}

func (p *parser) space() {
	for p.pos < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.pos]) >= 0 {
		p.pos++
	}
}

// take reads a token if it comes next.
func (p *parser) take(token string) bool {
	p.space()
	if !strings.HasPrefix(p.src[p.pos:], token) {
		return false
	}
	p.pos += len(token)
	return true
}

func (p *parser) expect(token string) *Error {
	if !p.take(token) {
		if p.pos >= len(p.src) {
			return p.errorAt(len(p.src), 1, "a "+strconv.Quote(token)+" is missing at the end", "")
		}
		return p.unexpected()
	}
	return nil
}

func (p *parser) ternary(depth int) (node, *Error) {
	if depth > maxDepth {
		return nil, p.errorAt(p.pos, 1, "the expression is nested too deep", "")
	}
	test, err := p.binary(0, depth+1)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.pos >= len(p.src) || p.src[p.pos] != '?' || strings.HasPrefix(p.src[p.pos:], "??") {
		return test, nil
	}
	p.pos++
	yes, err := p.ternary(depth + 1)
	if err != nil {
		return nil, err
	}
	if err := p.expect(":"); err != nil {
		return nil, err
	}
	no, err := p.ternary(depth + 1)
	if err != nil {
		return nil, err
	}
	return &ternaryNode{test, yes, no}, nil
}

// levels holds the operators from the weakest to the strongest.
func levels() [][]string {
	return [][]string{
		{"??"}, {"||"}, {"&&"}, {"==", "!="}, {"<=", ">=", "<", ">", "in "}, {"+", "-"}, {"*", "/", "%"},
	}
}

func (p *parser) binary(level, depth int) (node, *Error) {
	all := levels()
	if level == len(all) {
		return p.unary(depth)
	}
	if depth > maxDepth {
		return nil, p.errorAt(p.pos, 1, "the expression is nested too deep", "")
	}
	start := len(p.e.refs)
	left, err := p.binary(level+1, depth)
	if err != nil {
		return nil, err
	}
	for {
		op := ""
		for _, candidate := range all[level] {
			if p.take(candidate) {
				op = strings.TrimSpace(candidate)
				break
			}
		}
		if op == "" {
			return left, nil
		}
		if op == "??" {
			for i := start; i < len(p.e.refs); i++ {
				p.e.refs[i].Guarded = true
			}
		}
		right, err := p.binary(level+1, depth+1)
		if err != nil {
			return nil, err
		}
		left = &binaryNode{op: op, left: left, right: right}
	}
}

func (p *parser) unary(depth int) (node, *Error) {
	if depth > maxDepth {
		return nil, p.errorAt(p.pos, 1, "the expression is nested too deep", "")
	}
	p.space()
	if p.pos < len(p.src) && (p.src[p.pos] == '!' || p.src[p.pos] == '-') {
		op := p.src[p.pos]
		p.pos++
		of, err := p.unary(depth + 1)
		if err != nil {
			return nil, err
		}
		return &unaryNode{op: op, of: of}, nil
	}
	return p.primary(depth)
}

func (p *parser) primary(depth int) (node, *Error) {
	p.space()
	if p.pos >= len(p.src) {
		return nil, p.unexpected()
	}
	switch c := p.src[p.pos]; {
	case c == '(':
		p.pos++
		n, err := p.ternary(depth + 1)
		if err != nil {
			return nil, err
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
		return p.postfix(&groupNode{of: n}, depth)
	case c == '"' || c == '\'':
		s, err := p.text()
		return &literal{s}, err
	case c >= '0' && c <= '9':
		return p.number()
	case c == '[':
		return p.list(depth)
	case c == '{':
		return p.mapping(depth)
	case isLetter(c):
		return p.name(depth)
	}
	return nil, p.unexpected()
}
