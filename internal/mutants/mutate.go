package mutants

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"strconv"
	"strings"
)

// source is a parsed Go file together with its text.
type source struct {
	text string
	file *token.File
	tree *ast.File
}

// mutateGo makes the mutation of m. It finds the guard in the syntax tree and
// changes the text there, so that all other lines keep their numbers.
func mutateGo(m Mark, text string) (string, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, m.File, text, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	s := source{text: text, file: fset.File(tree.FileStart), tree: tree}
	nodes := s.startingOn(m.Line)
	switch m.Word {
	case "skip":
		return s.skip(nodes)
	case "replace":
		return s.replace(m.Line, m.Args)
	}
	cond := condition(nodes)
	if cond == nil {
		return "", errors.New("no condition starts on this line")
	}
	switch m.Word {
	case "true":
		return s.splice(cond, "true || ("+s.textOf(cond)+")"), nil
	case "false":
		return s.splice(cond, "false && ("+s.textOf(cond)+")"), nil
	case "without":
		return s.without(cond, m.Args)
	case "boundary":
		return s.boundary(cond, m.Args)
	}
	return "", fmt.Errorf("unknown mutation %q", m.Word)
}

// startingOn returns the nodes that start on a line, each before those it contains.
func (s source) startingOn(line int) []ast.Node {
	var nodes []ast.Node
	ast.Inspect(s.tree, func(n ast.Node) bool {
		if n != nil && s.file.Line(n.Pos()) == line {
			nodes = append(nodes, n)
		}
		return true
	})
	return nodes
}

// condition returns the expression that the first suitable node is about.
func condition(nodes []ast.Node) ast.Expr {
	for _, n := range nodes {
		var of []ast.Expr
		switch n := n.(type) {
		case *ast.IfStmt:
			of = []ast.Expr{n.Cond}
		case *ast.ForStmt:
			of = []ast.Expr{n.Cond}
		case *ast.CaseClause:
			of = n.List
		case *ast.ReturnStmt:
			of = n.Results
		case *ast.AssignStmt:
			of = n.Rhs
		case *ast.KeyValueExpr:
			of = []ast.Expr{n.Value}
		case *ast.BinaryExpr:
			of = []ast.Expr{n}
		}
		if len(of) == 1 && of[0] != nil {
			return of[0]
		}
	}
	return nil
}

// skip puts the first statement behind a condition that is never true.
func (s source) skip(nodes []ast.Node) (string, error) {
	for _, n := range nodes {
		switch n := n.(type) {
		case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause, *ast.EmptyStmt:
			continue
		case *ast.DeclStmt, *ast.LabeledStmt:
			return "", errors.New("a declaration or label cannot be skipped")
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				return "", errors.New("a declaration cannot be skipped")
			}
			return s.splice(n, "if false { "+s.textOf(n)+" }"), nil
		case ast.Stmt:
			return s.splice(n, "if false { "+s.textOf(n)+" }"), nil
		}
	}
	return "", errors.New("no statement starts on this line")
}

// without makes the operand at path, such as 2 or 2.1, irrelevant.
func (s source) without(cond ast.Expr, path string) (string, error) {
	var op token.Token
	operand := cond
	for step := range strings.SplitSeq(path, ".") {
		n, err := strconv.Atoi(step)
		if err != nil {
			return "", fmt.Errorf("expected the number of an operand, got %q", step)
		}
		binary, is := ast.Unparen(operand).(*ast.BinaryExpr)
		if !is {
			return "", errors.New("there is no operator")
		}
		op = binary.Op
		operands := chain(binary, op)
		if n < 1 || n > len(operands) {
			return "", fmt.Errorf("there are %d operands of %s, not %d", len(operands), op, n)
		}
		operand = operands[n-1]
	}
	switch op {
	case token.LAND:
		return s.splice(operand, "(true || "+s.textOf(operand)+")"), nil
	case token.LOR:
		return s.splice(operand, "(false && "+s.textOf(operand)+")"), nil
	}
	return "", fmt.Errorf("operands of %s cannot be left out", op)
}

