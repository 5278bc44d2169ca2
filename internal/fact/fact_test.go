package fact_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap/zapcore"

	"github.com/orchis-run/orchis/internal/fact"
	"github.com/orchis-run/orchis/internal/wire"
)

const root = "../.."

// documented are the names that docs/operations.md knows.
func documented(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "<!-- fields -->")
	table, _, ends := strings.Cut(rest, "<!-- end of fields -->")
	if !ok || !ends {
		t.Fatal("docs/operations.md has no table of fields")
	}
	var names []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^|]+)` \\|").FindAllStringSubmatch(table, -1) {
		names = append(names, strings.Split(row[1], "`, `")...)
	}
	return names
}

// use is a place where a field is made.
type use struct{ name, at string }

// fields are the fields that a file makes; a name that is not there to read is "".
func fields(t *testing.T, path string) []use {
	t.Helper()
	places := token.NewFileSet()
	file, err := parser.ParseFile(places, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	makers := []string{"Any", "Bool", "ByteString", "Duration", "Float64", "Int", "Int64", "NamedError", "Reflect", "String", "Stringer", "Strings", "Time", "Uint64"}
	var found []use
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		of, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if room, ok := of.X.(*ast.Ident); !ok || room.Name != "zap" || len(call.Args) == 0 {
			return true
		}
		at := places.Position(call.Pos()).String()
		switch text, literal := call.Args[0].(*ast.BasicLit); {
		case of.Sel.Name == "Error":
			found = append(found, use{"error", at})
		case literal && text.Kind == token.STRING:
			name, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, use{name, at})
		case slices.Contains(makers, of.Sel.Name):
			found = append(found, use{"", at})
		}
		return true
	})
	return found
}

func TestEveryFieldOfALogLineHasAnAgreedName(t *testing.T) {
	t.Parallel()
	agreed := map[string]int{}
	for _, name := range documented(t) {
		agreed[name] = 0
	}
	own := map[string]bool{}
	for _, u := range fields(t, "fact.go") {
		own[u.name] = true
	}
	for _, room := range []string{"cmd", "internal", "pkg"} {
		err := filepath.WalkDir(filepath.Join(root, room), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, u := range fields(t, path) {
				switch _, ok := agreed[u.name]; {
				case u.name == "":
					t.Errorf("%s: the name of a field is not written out", u.at)
				case !ok:
					t.Errorf("%s: the field %q is not in docs/operations.md", u.at, u.name)
				case own[u.name] && filepath.Base(filepath.Dir(path)) != "fact":
					t.Errorf("%s: the field %q is made by internal/fact", u.at, u.name)
				}
				agreed[u.name]++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(agreed)) {
		if agreed[name] == 0 {
			t.Errorf("docs/operations.md names the field %q, which no line has", name)
		}
	}
}

func TestATicketIsTold(t *testing.T) {
	t.Parallel()
	got := zapcore.NewMapObjectEncoder()
	ticket := wire.Ticket{
		Run: "r", Task: "a/b[3]", Attempt: 2, Recipe: "etl", Queue: "gpu", Handler: "load",
		Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	for _, f := range fact.Ticket(&ticket) {
		f.AddTo(got)
	}
	want := map[string]any{
		"run": "r", "task": "a/b[3]", "attempt": int64(2), "recipe": "etl", "queue": "gpu", "handler": "load",
		"trace": "0af7651916cd43dd8448eb211c80319c",
	}
	if !maps.Equal(got.Fields, want) {
		t.Errorf("got %v, want %v", got.Fields, want)
	}
	got = zapcore.NewMapObjectEncoder()
	for _, f := range fact.Ticket(&wire.Ticket{Run: "r", Trace: "nonsense"}) {
		f.AddTo(got)
	}
	for _, name := range []string{"trace", "recipe"} {
		if v, ok := got.Fields[name]; ok {
			t.Errorf("%s is %v, want none", name, v)
		}
	}
}
