package expr

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// world is a scope for tests.
type world struct {
	roots  map[string]any
	jobs   map[string]Job
	status map[string]bool
}

func (w world) Root(name string) (any, bool) { v, ok := w.roots[name]; return v, ok }
func (w world) Job(name string) (Job, bool)  { j, ok := w.jobs[name]; return j, ok }
func (w world) Status(function string) bool  { return w.status[function] }
func (w world) Now() time.Time               { return time.Date(2026, 11, 24, 5, 0, 0, 0, time.UTC) }
func list(v ...any) []any                    { return v }
func object(k string, v any) map[string]any  { return map[string]any{k: v} }
func done(v any) Job                         { return Job{Status: "succeeded", Outputs: resultOf(v)} }

func testWorld() world {
	return world{
		roots: map[string]any{
			"inputs": map[string]any{
				"url": "http://x", "n": 3, "f": 2.5, "empty": "", "none": nil, "flag": true,
				"list": list(1, 2, 3), "trick": "${inputs.url} $& $$", "m": object("k", "v"),
			},
			"iterate": map[string]any{"item": object("name", "eu"), "index": 2},
		},
		jobs: map[string]Job{
			"fetch":   done(object("file", "a.mp4")),
			"my-job":  done(object("size", 7)),
			"rows":    {Status: "succeeded", Outputs: resultOf(list(object("name", "a"), nil, object("name", "b"))), Errors: list(object("item", object("name", "x")))},
			"skipped": {Status: "skipped"},
		},
		status: map[string]bool{"finished": true},
	}
}

func TestATemplateGivesItsValue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in, want any
	}{
		{"plain", "plain"},
		{"${inputs.n}", 3},
		{"${ inputs.list }", list(1, 2, 3)},
		{"a ${inputs.n} b ${inputs.flag}", "a 3 b true"},
		{"${inputs.list} and ${inputs.m}", `[1,2,3] and {"k":"v"}`},
		{"$${inputs.n}", "${inputs.n}"},
		{"cost $5 $$ $&", "cost $5 $$ $&"},
		{"${inputs.trick}!", "${inputs.url} $& $$!"},
		{"${fetch.file}", "a.mp4"},
		{"${jobs.fetch.outputs.file}", "a.mp4"},
		{"${my-job.size}", 7},
		{"${rows.0.name}${rows[2].name}", "ab"},
		{"${jobs.skipped.status}", "skipped"},
		{"${jobs.skipped.outputs ?? inputs.n}", 3},
		{"${inputs.none ?? 'x'}", "x"},
		{"${inputs.nowhere.at.all ?? 1}", 1},
		{"${inputs.n > 2 ? 'big' : 'small'}", "big"},
		{"${cond(inputs.n > 2, 'big', 'small')}", "big"},
		{"${6 / 3}", 2},
		{"${7 / 2}", 3.5},
		{"${7 % 2 + 2 * 3}", 7},
		{"${iterate.index * inputs.f}", 5.0},
		{"${-(inputs.n) - 1}", -4},
		{"${filter(rows, r, r != null)}", list(object("name", "a"), object("name", "b"))},
		{"${map(jobs.rows.errors, e, e.item.name)}", list("x")},
		{"${interleave([1, 3], [2, 4, 5])}", list(1, 2, 3, 4, 5)},
		{"${zip([1], ['a'])}", list(list(1, "a"))},
		{"${chunk(range(5), 2)}", list(list(0, 1), list(2, 3), list(4))},
		{"${sum(inputs.list) + len('äb') + max(1, 9)}", 17},
		{"${date(now() - duration('24h'))}", "2026-11-23"},
		{"${format(now(), 'YYYYMMDD HH:mm')}", "20261124 05:00"},
		{"${'b' in ['a', 'b'] && !('k' in {x: 1})}", true},
		{"${join(sort(['b', 'a']), '-')}", "a-b"},
		{"${replace('a.b', '.', '}')}", "a}b"},
		{"${round(3.14159, 2)}", 3.14},
		{"${basename('/x/y.mp4')}${ext('y.mp4')}", "y.mp4.mp4"},
		{"${first(inputs.list)}${last(inputs.list)}", "13"},
		{"${1 == 1.0 && [1] == [1.0]}", true},
		{map[string]any{"a": "${inputs.n}", "${x}": list("${fetch.file}", 1, nil)}, map[string]any{"a": 3, "${x}": list("a.mp4", 1, nil)}},
		{"{{json .Manifest}}", "{{json .Manifest}}"},
	}
	for _, test := range tests {
		tmpl, err := ParseTemplate(test.in)
		if err != nil {
			t.Errorf("ParseTemplate(%v): %v", test.in, err)
			continue
		}
		got, err := tmpl.Eval(testWorld())
		if err != nil {
			t.Errorf("Eval(%v): %v", test.in, err)
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.in, diff)
		}
	}
}

