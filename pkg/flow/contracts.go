package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Contract declares the inputs and outputs of a handler.
type Contract struct {
	Handler     string `json:"handler"`
	Description string `json:"description,omitempty"`
	// Version names the handler's code, for the cache.
	Version string `json:"version,omitempty"`
	Inputs  *Shape `json:"inputs,omitempty"`
	Outputs *Shape `json:"outputs,omitempty"`
}

// Contracts are the contracts of the known handlers, by name.
type Contracts struct {
	Handlers map[string]Contract
	// Complete means that no other handlers exist.
	Complete bool
}

// Shape is the part of a JSON value's schema that the checks understand.
type Shape struct {
	// Type is string, number, integer, boolean, array, object, or empty when it
	// may be anything.
	Type string `json:"type,omitempty"`
	// Keys are the keys of an object. Closed means that it has no other keys;
	// Required lists the keys it must have.
	Keys     map[string]*Shape `json:"keys,omitempty"`
	Closed   bool              `json:"closed,omitempty"`
	Required []string          `json:"required,omitempty"`
	Items    *Shape            `json:"items,omitempty"`
}

// ShapeOf reads the parts of a JSON Schema that it understands; nil when there is
// no schema.
func ShapeOf(schema json.RawMessage) *Shape {
	var s struct {
		Type       any
		Properties map[string]json.RawMessage
		Additional json.RawMessage `json:"additionalProperties"`
		Required   []string
		Items      json.RawMessage
	}
	if len(schema) == 0 || json.Unmarshal(schema, &s) != nil {
		return nil
	}
	out := &Shape{Required: s.Required}
	out.Type, _ = s.Type.(string)
	if len(s.Properties) > 0 {
		out.Keys = make(map[string]*Shape, len(s.Properties))
		for k, v := range s.Properties {
			out.Keys[k] = ShapeOf(v)
		}
	}
	out.Closed = out.Type == "object" && string(s.Additional) == "false"
	if len(s.Items) > 0 {
		out.Items = ShapeOf(s.Items)
	}
	return out
}

// Schema writes the shape as a JSON Schema, which ShapeOf can read; nil for a nil
// shape.
func (s *Shape) Schema() json.RawMessage {
	if s == nil {
		return nil
	}
	raw, err := json.Marshal(s.schema())
	if err != nil {
		return nil // cannot happen: it holds only texts
	}
	return raw
}

func (s *Shape) schema() map[string]any {
	out := map[string]any{}
	if s == nil {
		return out
	}
	if s.Type != "" {
		out["type"] = s.Type
	}
	if len(s.Keys) > 0 {
		keys := make(map[string]any, len(s.Keys))
		for k, v := range s.Keys {
			keys[k] = v.schema()
		}
		out["properties"] = keys
	}
	if s.Closed {
		out["additionalProperties"] = false
	}
	if len(s.Required) > 0 {
		out["required"] = s.Required
	}
	if s.Items != nil {
		out["items"] = s.Items.schema()
	}
	return out
}

// With returns a loader that also checks jobs against contracts.
func (l *Loader) With(c Contracts) *Loader {
	twin := *l
	twin.contracts = c
	return &twin
}

// FileContracts reads the contracts of the project: jobs/*.yaml, which have
// handler, description, version, inputs and outputs (both as in a recipe's inputs).
func (l *Loader) FileContracts() (map[string]Contract, Diagnostics) {
	var out Diagnostics
	all := map[string]Contract{}
	entries, err := fs.ReadDir(l.root.FS(), "jobs")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, Diagnostics{{Severity: SeverityError, Code: "E001", File: "jobs", Message: err.Error()}}
	}
	for _, e := range entries {
		if ext := path.Ext(e.Name()); ext != ".yaml" && ext != ".yml" {
			continue
		}
		file := path.Join("jobs", e.Name())
		text, err := l.read(file)
		if err != nil {
			out = append(out, Diagnostic{Severity: SeverityError, Code: "E001", File: file, Message: err.Error()})
			continue
		}
		d := &draft{source: &source{file: file, out: &out}, lang: l.lang, o: l.o, flow: &Flow{}}
		v := d.parse(text, l.o)
		if v == nil {
			continue
		}
		c := Contract{Handler: strings.TrimSuffix(e.Name(), path.Ext(e.Name()))}
		l.lang.contract.read(d, v, "the contract", &c)
		all[c.Handler] = c
	}
	return all, out.inOrder()
}

