package flow

import (
	"path"
	"slices"
	"strings"

	"github.com/orchis-run/orchis/internal/expr"
)

// noPaste refuses expressions in a text that a shell will read: a value that
// contains a quote or a semicolon could become a command.
func (d *draft) noPaste(j *Job, body *value) {
	if j.Handler != "exec" {
		return
	}
	command := body.get("inputs").get("command")
	if command == nil {
		return
	}
	line := command
	if command.kind == listValue {
		if line = script(command.items); line == nil {
			return
		}
	}
	if line.kind != scalarValue {
		return
	}
	t, err := expr.ParseTemplate(line.text)
	if err != nil {
		return // reported when it was parsed
	}
	if _, constant := t.Constant(); !constant {
		d.errorAt(line, "E203", "expressions are not allowed in a line that a shell reads", `write the command as a list of words, [cp, "${inputs.from}", out], or pass the value in env and read "$NAME" in the line`)
	}
}

// script returns the line of a command like [sh, -c, line].
func script(words []*value) *value {
	if len(words) < 3 || !slices.Contains([]string{"sh", "bash", "dash", "ash", "zsh", "ksh"}, path.Base(words[0].text)) {
		return nil
	}
	for i, w := range words[1 : len(words)-1] {
		if strings.HasPrefix(w.text, "-") && !strings.HasPrefix(w.text, "--") && strings.Contains(w.text, "c") {
			return words[i+2]
		}
	}
	return nil
}
