package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every key of the language is described, read, refused when it is wrong, and
// known to editors. These tests go by the table of keys, which others hold
// equal to the parser and to the schema.

// partNames lists the parts of a definition that have keys of their own.
func partNames() []string {
	var names []string
	for _, p := range newLanguage().parts() {
		names = append(names, p.name)
	}
	slices.Sort(names)
	return names
}

// keysIn returns what is known of the keys of a part.
func keysIn(name string) []keyInfo {
	for _, p := range newLanguage().parts() {
		if p.name == name {
			return p.keys
		}
	}
	return nil
}

// occurrence is a key of the language in a file.
type occurrence struct {
	part     string
	key, val *value
	drop     func() // takes it out of the file
}

func (o occurrence) String() string { return o.part + "." + o.key.text }

// inside says of which part the values of a key are, and in which form: the
// part itself, a map or a list of them.
func inside(part, key string) string {
	switch part + "." + key {
	case "definition.jobs", "definition.onFailure", "definition.onSuccess", "definition.onCancel", "definition.finally", "job.onFailure", "step.onFailure":
		return "map of job"
	case "definition.flows":
		return "map of step"
	case "definition.inputs", "approval.inputs", "input.properties", "job.outputs", "step.outputs":
		return "map of input"
	case "input.items":
		return "input"
	case "job.iterate", "step.iterate":
		return "range"
	}
	if slices.Contains(partNames(), key) {
		return key
	}
	return ""
}

// occurrences finds the keys of a part in a value, the outer ones first.
func occurrences(part string, v *value) []occurrence {
	if element, isMap := strings.CutPrefix(part, "map of "); isMap {
		var out []occurrence
		for _, item := range v.items {
			if v.kind == listValue && item.kind == mapValue {
				out = append(out, occurrences(part, item)...) // the list form of flows
				continue
			}
			out = append(out, occurrences(element, item)...)
		}
		return out
	}
	if v.kind == listValue && part == "schedule" {
		var out []occurrence
		for _, item := range v.items {
			out = append(out, occurrences(part, item)...)
		}
		return out
	}
	if v.kind != mapValue || part == "range" && !isRange(v) {
		return nil
	}
	known := keysIn(part)
	var out []occurrence
	for i, k := range v.keys {
		if !slices.ContainsFunc(known, func(key keyInfo) bool { return key.name == k.text }) {
			continue
		}
		item := v.items[i]
		out = append(out, occurrence{part: part, key: k, val: item, drop: func() {
			at := slices.Index(v.keys, k)
			v.keys, v.items = slices.Delete(slices.Clone(v.keys), at, at+1), slices.Delete(slices.Clone(v.items), at, at+1)
		}})
		if in := inside(part, k.text); in != "" {
			out = append(out, occurrences(in, item)...)
		}
	}
	return out
}

// covers reports whether a place lies in a value.
func covers(v *value, line, column int) bool {
	if line == v.line && column == v.column {
		return true
	}
	if v.kind == scalarValue {
		last := v.line + strings.Count(v.text, "\n")
		return line > v.line && line <= last || line == v.line && column > v.column && column <= v.column+len(v.text)+1
	}
	for _, k := range v.keys {
		if covers(k, line, column) {
			return true
		}
	}
	return slices.ContainsFunc(v.items, func(item *value) bool { return covers(item, line, column) })
}

// everyKey returns all keys of the language, as part.key.
func everyKey() []string {
	var out []string
	for _, part := range partNames() {
		for _, k := range keysIn(part) {
			out = append(out, part+"."+k.name)
		}
	}
	return out
}

func parseFile(t *testing.T, file string) (text []byte, v *value) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text, (&source{file: file, out: &Diagnostics{}}).parse(text, Options{}.withDefaults())
}

// TestEveryKeyIsRefusedWhenItIsWrong: for every key there is a bad file with a
// message, and so a golden one, at the key or in its value.
func TestEveryKeyIsRefusedWhenItIsWrong(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]string{}
	l := loader(t, Options{})
	for _, file := range files {
		text, v := parseFile(t, file)
		if v == nil {
			continue
		}
		_, diags := l.LoadText(filepath.Base(file), text)
		all := occurrences("definition", v)
		for _, d := range diags {
			if d.Severity != SeverityError || d.Code == "E102" {
				continue
			}
			best := ""
			for _, o := range all { // inner ones come later
				if covers(o.key, d.Line, d.Column) || covers(o.val, d.Line, d.Column) {
					best = o.String()
				}
			}
			refused[best] = d.Message
		}
	}
	for _, key := range everyKey() {
		if refused[key] == "" {
			t.Errorf("no bad file has a message at %s", key)
		}
	}
}

