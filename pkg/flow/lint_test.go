package flow

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAdvice: each piece of advice is given once, where it belongs, and can be
// silenced.
func TestAdvice(t *testing.T) {
	t.Parallel()
	const text = `inputs: { used: { default: 1 }, unused: { default: 2 } }
vars: { a: "${inputs.used}", b: 1 }
jobs:
  one: { job: debug, inputs: { n: "${vars.a}", password: hunter2hunter2 } }
  two: { job: exec, dependsOn: [one], continueOnError: true, inputs: { command: [ls] } }
  three: { job: debug, dependsOn: [one, two] }
  four: { job: http, timeout: 1m, inputs: { method: POST, url: "http://localhost" } }
  five: { approval: { message: go } }
`
	lint := func(text string) []string {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "flows"), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "flows", "x.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := NewLoader(Options{Root: dir, Retries: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		var got []string
		for _, d := range l.Lint("x") {
			got = append(got, fmt.Sprintf("%d:%d: %s %s: %s (%s)", d.Line, d.Column, d.Severity, d.Code, d.Message, d.Hint))
		}
		return got
	}
	want := []string{
		`1:1: warning L001: there is no description (describe in one line what it is for; lists show it)`,
		`1:33: warning L002: inputs.unused is never read (remove it, or use it)`,
		`2:30: warning L002: vars.b is never read (remove it, or use it)`,
		`4:58: warning L006: the value of "password" looks like a secret (declare it under ` + "`secrets:`" + ` and write ${secrets.NAME})`,
		`5:3: warning L004: job "two" has no timeout, so the default of 30 minutes applies (add ` + "`timeout:`)",
		`5:3: warning L005: job "two" may fail and nothing checks whether it did (read jobs.two.status where it matters)`,
		`6:36: warning L003: job "three" already waits for one through two (remove it from dependsOn)`,
		`7:3: warning L007: job "four" retries a POST request (send the header Idempotency-Key, or set ` + "`retries: 0`)",
		`8:3: warning L008: job "five" may wait forever (add ` + "`timeout:`)",
	}
	if diff := cmp.Diff(want, lint(text)); diff != "" {
		t.Errorf("advice (-want +got):\n%s", diff)
	}
	if got := lint(text + "x-lint-ignore: [L001, L002, L003, L004, L005, L006, L007, L008]\n"); len(got) > 0 {
		t.Errorf("silenced, and still there: %q", got)
	}
	if got := lint("jobs: {a: {jbo: x}}\n"); len(got) != 1 || !strings.Contains(got[0], "E102") {
		t.Errorf("of what is not valid lint says %q", got)
	}
	seen := strings.Join(want, "\n")
	for code := range Advice() {
		if !strings.Contains(seen, code) {
			t.Errorf("nothing shows %s", code)
		}
	}
}

// TestAdviceIsDocumented: docs/recipes.md has a word on every code.
func TestAdviceIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	for code := range Advice() {
		if !strings.Contains(string(page), code+" ") {
			t.Errorf("the page says nothing of %s", code)
		}
	}
}
