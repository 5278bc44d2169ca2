// Package mutants tests the tests. A guard in the product code carries a mark;
// each mark names one small change to the code, a mutation, and some test must
// fail when that change is made.
//
// A mark is a comment on the line of the guard, or directly above that line:
//
//	if version != c.Version { // mutant: commit-version-check (false)
//
// The name is unique in the repository. The words in parentheses choose the
// mutation:
//
//   - (true), (false): the condition is always true or always false. The
//     condition is that of an if, for or case, the single result of a return,
//     or the value of an assignment.
//   - (without N): the condition loses operand N of its && or || chain,
//     counted from 1. N.M is operand M of operand N.
//   - (boundary N): comparison N of the condition includes its bound instead
//     of excluding it, or the reverse: < becomes <=, >= becomes >. N is 1 when
//     left out.
//   - (skip): the statement is not executed.
//   - (replace OLD by NEW): the tokens OLD, which occur once on the marked
//     line, become NEW. Use it only where no other word fits, because a
//     rename of OLD has to be repeated in the mark.
//
// Skipped statements and constant conditions keep their text behind a constant,
// so a mutation never leaves an unused variable or import.
//
// Lua scripts carry marks too, after --. They know (true), (false) and
// (boundary N), on the line of an if or while.
//
// The table in mutants_test.go says which tests must notice each mutation.
package mutants

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Mark is one marked guard.
type Mark struct {
	Name string
	Word string // which mutation: true, false, without, boundary, skip or replace
	Args string // what follows the word
	File string // path below the root, with slashes
	Line int    // line of the guard, from 1: the mark is there or above
}

// markForm is the text of a mark after its comment sign.
var markForm = regexp.MustCompile(`^mutant: ([a-z0-9]+(?:-[a-z0-9]+)*) \(([a-z]+)(?: (.+))?\)$`)

// own is this package, whose marks are examples.
const own = "internal/mutants"

// unmarked are directories without product code.
var unmarked = []string{"bin", "node_modules", "testdata"}

// Find returns the marks of all Go files (tests excepted) and Lua scripts below
// root, by file and line. It fails on a mark that is malformed.
func Find(root string) ([]Mark, error) {
	tree := os.DirFS(root)
	var marks []Mark
	err := fs.WalkDir(tree, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if strings.HasPrefix(name, ".") && name != "." || slices.Contains(unmarked, name) || file == own {
				return fs.SkipDir
			}
			return nil
		}
		if ext := path.Ext(name); ext != ".go" && ext != ".lua" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(tree, file)
		if err != nil {
			return err
		}
		found, err := marksIn(file, string(text))
		marks = append(marks, found...)
		return err
	})
	return marks, err
}

// marksIn returns the marks of one file.
func marksIn(file, text string) ([]Mark, error) {
	sign := "//"
	if path.Ext(file) == ".lua" {
		sign = "--"
	}
	var marks []Mark
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		before, rest, is := strings.Cut(line, sign+" mutant:")
		if !is {
			continue
		}
		m := markForm.FindStringSubmatch("mutant:" + strings.TrimRight(rest, " \t\r"))
		if m == nil {
			return nil, fmt.Errorf("%s:%d: expected a mark of the form %q", file, i+1, sign+" mutant: name (word)")
		}
		target := i
		if strings.TrimSpace(before) == "" { // the mark is above its guard, perhaps with other comments between
			for target < len(lines)-1 && strings.HasPrefix(strings.TrimSpace(lines[target]), sign) {
				target++
			}
		}
		marks = append(marks, Mark{Name: m[1], Word: m[2], Args: m[3], File: file, Line: target + 1})
	}
	return marks, nil
}

// Apply returns the text of the file with the mutation made.
func (m Mark) Apply(text string) (string, error) {
	mutate := mutateGo
	if path.Ext(m.File) == ".lua" {
		mutate = mutateLua
	}
	changed, err := mutate(m, text)
	if err != nil {
		return "", fmt.Errorf("%s:%d: mutant %s (%s): %w", m.File, m.Line, m.Name, strings.TrimSpace(m.Word+" "+m.Args), err)
	}
	return changed, nil
}