// TestEveryKeyIsRead: every key stands in a good file, and without it the
// file would mean something else or would not be valid.
func TestEveryKeyIsRead(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	read := map[string]bool{}
	l := loader(t, Options{})
	for _, file := range files {
		text, v := parseFile(t, file)
		whole := encoded(t, l, file, text)
		var indented bytes.Buffer
		if err := json.Indent(&indented, whole, "", "  "); err != nil {
			t.Fatal(err)
		}
		golden(t, strings.TrimSuffix(file, ".yaml")+".golden", indented.String()+"\n")
		for i := range occurrences("definition", v) {
			_, twin := parseFile(t, file)
			o := occurrences("definition", twin)[i]
			o.drop()
			b, diags := l.LoadText(file, twin.json(t))
			if !diags.HasErrors() {
				without, err := b.Encode()
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Equal(whole, without) {
					t.Errorf("%s:%d: %s changes nothing", file, o.key.line, o)
					continue
				}
			}
			read[o.String()] = true
		}
	}
	for _, key := range everyKey() {
		if !read[key] {
			t.Errorf("no good file has %s", key)
		}
	}
}

func encoded(t *testing.T, l *Loader, name string, text []byte) []byte {
	t.Helper()
	b, diags := l.LoadText(name, text)
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	raw, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// json writes a value as JSON, its keys in their order.
func (v *value) json(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	put := func(x any) {
		raw, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(raw)
	}
	switch v.kind {
	case scalarValue:
		put(v.scalar)
	case listValue:
		for i, item := range v.items {
			b.WriteString([]string{"[", ","}[min(i, 1)])
			b.Write(item.json(t))
		}
		b.WriteString(map[bool]string{true: "[]", false: "]"}[len(v.items) == 0])
	case mapValue:
		for i, item := range v.items {
			b.WriteString([]string{"{", ","}[min(i, 1)])
			put(v.keys[i].text)
			b.WriteString(": ")
			b.Write(item.json(t))
		}
		b.WriteString(map[bool]string{true: "{}", false: "}"}[len(v.items) == 0])
	}
	return b.Bytes()
}

// TestEveryKeyIsDescribed: docs/recipes.md names every key, as code, in the
// section of its part.
func TestEveryKeyIsDescribed(t *testing.T) {
	t.Parallel()
	for _, key := range undocumented(t, newLanguage()) {
		t.Errorf("docs/recipes.md does not explain %s in the section of its part", key)
	}
}

// undocumented returns the keys that docs/recipes.md does not name.
func undocumented(t *testing.T, l *language) (missing []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, s := range regexp.MustCompile(`(?m)^##+ `).Split(string(text), -1) {
		title, body, _ := strings.Cut(s, "\n")
		sections[title] = body
	}
	where := map[string]string{
		"definition": "Recipe and flow", "defaults": "Recipe and flow", "retention": "Recipe and flow", "job": "Job", "step": "Job",
		"retries": "Job", "range": "Job", "artifacts": "Job", "input": "Inputs", "concurrency": "Limits", "rateLimit": "Limits",
		"cache": "Cache", "approval": "Waiting", "waitFor": "Waiting", "delay": "Waiting", "schedule": "Schedules",
	}
	code := regexp.MustCompile("`[^`\n]+`")
	for _, p := range l.parts() {
		body, there := sections[where[p.name]]
		if !there {
			t.Errorf("%s has no section %q", p.name, where[p.name])
			continue
		}
		prose := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(body, "")
		for _, k := range p.keys {
			word := regexp.MustCompile(fmt.Sprintf(`\b%s\b`, k.name))
			if !slices.ContainsFunc(code.FindAllString(prose, -1), word.MatchString) {
				missing = append(missing, p.name+"."+k.name)
			}
		}
	}
	return missing
}

// TestEveryKeyIsKnownToEditors: the schemas describe each key where it stands.
func TestEveryKeyIsKnownToEditors(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"recipe", "flow"} {
		raw, err := os.ReadFile("../../schemas/" + kind + ".schema.json")
		if err != nil {
			t.Fatal(err)
		}
		var schema any
		if err := json.Unmarshal(raw, &schema); err != nil {
			t.Fatal(err)
		}
		described := map[string]bool{}
		var walk func(x any)
		walk = func(x any) {
			switch x := x.(type) {
			case []any:
				for _, e := range x {
					walk(e)
				}
			case map[string]any:
				if p, ok := x["properties"].(map[string]any); ok {
					for _, name := range slices.Sorted(maps.Keys(p)) {
						if s, ok := p[name].(map[string]any); ok {
							described[name+": "+fmt.Sprint(s["description"])] = true
						}
					}
				}
				for _, e := range x {
					walk(e)
				}
			}
		}
		walk(schema)
		for _, part := range partNames() {
			for _, k := range keysIn(part) {
				if !described[k.name+": "+k.doc] {
					t.Errorf("schemas/%s.schema.json does not know %s.%s", kind, part, k.name)
				}
			}
		}
	}
}
