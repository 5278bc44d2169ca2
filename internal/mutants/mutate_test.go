package mutants

import (
	"strings"
	"testing"
)

// TestMark_Apply mutates the line that follows the mark.
func TestMark_Apply(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, file, mutation, before, after string }{
		{"if", "a.go", "false", "if a {\nb()\n}", "if false && (a) {\nb()\n}"},
		{"if with init", "a.go", "true", "if x := f(); x > 1 {\nb()\n}", "if x := f(); true || (x > 1) {\nb()\n}"},
		{"case", "a.go", "false", "switch {\ncase a || b:\n}", "switch {\ncase false && (a || b):\n}"},
		{"else if", "a.go", "true", "if a {\n} else if b {\n}", "if a {\n} else if true || (b) {\n}"},
		{"return", "a.go", "false", "return a", "return false && (a)"},
		{"assignment", "a.go", "without 2", "x = a && b && c", "x = a && (true || b) && c"},
		{"first operand", "a.go", "without 1", "if a() || b {\n}", "if (false && a()) || b {\n}"},
		{"operand of an operand", "a.go", "without 2.1", "if a && (b || c) {\n}", "if a && ((false && b) || c) {\n}"},
		{"condition over several lines", "a.go", "without 2", "if a &&\nb {\n}", "if a &&\n(true || b) {\n}"},
		{"first boundary", "a.go", "boundary", "for a < b {\n}", "for a <= b {\n}"},
		{"second boundary", "a.go", "boundary 2", "if a > 0 && b >= 0 {\n}", "if a > 0 && b > 0 {\n}"},
		{"skip a call", "a.go", "skip", "f(\na)", "if false { f(\na) }"},
		{"skip a whole if", "a.go", "skip", "if a {\nreturn\n}", "if false { if a {\nreturn\n} }"},
		{"replace a literal", "a.go", `replace "SET" by "SETNX"`, `do("SET", key)`, `do("SETNX", key)`},
		{"replace tokens", "a.go", "replace += by = 0 *", "at += n", "at = 0 * n"},
		{"replace a whole name", "a.go", "replace conn by client", "connect(a.conn)", "connect(a.client)"},
		{"Lua if", "a.lua", "true", "if a == 0 then b() end", "if true or ( a == 0 ) then b() end"},
		{"Lua while", "a.lua", "boundary 2", "while a <= b and c < d do", "while a <= b and c <= d do"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			text, marked := inFile(tc.file, tc.mutation, tc.before)
			m := onlyMark(t, tc.file, text)
			if strings.HasPrefix(tc.before, "switch") || strings.Contains(tc.before, "else if") {
				m.Line++ // the guard is on the second line
			}
			got, err := m.Apply(text)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Replace(text, marked, strings.Replace(marked, tc.before, tc.after, 1), 1); got != want {
				t.Errorf("want\n%s\ngot\n%s", want, got)
			}
		})
	}
}

func TestMark_ApplyRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ mutation, text, want string }{
		{"false", "f()", "no condition"},
		{"without 3", "if a && b {\n}", "there are 2 operands of &&, not 3"},
		{"without x", "if a && b {\n}", "number of an operand"},
		{"without 1", "if a {\n}", "there is no operator"},
		{"boundary 2", "if a < b {\n}", "there are 1 comparisons"},
		{"boundary 0", "if a < b {\n}", "expected a number"},
		{"skip", "x := f()", "declaration"},
		{"replace x by y", "f(z)", "does not occur"},
		{"replace x by y", "f(x, x)", "more than once"},
		{"replace x", "f(x)", "replace OLD by NEW"},
		{"invert", "if a {\n}", "unknown mutation"},
	} {
		t.Run(tc.mutation+" "+tc.text, func(t *testing.T) {
			t.Parallel()
			text, _ := inFile("a.go", tc.mutation, tc.text)
			m := onlyMark(t, "a.go", text)
			if _, err := m.Apply(text); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an error with %q, got %v", tc.want, err)
			}
		})
	}
}

func TestMark_Form(t *testing.T) {
	t.Parallel()
	text := "package a\n\nfunc f() {\n\tg() // mutant: trailing (skip)\n\t// mutant: above (skip)\n\t// mutant: above-too (skip)\n\t// why\n\tg()\n}\n"
	marks, err := marksIn("a.go", text)
	if err != nil {
		t.Fatal(err)
	}
	want := []Mark{
		{Name: "trailing", Word: "skip", File: "a.go", Line: 4},
		{Name: "above", Word: "skip", File: "a.go", Line: 8},
		{Name: "above-too", Word: "skip", File: "a.go", Line: 8},
	}
	for i := range want {
		if i >= len(marks) || marks[i] != want[i] {
			t.Fatalf("want %v, got %v", want, marks)
		}
	}
	for _, bad := range []string{"// mutant: no-mutation", "// mutant: Capital (skip)", "// mutant: two words (skip)", "// mutant: text-after (skip) because"} {
		if _, err := marksIn("a.go", "package a\n"+bad+"\n"); err == nil {
			t.Errorf("%s: expected an error", bad)
		}
	}
}

// inFile returns a file with a mark above some statements, and the part of it
// that holds them.
func inFile(file, mutation, statements string) (text, marked string) {
	if strings.HasSuffix(file, ".lua") {
		text = "-- mutant: guard (" + mutation + ")\n" + statements + "\n"
		return text, text
	}
	marked = "// mutant: guard (" + mutation + ")\n" + statements + "\n"
	return "package a\n\nfunc f() bool {\n" + marked + "}\n", marked
}

// onlyMark returns the one mark of a text.
func onlyMark(t *testing.T, file, text string) Mark {
	t.Helper()
	marks, err := marksIn(file, text)
	if err != nil || len(marks) != 1 {
		t.Fatalf("want one mark, got %v, %v", marks, err)
	}
	return marks[0]
}
