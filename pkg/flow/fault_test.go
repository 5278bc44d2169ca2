package flow

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestWhatIsNotYAMLIsToldWithItsPlace, also where the library knows it not.
func TestWhatIsNotYAMLIsToldWithItsPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{a: b, c":         "1:1 this { is not closed",
		"jobs: {a: b, c\n": "1:7 this { is not closed",
		"jobs:\n  a: { job: debug, inputs: { x: 1 }\n  b: { job: debug }\n": "2:6 this { is not closed",
		"jobs:\n  a: { job: debug,\n    inputs: { x: [1, 2 }\n":             "3:24 this } cannot close the [ of line 3, column 18",
		"jobs:\n  a: [1, 2\n  b: 3\n":                                       "2:6 this [ is not closed",
		"jobs:\n  a: { job: debug, inputs: [1, 2 }\n  b: 1\n":               "2:34 this } cannot close the [ of line 2, column 28",
		"jobs:\n  a: { job: debug } }\n":                                    "2:21 this } closes nothing",
		"jobs:\n  a: ]\n":                                                   "2:6 this ] closes nothing",
		"jobs:\n  a: { job: debug inputs: 1 }\n":                            "2:19 a comma is missing before inputs",
		"jobs:\n  a: { job: \"debug\" inputs: 1 }\n":                        "2:21 a comma is missing before this",
		"jobs:\n  a: [[1] [2]]\n":                                           "2:11 a comma is missing before this",
		"jobs:\n  a: {job: debug, , x: 1}\n":                                "2:19 there is nothing before this comma",
		"jobs:\n  a: \"it's {\n  b: 1\n":                                    "2:6 this \" is not closed",
		"jobs:\n  # it's { not here\n  a: |\n    [ {\n  b: echo ${x} [\n  c: 'it''s {'\n  d: &x { a: 1\n": "7:9 this { is not closed",
		"ä: { ö: ü\n":                                  "1:4 this { is not closed",
		"jobs:\n  a: { x: ${y} }\n":                    "2:11 a text that begins with $ cannot contain { without quotes (quote the value that holds ${...})",
		"jobs:\n  a: 1\n b: 2\n":                       "3:2 the indentation of this line matches no line above",
		"jobs:\n  - a\n  b: 1\n":                       "3:3 the indentation of this line matches no line above",
		"jobs:\n  - a: 1\n    b:\n      c: 1\n   d: 1": "5:4 the indentation of this line matches no line above",
		"jobs:\n  a: b: c\n":                           "2:3 mapping values are not allowed in this context",
		"jobs:\n  a: *nope\n":                          "2:6 unknown anchor 'nope' referenced",
		"a: x\n  y\x01z\n":                             "2:4 control characters are not allowed",
	} {
		var diags Diagnostics
		s := &source{file: "f", out: &diags}
		s.parse([]byte(text), Options{}.withDefaults())
		if len(diags) != 1 {
			t.Errorf("%q gives %v", text, diags)
			continue
		}
		d := diags[0]
		got := fmt.Sprintf("%d:%d %s", d.Line, d.Column, strings.TrimPrefix(d.Message, "this is not YAML: "))
		if d.Hint != "" {
			got += " (" + d.Hint + ")"
		}
		if got != want || d.Code != "E002" {
			t.Errorf("%q gives %s %s, want %s", text, d.Code, got, want)
		}
	}
}

// TestNoFaultIsFoundInWhatIsRight: in none of the files of the project.
func TestNoFaultIsFoundInWhatIsRight(t *testing.T) {
	t.Parallel()
	n := 0
	for _, pattern := range []string{"../../recipes/*.yaml", "../../flows/*.yaml", "../../flows/*/*.yaml", "../../tests/*/*.yaml", "../../deploy/*.yaml", "../../deploy/*/*.yaml", "testdata/good/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if f := findFault(strings.Split(string(text), "\n")); f != nil {
				t.Errorf("%s:%d:%d: %s", file, f.line, f.column, f.message)
			}
			n++
		}
	}
	if n < 40 {
		t.Errorf("only %d files were looked at", n)
	}
}

// TestAFaultHasAPlaceInTheText, whatever the text.
func TestAFaultHasAPlaceInTheText(t *testing.T) {
	t.Parallel()
	word := rapid.SampledFrom([]string{"{", "}", "[", "]", ",", ": ", ":", "\"", "'", "\\", "\n", "\n  ", "\n    ", "- ", "#", " ", "a", "${", "|", ">", "&x", "!y", "*z", "? ", "ä", "\t", "\r\n"})
	rapid.Check(t, func(t *rapid.T) {
		lines := strings.Split(strings.Join(rapid.SliceOfN(word, 0, 40).Draw(t, "words"), ""), "\n")
		f := findFault(lines)
		if f == nil {
			return
		}
		if f.line < 1 || f.line > len(lines) || f.column < 1 || f.column > len([]rune(lines[f.line-1]))+1 {
			t.Fatalf("%q has a fault at %d:%d", lines, f.line, f.column)
		}
	})
}
