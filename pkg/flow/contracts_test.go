package flow

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	cutInputs  = json.RawMessage(`{"type":"object","properties":{"parts":{"type":"array"},"at":{"type":"integer"},"name":{"type":"string"}},"required":["parts"],"additionalProperties":false}`)
	cutOutputs = json.RawMessage(`{"type":"object","properties":{"meta":{"type":"object","properties":{"ok":{"type":"boolean"}},"additionalProperties":false}},"additionalProperties":true}`)
)

// TestContracts: what is surely wrong is told with its place; what is not known
// is let be.
func TestContracts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "jobs"), 0o750); err != nil {
		t.Fatal(err)
	}
	const contract = "handler: probe\ninputs: {file: {type: file}, deep: {type: boolean, default: false}}\noutputs: {width: integer, height: integer}\n"
	if err := os.WriteFile(filepath.Join(dir, "jobs", "probe.yaml"), []byte(contract), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := NewLoader(Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	known, diags := l.FileContracts()
	if diags.HasErrors() {
		t.Fatal(diags.Err())
	}
	known["cut"] = Contract{
		Handler: "cut",
		Inputs:  ShapeOf(cutInputs),
		Outputs: ShapeOf(cutOutputs),
	}
	const good = `jobs:
  a: { job: probe, inputs: { file: x.mp4 } }
  b: { job: cut, inputs: { parts: "${[a.width]}", at: 5s } }
  c: { job: cut, iterate: [1], inputs: { parts: [], at: "${a.height}" } }
  d: { job: unknown, inputs: { zz: "${b.more}", x: "${c.0.meta.ok}", y: "${a.depth ?? 1}" } }
outputs: { ok: "${b.meta.ok}" }
`
	if _, diags := l.With(Contracts{Handlers: known}).LoadText("x.yaml", []byte(good)); diags.HasErrors() {
		t.Errorf("what is right is refused: %v", diags.Err())
	}
	const bad = `jobs:
  a: { job: probe, inputs: { fil: x.mp4 } }
  b: { job: cut, inputs: { parts: one, at: true, name: [1] } }
  c: { job: prob, inputs: { file: "${a.widht}" } }
  d: { job: cut, iterate: [1], iteratePick: meta.okay, inputs: { parts: [] } }
outputs: { ok: "${b.meta.no}" }
`
	_, diags = l.With(Contracts{Handlers: known, Complete: true}).LoadText("x.yaml", []byte(bad))
	var got []string
	for _, d := range diags {
		got = append(got, fmt.Sprintf("%d:%d %s %s (%s)", d.Line, d.Column, d.Code, d.Message, d.Hint))
	}
	want := []string{
		`2:3 E303 handler probe requires the input "file", which job "a" does not set ()`,
		`2:30 E302 handler probe has no input "fil" (did you mean "file"?)`,
		`3:35 E304 input "parts" of handler cut must have the type array, not string ()`,
		`3:44 E304 input "at" of handler cut must have the type integer, not boolean ()`,
		`3:56 E304 input "name" of handler cut must have the type string, not array ()`,
		`4:13 E301 no worker has the handler "prob" (did you mean "probe"?)`,
		`4:40 E305 the result of job "a" has no "widht" (did you mean "width"?)`,
		`5:45 E305 the result of handler cut has no "okay" (its keys are ok)`,
		`6:26 E305 the result of job "b" has no "no" (its keys are ok)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAContractHasAVersion, a text or a number as it is written.
func TestAContractHasAVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"version: 2": "2", "version: 1.10": "1.10", "version: '2026-11-25'": "2026-11-25", "version: v3": "v3", "description: cuts": "",
		"version: ''": "jobs/cut.yaml:2:10: error E104: the version of a contract must be a text or a number", "version:": "jobs/cut.yaml:2:9: error E104: the version of a contract must be a text or a number",
		"version: [1]": "jobs/cut.yaml:2:10: error E104: the version of a contract must be a text or a number", "version: true": "jobs/cut.yaml:2:10: error E104: the version of a contract must be a text or a number",
		"verson: 2": `jobs/cut.yaml:2:1: error E102: unknown key "verson" in the contract (did you mean "version"?)`,
	} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "jobs"), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "jobs", "cut.yaml"), []byte("handler: cut\n"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := NewLoader(Options{Root: dir})
		if err != nil {
			t.Fatal(err)
		}
		known, diags := l.FileContracts()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		got := known["cut"].Version
		if err := diags.Err(); err != nil {
			got, _, _ = strings.Cut(err.Error(), "\n")
		}
		if got != want {
			t.Errorf("%s gives %q, want %q", text, got, want)
		}
	}
}

// TestAShapeCanBeWrittenAsASchema and read again.
func TestAShapeCanBeWrittenAsASchema(t *testing.T) {
	t.Parallel()
	var none *Shape
	if got := none.Schema(); got != nil {
		t.Errorf("nothing is %s", got)
	}
	for _, s := range []*Shape{
		{},
		{Type: "string"},
		ShapeOf(cutInputs), ShapeOf(cutOutputs),
		{Type: "object", Closed: true, Required: []string{"a"}, Keys: map[string]*Shape{"a": {Type: "array", Items: &Shape{Type: "integer"}}, "b": {}}},
	} {
		if diff := cmp.Diff(s, ShapeOf(s.Schema())); diff != "" {
			t.Errorf("%s (-want +got)\n%s", s.Schema(), diff)
		}
	}
}
