package expr

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryFunctionDoesWhatThePageSays runs the examples of docs/recipes.md;
// each function has one.
func TestEveryFunctionDoesWhatThePageSays(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)\\(.*\\)` \\| .+ \\| `(.+)` is `(.+)` \\|$").FindAllStringSubmatch(string(page), -1) {
		name, example, want := row[1], row[2], row[3]
		if !strings.Contains(example, name+"(") {
			t.Errorf("the example of %s does not call it", name)
		}
		told = append(told, name)
		tmpl, err := ParseTemplate("${json(" + example + ")}")
		if err != nil {
			t.Errorf("%s: %v", example, err)
			continue
		}
		got, err := tmpl.Eval(testWorld())
		if err != nil || got != want {
			t.Errorf("%s is %v (%v), want %s", example, got, err, want)
		}
	}
	if diff := cmp.Diff(Functions(), told); diff != "" {
		t.Errorf("the functions of the page (-are +told):\n%s", diff)
	}
}

// TestEveryFunctionRefusesWhatItCannotTake, and says so.
func TestEveryFunctionRefusesWhatItCannotTake(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"abs('a')", "abs: wants a number, not a text"},
		{"basename(1)", "basename: wants a text, not a number"},
		{"ceil('a')", "ceil: wants a number, not a text"},
		{"chunk([1], 0)", "chunk: the size must be at least 1"},
		{"chunk(1, 1)", "chunk: wants a list, not a number"},
		{"cond(1, 2, 3)", "? wants true or false, not a number (compare it with something)"},
		{"contains(1, 2)", "a number cannot hold a number"},
		{"date('soon')", `date: "soon" is no time`},
		{"dirname([])", "dirname: wants a text, not a list"},
		{"duration('soon')", `duration: "soon" is no duration`},
		{"duration('')", `duration: "" is no duration`},
		{"duration('1e9y')", `duration: "1e9y" is longer than a hundred years`},
		{"duration('NaNd')", `duration: "NaNd" is no duration`},
		{"endsWith('a', 1)", "endsWith: wants a text, not a number"},
		{"env(1)", "env: wants a text, not a number"},
		{"ext(null)", "ext: wants a text, not null"},
		{"filter(1, x, true)", "map and filter want a list, not a number"},
		{"first([])", "first of an empty list (give a default: ?? null)"},
		{"flatten('a')", "flatten: wants a list, not a text"},
		{"float('a')", `float: "a" is not a number`},
		{"floor(true)", "floor: wants a number, not a boolean"},
		{"format('2026-11-24', 1)", "format: wants a text, not a number"},
		{"fromJson('{')", "fromJson: read JSON: unexpected EOF"},
		{"int('NaN')", `int: "NaN" is not a number`},
		{"int('a')", `int: "a" is not a number`},
		{"interleave([1], 2)", "interleave: wants a list, not a number"},
		{"join('a', ',')", "join: wants a list, not a text"},
		{"json()", "json wants one value, not 0 values"},
		{"keys([1])", "keys: wants a map, not a list"},
		{"last([])", "last of an empty list (give a default: ?? null)"},
		{"len(1)", "len: wants a text, a list or a map, not a number"},
		{"lower(1)", "lower: wants a text, not a number"},
		{"map('a', x, x)", "map and filter want a list, not a text"},
		{"matches('a', '(')", "matches: error parsing regexp: missing closing ): `(`"},
		{"max([])", "max: of an empty list"},
		{"min(1, 'a')", "a text and a number cannot be compared (convert one with float() or string())"},
		{"now(1)", "now wants no value, not 1 values"},
		{"range(1, 5, 0)", "range: would have more than 100000 elements"},
		{"replace('a', 'b')", "replace wants a text, what to replace and by what, not 2 values"},
		{"round('a')", "round: wants a number, not a text"},
		{"sha256(1)", "sha256: wants a text, not a number"},
		{"sort([1, 'a'])", "a text and a number cannot be compared (convert one with float() or string())"},
		{"split('a', 1)", "split: wants a text, not a number"},
		{"startsWith(1, 'a')", "startsWith: wants a text, not a number"},
		{"string(1, 2)", "string wants one value, not 2 values"},
		{"sum(['a'])", `a number + a text is not possible (convert with float() or string(), or put texts side by side: "${a}${b}")`},
		{"trim(1)", "trim: wants a text, not a number"},
		{"unique(1)", "unique: wants a list, not a number"},
		{"upper([])", "upper: wants a text, not a list"},
		{"values(1)", "values: wants a map, not a number"},
		{"zip(1)", "zip: wants a list, not a number"},
	}
	var tried []string
	for _, test := range tests {
		name, _, _ := strings.Cut(test.in, "(")
		tried = append(tried, name)
		tmpl, err := ParseTemplate("${" + test.in + "}")
		if err == nil {
			_, err = tmpl.Eval(testWorld())
		}
		if err == nil {
			t.Errorf("%s is taken", test.in)
			continue
		}
		if diff := cmp.Diff(test.want, strings.TrimPrefix(err.Error(), "${"+test.in+"}: ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.in, diff)
		}
	}
	if diff := cmp.Diff(Functions(), slices.Compact(tried)); diff != "" {
		t.Errorf("the functions that were tried (-are +tried):\n%s", diff)
	}
}

// TestDurations are read as those of the keys are.
func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{"90s": 90, "1h30m": 5400, "2d": 172_800, "2w": 1_209_600, "1y": 31_536_000, "1w2d1h": 781_200, "1.5d": 129_600, "500ms": 0.5, "-1d": -86_400} {
		tmpl, err := ParseTemplate("${duration('" + text + "')}")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tmpl.Eval(testWorld()); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", text, got, err, want)
		}
	}
}
