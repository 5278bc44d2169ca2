package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestValidateKnowsHandlers: the built-in ones, those of jobs/*.yaml, and those
// of a file.
func TestValidateKnowsHandlers(t *testing.T) {
	t.Parallel()
	dir := project(t, map[string]string{
		"recipes/r.yaml":  "jobs:\n  a: {job: exec, inputs: {comand: [ls]}}\n  b: {job: probe, inputs: {file: x}}\n  c: {job: debug, inputs: {n: '${b.widht}'}}\n  d: {job: elsewhere}\n",
		"jobs/probe.yaml": "inputs: {file: {type: string}}\noutputs: {width: integer}\n",
		"known.json":      `{"exec": {"handler": "exec"}, "debug": {"handler": "debug"}}`,
	})
	_, errs, code := typed(t.Context(), t, "", "--project", dir, "validate", "r")
	for _, want := range []string{`E302: handler exec has no input "comand" (did you mean "command"?)`, `E303: handler exec requires the input "command"`, `E305: the result of job "b" has no "widht" (did you mean "width"?)`} {
		if !strings.Contains(errs, want) {
			t.Errorf("validate does not say %q:\n%s", want, errs)
		}
	}
	if code != exitInvalid || strings.Contains(errs, "elsewhere") {
		t.Errorf("exit code %d:\n%s", code, errs)
	}
	_, errs, code = typed(t.Context(), t, "", "--project", dir, "validate", "r", "--contracts", filepath.Join(dir, "known.json"))
	if code != exitInvalid || !strings.Contains(errs, `E301: no worker has the handler "elsewhere"`) {
		t.Errorf("with a file: exit code %d:\n%s", code, errs)
	}
}
