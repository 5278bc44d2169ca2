package flow

import (
	"path"
	"slices"
	"strings"

	"github.com/orchis-run/orchis/internal/expr"
)

// noPaste refuses expressions in text that a shell will read: a value with a
// quote or a semicolon in it would become a command.
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
		return // told where it is compiled
	}
	if _, constant := t.Constant(); !constant {
		d.errorAt(line, "E203", "values are never put into a line that a shell reads", `write the command as a list of words, [cp, "${inputs.from}", out], or give the value by env and read "$NAME" in the line`)
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