// chain returns the operands of a && b && c, whatever the depth of the tree.
func chain(e ast.Expr, op token.Token) []ast.Expr {
	if b, is := e.(*ast.BinaryExpr); is && b.Op == op {
		return append(chain(b.X, op), b.Y)
	}
	return []ast.Expr{e}
}

// otherBoundary says what a comparison becomes.
func otherBoundary(op string) string {
	return map[string]string{"<": "<=", "<=": "<", ">": ">=", ">=": ">"}[op]
}

// boundary moves the bound of the comparison with the given number.
func (s source) boundary(cond ast.Expr, number string) (string, error) {
	n, err := ordinal(number)
	if err != nil {
		return "", err
	}
	var at []*ast.BinaryExpr
	ast.Inspect(cond, func(n ast.Node) bool {
		if b, is := n.(*ast.BinaryExpr); is && otherBoundary(b.Op.String()) != "" {
			at = append(at, b)
		}
		return true
	})
	if n > len(at) {
		return "", fmt.Errorf("there are %d comparisons with a bound, not %d", len(at), n)
	}
	b := at[n-1]
	return s.cut(b.OpPos, b.OpPos+token.Pos(len(b.Op.String())), otherBoundary(b.Op.String())), nil
}

// ordinal reads a number from 1; none is 1.
func ordinal(text string) (int, error) {
	if text == "" {
		return 1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("expected a number from 1, got %q", text)
	}
	return n, nil
}

// replace changes tokens of one line.
func (s source) replace(line int, args string) (string, error) {
	before, after, is := strings.Cut(args, " by ")
	if !is {
		return "", errors.New("expected (replace OLD by NEW)")
	}
	old := tokens(before)
	var here []lexeme
	for _, t := range tokens(s.text) {
		if s.file.Line(token.Pos(s.file.Base()+t.offset)) == line {
			here = append(here, t)
		}
	}
	found := -1
	for i := 0; i+len(old) <= len(here); i++ {
		if !sameTexts(here[i:i+len(old)], old) {
			continue
		}
		if found >= 0 {
			return "", fmt.Errorf("%q occurs more than once on the line", before)
		}
		found = i
	}
	if found < 0 || len(old) == 0 {
		return "", fmt.Errorf("%q does not occur on the line", before)
	}
	last := here[found+len(old)-1]
	return s.text[:here[found].offset] + after + s.text[last.offset+len(last.text):], nil
}

// lexeme is a token with its place in the text.
type lexeme struct {
	text   string
	offset int
}

// tokens returns the tokens of Go source without comments.
func tokens(text string) []lexeme {
	file := token.NewFileSet().AddFile("", -1, len(text))
	var scan scanner.Scanner
	scan.Init(file, []byte(text), func(token.Position, string) {}, 0)
	var all []lexeme
	for {
		pos, tok, literal := scan.Scan()
		switch {
		case tok == token.EOF:
			return all
		case tok == token.SEMICOLON && literal == "\n": // not in the text
			continue
		case literal == "":
			literal = tok.String()
		}
		all = append(all, lexeme{literal, file.Offset(pos)})
	}
}

// sameTexts reports whether two token sequences read the same.
func sameTexts(a, b []lexeme) bool {
	for i := range a {
		if a[i].text != b[i].text {
			return false
		}
	}
	return true
}

// textOf returns the text of a node.
func (s source) textOf(n ast.Node) string {
	return s.text[s.file.Offset(n.Pos()):s.file.Offset(n.End())]
}

// splice replaces a node.
func (s source) splice(n ast.Node, with string) string { return s.cut(n.Pos(), n.End(), with) }

// cut replaces the text between two positions.
func (s source) cut(from, to token.Pos, with string) string {
	return s.text[:s.file.Offset(from)] + with + s.text[s.file.Offset(to):]
}
