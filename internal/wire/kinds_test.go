package wire

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/event"
)

// TestEvents_EveryKindOfTheStreamHasAName compares the names of this package
// with the table of kinds: a kind that travels and has no name is forgotten.
func TestEvents_EveryKindOfTheStreamHasAName(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "kinds.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		if of, ok := n.(*ast.SelectorExpr); ok && of.Sel.Name != "Kind" {
			names = append(names, of.Sel.Name)
		}
		return true
	})
	var want []string
	for _, row := range event.Table() {
		if row.Stream {
			name := string(row.Kind)
			want = append(want, string(name[0]-'a'+'A')+name[1:])
		}
	}
	slices.Sort(names)
	slices.Sort(want)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-table +names): %s", diff)
	}
}
