package flow

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnInputIsConvertedAndChecked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		declared string
		given    any // nil: not given
		want     any
		problem  string
	}{
		{"{type: string}", "x", "x", ""},
		{"{type: string}", nil, nil, "it is required and missing"},
		{"{type: string, required: false}", nil, nil, ""},
		{"{type: string}", 7, "7", ""},
		{"{type: string}", []any{1}, nil, "expected a string, got [1]"},
		{"{type: number}", "1.5", 1.5, ""},
		{"{type: number}", "5", 5, ""},
		{"{type: number}", "", nil, "it is required and empty"},
		{"{type: number}", "NaN", nil, `expected a number, got "NaN"`},
		{"{type: integer}", "5", 5, ""},
		{"{type: integer}", 5.0, 5, ""},
		{"{type: integer}", "5.5", nil, `expected an integer, got "5.5"`},
		{"{type: boolean}", "yes", true, ""},
		{"{type: boolean}", "0", false, ""},
		{"{type: boolean}", "maybe", nil, `expected a boolean, got "maybe"`},
		{"{default: 0}", nil, 0, ""},
		{"{default: false}", nil, false, ""},
		{"{default: 5}", "", 5, ""},
		{"{default: 5, max: 10}", "11", nil, "11 is more than the largest value, 10"},
		{"{default: 5, min: 1}", 0, nil, "0 is less than the smallest value, 1"},
		{"{type: string, enum: [a, b]}", "c", nil, `"c" is not one of "a", "b"`},
		{"{type: number, enum: [1, 2]}", "2", 2, ""},
		{"{type: string, pattern: '^[a-z]+$'}", "A1", nil, `"A1" does not match ^[a-z]+$`},
		{"{type: string, minLength: 2}", "a", nil, "it has the length 1, less than 2"},
		{"{type: string, maxLength: 2}", "äöü", nil, "it has the length 3, more than 2"},
		{"{type: list}", "a, b", []any{"a", "b"}, ""},
		{"{type: list}", `["a", 1]`, []any{"a", 1}, ""},
		{"{type: list, items: {type: integer}}", `["1", "x"]`, nil, `element 1: expected an integer, got "x"`},
		{"{type: map}", `{"a": 1}`, map[string]any{"a": 1}, ""},
		{"{type: map}", "a", nil, `expected a map, got "a"`},
		{"{type: map, properties: {a: {type: integer}}}", `{"b": 1}`, nil, `input "b": it is not an input of the map (did you mean "a"?)`},
		{"{type: json}", `{"a": [1, 2]}`, map[string]any{"a": []any{1, 2}}, ""},
		{"{type: json}", "text", "text", ""},
		{"{type: date}", "2026-11-24", "2026-11-24", ""},
		{"{type: date}", "24.11.2026", nil, `expected a date such as 2026-11-24, got "24.11.2026"`},
		{"{type: datetime}", "2026-11-24T05:00:00Z", "2026-11-24T05:00:00Z", ""},
		{"{type: duration}", "90s", "90s", ""},
		{"{type: duration}", "soon", nil, `expected a duration such as 90s or 1h30m, got "soon"`},
		{"{type: url}", "https://example.org/a.mp4", "https://example.org/a.mp4", ""},
		{"{type: url}", "example", nil, `expected a URL such as https://example.org/a.mp4, got "example"`},
		{"{type: file}", "clips/a.mp4", "clips/a.mp4", ""},
		{"{type: file}", "artifact://sha256/abc/a.mp4", "artifact://sha256/abc/a.mp4", ""},
		{"{type: file}", "https://example.org/a.mp4", "artifact+https://example.org/a.mp4", ""},
		{"{type: file}", "HTTP://example.org/a.mp4?x=1", "artifact+http://example.org/a.mp4?x=1", ""},
		{"{type: file}", "artifact+https://example.org/a.mp4", "artifact+https://example.org/a.mp4", ""},
		{"{type: file}", "file-of-https://example.org", "file-of-https://example.org", ""},
		{"{type: file}", "ftp://example.org/a.mp4", nil, `expected a path, an artifact or a URL with http or https, got "ftp://example.org/a.mp4"`},
		{"{type: file}", "https:///a.mp4", nil, `expected a path, an artifact or a URL with http or https, got "https:///a.mp4"`},
		{"{type: file, pattern: '^https://.*[.]mp4$'}", "https://example.org/a.mp4", "artifact+https://example.org/a.mp4", ""},
		{"{type: file, maxLength: 25}", "https://example.org/a.mp4", "artifact+https://example.org/a.mp4", ""},
		{"{default: 'https://example.org/a.mp4', type: file}", nil, "artifact+https://example.org/a.mp4", ""},
		{"{type: list, items: file}", "https://example.org/a.mp4, b.mp4", []any{"artifact+https://example.org/a.mp4", "b.mp4"}, ""},
		{"{type: map, properties: {f: {type: file}}}", `{"f": "https://example.org/a.mp4"}`, map[string]any{"f": "artifact+https://example.org/a.mp4"}, ""},
		{"fixed", nil, "fixed", ""},
		{"fixed", "other", nil, "it is a constant and cannot be set"},
	}
	for _, test := range tests {
		b, _ := load(t, "inputs:\n  x: "+test.declared+"\njobs: {a: {job: debug}}\n")
		given := map[string]any{}
		if test.given != nil {
			given["x"] = test.given
		}
		got, problems := b.RootFlow().ResolveInputs(given, time.Time{})
		problem := ""
		if len(problems) > 0 {
			problem = problems[0].Message
		}
		if diff := cmp.Diff(test.problem, problem); diff != "" {
			t.Errorf("%s given %v:\n%s", test.declared, test.given, diff)
		}
		if test.problem == "" {
			if diff := cmp.Diff(test.want, got["x"]); diff != "" {
				t.Errorf("%s given %v:\n%s", test.declared, test.given, diff)
			}
		}
	}
}

func TestDefaultsMayReadInputsAboveThem(t *testing.T) {
	t.Parallel()
	b, _ := load(t, "inputs:\n  day: {type: date, default: \"${date(now())}\"}\n  file: {default: \"sales-${inputs.day}.csv\"}\njobs: {a: {job: debug}}\n")
	got, problems := b.RootFlow().ResolveInputs(nil, time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
	if diff := cmp.Diff(map[string]any{"day": "2026-11-24", "file": "sales-2026-11-24.csv"}, got); diff != "" || len(problems) > 0 {
		t.Errorf("%s %v", diff, problems)
	}
}

func TestAFlowThatDeclaresNoInputsTakesAny(t *testing.T) {
	t.Parallel()
	b, _ := load(t, "jobs: {a: {job: debug, inputs: {x: \"${inputs.y}\"}}}\n")
	got, problems := b.RootFlow().ResolveInputs(map[string]any{"y": 1}, time.Time{})
	if diff := cmp.Diff(map[string]any{"y": 1}, got); diff != "" || len(problems) > 0 {
		t.Errorf("%s %v", diff, problems)
	}
	b, _ = load(t, "jobs: {a: {job: debug}}\n")
	if _, problems = b.RootFlow().ResolveInputs(map[string]any{"y": 1}, time.Time{}); len(problems) != 1 {
		t.Errorf("problems are %v", problems)
	}
}
