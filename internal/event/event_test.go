package event_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/event"
)

// constants returns the kinds that event.go declares, in their order.
func constants(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == "Kind" {
			for _, value := range spec.Values {
				names = append(names, value.(*ast.BasicLit).Value)
			}
		}
		return true
	})
	return names
}

func TestKinds_EachConstantHasOneRow(t *testing.T) {
	t.Parallel()
	var rows []string
	for _, row := range event.Table() {
		rows = append(rows, `"`+string(row.Kind)+`"`)
		if row.Sender == "" {
			t.Errorf("the row of %s has no sender", row.Kind)
		}
		if row.Fenced && !row.Stream {
			t.Errorf("%s is fenced and does not travel: fences are checked on events that arrive late", row.Kind)
		}
		if diff := cmp.Diff(row, row.Kind.Info()); diff != "" {
			t.Errorf("Info of %s: %s", row.Kind, diff)
		}
	}
	if diff := cmp.Diff(constants(t), rows); diff != "" {
		t.Errorf("constants and rows differ (-constants +rows): %s", diff)
	}
}

func TestKinds_AnUnknownKindHasNoRow(t *testing.T) {
	t.Parallel()
	if got := event.Kind("bogus").Info(); got != (event.Info{}) {
		t.Errorf("got %+v", got)
	}
}

func TestKinds_OpsAreWhatPeopleSend(t *testing.T) {
	t.Parallel()
	want := []event.Kind{"cancel", "pause", "resume", "approve", "reject", "signal"}
	if diff := cmp.Diff(want, event.Ops()); diff != "" {
		t.Error(diff)
	}
}