func contractPart() part[Contract] {
	return newPart("contract", "", []key[Contract]{
		{"handler", "The handler; by default the name of the file.", asText(func(c *Contract) *string { return &c.Handler })},
		{"description", "Shown to people.", asText(func(c *Contract) *string { return &c.Description })},
		{"version", "The version of the code; cached results of other versions are not reused.", as(schema{"type": []string{"string", "number"}, "minLength": 1}, func(c *Contract) *string { return &c.Version }, (*draft).version)},
		{"inputs", "The inputs of the handler by name.", as(declarations(), func(c *Contract) **Shape { return &c.Inputs }, func(d *draft, to **Shape, _, v *value) { *to = shapeOfInputs(d.readInputs(v)) })},
		{"outputs", "The names and types of its result.", as(results(), func(c *Contract) **Shape { return &c.Outputs }, func(d *draft, to **Shape, _, v *value) { *to = shapeOfInputs(d.readContract(v)) })},
	})
}

// version reads a text, or a number as it is written.
func (d *draft) version(to *string, _, v *value) {
	*to = v.text
	if _, isBool := v.scalar.(bool); v.kind != scalarValue || v.scalar == nil || isBool || v.text == "" {
		d.errorAt(v, "E104", "the version of a contract must be a text or a number", "")
	}
}

func shapeOfInputs(list []Input) *Shape {
	s := &Shape{Type: "object", Closed: true, Keys: map[string]*Shape{}}
	for i := range list {
		in := &list[i]
		types := map[string]string{"number": "number", "integer": "integer", "boolean": "boolean", "list": "array", "map": "object", "json": "", "duration": ""}
		t, special := types[in.Type]
		if !special {
			t = "string"
		}
		s.Keys[in.Name] = &Shape{Type: t}
		if in.Required && in.Default == nil {
			s.Required = append(s.Required, in.Name)
		}
	}
	return s
}

// checkContracts checks jobs against the contracts of their handlers, and returns
// the known shapes of the jobs' results.
func (d *draft) checkContracts(c Contracts) map[string]*Shape {
	outputs := make(map[string]*Shape)
	for i := range d.flow.Jobs {
		j, jd := &d.flow.Jobs[i], &d.jobs[i]
		if j.Handler == "transform" {
			outputs[j.Name] = transformed(j, jd)
		}
		if j.Handler == "" || j.Handler == "transform" {
			continue
		}
		known, there := c.Handlers[j.Handler]
		switch {
		case !there && c.Complete:
			hint := didYouMean(j.Handler, slices.Sorted(maps.Keys(c.Handlers)))
			d.errorAt(keyOf(jd, "job"), "E301", fmt.Sprintf("no worker has the handler %q", j.Handler), hint)
		case there:
			d.checkGivenInputs(j, jd, known.Inputs)
			outputs[j.Name] = known.Outputs
		}
	}
	return outputs
}

// checkResults checks the results that expressions read against the known shapes
// of these results.
func (d *draft) checkResults(outputs map[string]*Shape) {
	if len(outputs) == 0 {
		return
	}
	for i := range d.flow.Jobs {
		j, jd := &d.flow.Jobs[i], &d.jobs[i]
		if j.IteratePick == "" {
			continue
		}
		what := "handler " + j.Handler
		if j.Handler == "" {
			what = "flow " + j.Name
		}
		d.checkPath(keyOf(jd, "iteratePick"), splitDots(j.IteratePick), outputs[j.Name], what)
	}
	at := make(map[string]int, len(d.flow.Jobs))
	for i := range d.flow.Jobs {
		at[d.flow.Jobs[i].Name] = i
	}
	for i := range d.jobs {
		for _, u := range d.jobs[i].uses {
			d.checkReads(references(u), outputs, at)
		}
	}
	for i, k := range d.root.keys {
		if k.text == "outputs" {
			d.checkReads(references(use{v: d.root.items[i]}), outputs, at)
		}
	}
}

func splitDots(text string) []string { return strings.Split(text, ".") }