func TestABadTemplateSaysWhatToWrite(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"x ${inputs.n", `the ${ is not closed (add the missing }, or write $${ for the text itself)`},
		{"${}", "the expression is empty"},
		{"${{ inputs.n }}", "${{ }} is the form of another tool (write ${...})"},
		{"{{ inputs.n }}", "{{ }} is not expanded here (write ${inputs.name})"},
		{"${lenn(inputs.list)}", "unknown function lenn (did you mean len?)"},
		{"${split('a')}", "split wants two values, not 1 values"},
		{"${1 = 2}", `unexpected "=" (write == to compare)`},
		{"${1 +}", "the expression ends too early"},
		{"${success()}", "success() can be asked only in `if`"},
		{"${'abc}", "the ${ is not closed (add the missing }, or write $${ for the text itself)"},
		{"${map(1)}", "map wants a list, a name and an expression (as in map(list, x, x.name))"},
	}
	for _, test := range tests {
		_, err := ParseTemplate(test.in)
		if err == nil {
			t.Errorf("ParseTemplate(%q) succeeded", test.in)
			continue
		}
		if diff := cmp.Diff(test.want, err.Error()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.in, diff)
		}
	}
}

func TestAValueThatCannotBeComputedSaysWhy(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"${inputs.m.x}", "${inputs.m.x}: inputs.m has no x, it has k"},
		{"${rows.9}", "${rows.9}: rows has no element 9, it has 3"},
		{"${skipped.file}", "${skipped.file}: job skipped has no outputs, it is skipped (give a default: ?? null)"},
		{"a ${inputs.none}", "${inputs.none}: the value is null, which cannot stand inside text (give a default: ${... ?? \"\"})"},
		{"${1 / 0}", "${1 / 0}: division by zero"},
		{"${inputs.url - 1}", `${inputs.url - 1}: a text - a number is not possible (convert with float() or string(), or put texts side by side: "${a}${b}")`},
		{"${map(range(100000), a, map(range(100000), b, b))}", "${map(range(100000), a, map(range(100000), b, b))}: it takes more than 1000000 operations (do this work in a handler)"},
		{"${range(1000000)}", "${range(1000000)}: range: would have more than 100000 elements"},
	}
	for _, test := range tests {
		tmpl, err := ParseTemplate(test.in)
		if err != nil {
			t.Errorf("ParseTemplate(%q): %v", test.in, err)
			continue
		}
		_, err = tmpl.Eval(testWorld())
		if err == nil {
			t.Errorf("Eval(%q) succeeded", test.in)
			continue
		}
		if diff := cmp.Diff(test.want, err.Error()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.in, diff)
		}
	}
}

func TestAnErrorSaysWhereInTheValueItIs(t *testing.T) {
	t.Parallel()
	tmpl, err := ParseTemplate(map[string]any{"a": list("x", "${inputs.gone}")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tmpl.Eval(testWorld())
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T", err)
	}
	if diff := cmp.Diff(list("a", 1), e.At); diff != "" {
		t.Error(diff)
	}
}

func TestRefsNameEveryPathThatIsRead(t *testing.T) {
	t.Parallel()
	tmpl, err := ParseTemplate("${fetch.file} ${jobs.a.status == 'x' ? inputs.b : flows.c.outputs} ${d.e ?? map(f, x, x.y)}")
	if err != nil {
		t.Fatal(err)
	}
	want := []Ref{
		{Path: []string{"jobs", "fetch", "outputs", "file"}},
		{Path: []string{"jobs", "a", "status"}},
		{Path: []string{"inputs", "b"}},
		{Path: []string{"jobs", "c", "outputs"}},
		{Path: []string{"jobs", "d", "outputs", "e"}, Guarded: true},
		{Path: []string{"jobs", "f", "outputs"}},
	}
	if diff := cmp.Diff(want, tmpl.Refs()); diff != "" {
		t.Error(diff)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want bool
	}{
		{"inputs.n == 3", true},
		{"${inputs.n != 3}", false},
		{"finished() && jobs.fetch.status != 'failed'", true},
		{"success() || inputs.empty == ''", true},
		{"inputs.flag", true},
		{"rows[0].name >= 'a'", true},
	}
	for _, test := range tests {
		c, err := ParseCondition(test.in)
		if err != nil {
			t.Errorf("ParseCondition(%q): %v", test.in, err)
			continue
		}
		got, err := c.Eval(testWorld())
		if err != nil || got != test.want {
			t.Errorf("%q = %v, %v", test.in, got, err)
		}
	}
	c, err := ParseCondition("inputs.n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Eval(testWorld()); err == nil || !strings.Contains(err.Error(), "not true or false") {
		t.Errorf("a number as condition gives %v", err)
	}
}

func TestJSONKeepsWholeNumbers(t *testing.T) {
	t.Parallel()
	v, err := Decode([]byte(`{"a":1,"b":1.5,"c":[1e3,12345678901234567890]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": 1, "b": 1.5, "c": list(1000.0, 12345678901234567890.0)}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
	if _, err := Decode([]byte(`1 2`)); err == nil {
		t.Error("two values were accepted")
	}
}

func FuzzExpressions(f *testing.F) {
	for _, s := range []string{"${a.b}", "${map(x, y, y + 1)}", "$${", "${a ?? {b: [1]}}", "${((((", "${'\\"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) {
		if t, err := ParseTemplate(s); err == nil {
			_, _ = t.Eval(testWorld())
		}
		if c, err := ParseCondition(s); err == nil {
			_, _ = c.Eval(testWorld())
		}
	})
}

func TestSecretsAreNamedAndNeverSeen(t *testing.T) {
	t.Parallel()
	template, err := ParseTemplate(map[string]any{
		"plain": "${secrets.A}", "around": "Bearer ${secrets.A}, ${inputs.x}${secrets.B}!",
		"list": []any{"x", "${secrets['B']}"}, "none": "${inputs.x}", "literal": "$${secrets.A}",
	})
	if err != nil {
		t.Fatal(err)
	}
	// What an input says is text, whatever it looks like.
	scope := world{roots: map[string]any{"inputs": map[string]any{"x": "${secrets.A} *** {\"secret\":\"A\"}"}}}
	value, secrets, err := template.EvalSecret(scope)
	if err != nil {
		t.Fatal(err)
	}
	x := "${secrets.A} *** {\"secret\":\"A\"}"
	want := map[string]any{
		"plain": "***", "around": "Bearer ***, " + x + "***!",
		"list": []any{"x", "***"}, "none": x, "literal": "${secrets.A}",
	}
	if diff := cmp.Diff(want, value); diff != "" {
		t.Error(diff)
	}
	places := []SecretText{
		{At: []any{"around"}, Parts: []SecretPart{{Text: "Bearer "}, {Secret: "A"}, {Text: ", " + x}, {Secret: "B"}, {Text: "!"}}},
		{At: []any{"list", 1}, Parts: []SecretPart{{Secret: "B"}}},
		{At: []any{"plain"}, Parts: []SecretPart{{Secret: "A"}}},
	}
	if diff := cmp.Diff(places, secrets); diff != "" {
		t.Error(diff)
	}
	if _, err := template.Eval(scope); err == nil || !strings.Contains(err.Error(), "secrets cannot be read here") {
		t.Errorf("outside of a job it gives %v", err)
	}
	for _, bad := range []string{"${secrets}", "${secrets.A.b}", "${upper(secrets.A)}", "${secrets[inputs.x]}", "${map([1], x, secrets.A)}", "${secrets.a-b}", "${secrets.A == secrets.A}"} {
		if _, err := ParseTemplate(bad); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	if _, err := ParseCondition("matches(secrets.A, 'a.*')"); err == nil {
		t.Error("a condition may read a secret")
	}
}