// keyOf returns the value of a key of a job, or the job's name when it has no such
// key.
func keyOf(jd *jobDraft, key string) *value {
	for i, k := range jd.body.keys {
		if k.text == key {
			return jd.body.items[i]
		}
	}
	return jd.name
}

func (d *draft) checkGivenInputs(j *Job, jd *jobDraft, want *Shape) {
	if want == nil || want.Type != "object" {
		return
	}
	at := keyOf(jd, "inputs")
	given, isMap := j.Inputs.Source().(map[string]any)
	if j.Inputs != nil && !isMap {
		return
	}
	names := slices.Sorted(maps.Keys(want.Keys))
	for i, k := range at.keys {
		if _, known := want.Keys[k.text]; !known && want.Closed && at != jd.name {
			d.errorAt(at.keys[i], "E302", fmt.Sprintf("handler %s has no input %q", j.Handler, k.text), hintOf(k.text, names, "inputs"))
			continue
		}
		if at != jd.name {
			d.checkConstant(at.items[i], want.Keys[k.text], k.text, j.Handler)
		}
	}
	for _, name := range want.Required {
		if _, there := given[name]; !there {
			d.errorAt(jd.name, "E303", fmt.Sprintf("handler %s requires the input %q, which job %q does not set", j.Handler, name, j.Name), "")
		}
	}
}

// checkConstant checks a value without expressions against its type. A text is
// accepted for a number when it is a duration.
func (d *draft) checkConstant(v *value, want *Shape, name, handler string) {
	if want == nil || want.Type == "" || v.kind == scalarValue && (v.scalar == nil || strings.Contains(v.text, "${")) {
		return
	}
	got := ""
	switch v.kind {
	case listValue:
		got = "array"
	case mapValue:
		got = "object"
	default:
		switch v.scalar.(type) {
		case string:
			got = "string"
			if _, err := parseDuration(v.text); err == nil {
				return
			}
		case bool:
			got = "boolean"
		case int:
			got = "integer"
		case float64:
			got = "number"
		}
	}
	if got != want.Type && (got != "integer" || want.Type != "number") {
		d.errorAt(v, "E304", fmt.Sprintf("input %q of handler %s must have the type %s, not %s", name, handler, want.Type, got), "")
	}
}

// checkReads checks the results that references read; index finds the jobs by
// name.
func (d *draft) checkReads(refs []place, outputs map[string]*Shape, index map[string]int) {
	for _, ref := range refs {
		if len(ref.Path) < 4 || ref.Path[0] != "jobs" || ref.Path[2] != "outputs" || ref.Guarded {
			continue
		}
		shape := outputs[ref.Path[1]]
		at, there := index[ref.Path[1]]
		if shape == nil || !there || d.flow.Jobs[at].IteratePick != "" {
			continue
		}
		path := ref.Path[3:]
		if j := &d.flow.Jobs[at]; j.Iterate != nil || j.Range != nil {
			if _, err := strconv.Atoi(path[0]); err != nil {
				continue
			}
			path = path[1:]
		}
		d.checkRead(ref, path, shape)
	}
}

func (d *draft) checkRead(ref place, path []string, shape *Shape) {
	if key, hint := missingIn(shape, path); key != "" {
		line, column := ref.v.place(max(0, strings.LastIndex(ref.v.text, "."+key)+1))
		d.report(SeverityError, "E305", line, column, len(key), fmt.Sprintf("the result of job %q has no %q", ref.Path[1], key), hint)
	}
}

func (d *draft) checkPath(at *value, path []string, shape *Shape, what string) {
	if key, hint := missingIn(shape, path); key != "" {
		d.errorAt(at, "E305", fmt.Sprintf("the result of %s has no %q", what, key), hint)
	}
}

// missingIn returns the first key of a path that cannot exist.
func missingIn(shape *Shape, path []string) (key, hint string) {
	for _, key := range path {
		if shape == nil || shape.Type != "object" {
			return "", ""
		}
		next, there := shape.Keys[key]
		switch {
		case !there && shape.Closed:
			return key, hintOf(key, slices.Sorted(maps.Keys(shape.Keys)), "its keys")
		case !there:
			return "", ""
		}
		shape = next
	}
	return "", ""
}
