package flow

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// readInputs reads declarations: a scalar is a constant.
func (d *draft) readInputs(v *value) []Input {
	if v.kind != mapValue {
		d.wrongType(v, "inputs", "a map")
		return nil
	}
	var out []Input
	for i, k := range v.keys {
		if d.name(k, "an input") {
			out = append(out, d.readInput(k, v.items[i]))
		}
	}
	return out
}

// declaration is an input being read, with the places of what it says.
type declaration struct {
	*Input
	name *value
	at   map[string]*value // by key
}

func (d *draft) readInput(k, v *value) Input {
	in := Input{Name: k.text}
	if v.kind != mapValue {
		in.Constant, in.Type = true, typeOf(v.plain())
		d.template(&in.Default)(k, v)
		return in
	}
	dc := declaration{Input: &in, name: k, at: map[string]*value{}}
	required := true
	fields := map[string]field{
		"label": d.text(&in.Label), "description": d.text(&in.Description), "placeholder": d.text(&in.Placeholder),
		"type": d.text(&in.Type), "pattern": d.text(&in.Pattern), "secret": d.boolean(&in.Secret),
		"required": d.boolean(&required), "default": d.template(&in.Default),
		"enum": func(_, v *value) {
			list, ok := v.plain().([]any)
			if !ok || len(list) == 0 {
				d.errorAt(v, "E104", "enum must be a list of at least one value", "")
			}
			in.Enum = list
		},
		"min": d.number(&in.Min), "max": d.number(&in.Max), "minLength": d.length(&in.MinLen), "maxLength": d.length(&in.MaxLen),
		"items":      func(_, v *value) { in.Items = d.readItems(v) },
		"properties": func(_, v *value) { in.Properties = d.readInputs(v) },
	}
	for name, f := range fields {
		fields[name] = func(k, v *value) { dc.at[name] = v; f(k, v) }
	}
	before := len(*d.out)
	d.read(v, "input "+strconv.Quote(k.text), fields)
	def := dc.at["default"]
	if in.Type == "" {
		in.Type = "string"
		if def != nil && def.scalar != "" && !strings.Contains(def.text, "${") {
			in.Type = typeOf(def.plain())
		}
	}
	in.Required = required && (def == nil || dc.at["required"] != nil)
	in.Emptiable = !required && in.Type == "string" && def != nil
	if d.checkType(dc) && len(*d.out) == before {
		d.checkBounds(dc)
		d.checkValues(dc)
	}
	return in
}

// readItems reads what the elements of a list are: a declaration, or a type.
func (d *draft) readItems(v *value) *Input {
	switch v.kind {
	case listValue:
		d.wrongType(v, "items", "a type or a declaration")
		return nil
	case scalarValue:
		v = &value{
			kind: mapValue, line: v.line, column: v.column,
			keys: []*value{{text: "type", line: v.line, column: v.column}}, items: []*value{v},
		}
	}
	item := d.readInput(&value{text: "items", line: v.line, column: v.column}, v)
	return &item
}

func (d *draft) checkType(in declaration) bool {
	if slices.Contains(InputTypes(), in.Type) {
		return true
	}
	hint := didYouMean(in.Type, InputTypes())
	if hint == "" {
		hint = "known are " + strings.Join(InputTypes(), ", ")
	}
	d.errorAt(in.at["type"], "E104", fmt.Sprintf("input %q has the unknown type %q", in.Name, in.Type), hint)
	in.Type = "string"
	return false
}

// bounded says for which types a bound is looked at.
func bounded() map[string][]string {
	texts := []string{"string", "duration", "date", "datetime", "file", "url", "secret", "json"}
	return map[string][]string{
		"min": {"number", "integer", "json"}, "max": {"number", "integer", "json"}, "pattern": texts,
		"minLength": append(texts, "list"), "maxLength": append(texts, "list"),
		"items": {"list", "json"}, "properties": {"map", "json"},
	}
}

// checkBounds refuses bounds that would never be looked at, and those that
// nothing keeps.
func (d *draft) checkBounds(in declaration) {
	types := bounded()
	for _, key := range []string{"min", "max", "pattern", "minLength", "maxLength", "items", "properties"} {
		if v := in.at[key]; v != nil && !slices.Contains(types[key], in.Type) {
			d.errorAt(v, "E105", fmt.Sprintf("%s means nothing for input %q of type %s", key, in.Name, in.Type), "it goes with "+strings.Join(types[key], ", "))
		}
	}
	if in.Min != nil && in.Max != nil && *in.Min > *in.Max {
		d.errorAt(in.at["max"], "E104", fmt.Sprintf("the max of input %q is less than its min", in.Name), "")
	}
	if in.MinLen != nil && in.MaxLen != nil && *in.MinLen > *in.MaxLen {
		d.errorAt(in.at["maxLength"], "E104", fmt.Sprintf("the maxLength of input %q is less than its minLength", in.Name), "")
	}
}

// checkValues holds the default and the enum against the declaration.
func (d *draft) checkValues(in declaration) {
	if in.Pattern != "" {
		if _, err := regexp.Compile(in.Pattern); err != nil {
			d.errorAt(in.at["pattern"], "E104", fmt.Sprintf("the pattern of input %q is no regular expression: %v", in.Name, err), "")
			in.Pattern = ""
		}
	}
	before := len(*d.out)
	fits := func(v any, at *value, what string) any {
		converted, err := in.convert(v)
		if err == nil {
			err = in.check(converted)
		}
		if err != nil {
			d.errorAt(at, "E104", fmt.Sprintf("%s of input %q does not fit: %v", what, in.Name, err), "")
		}
		return converted
	}
	enum := in.Enum
	in.Enum = nil
	for i, v := range enum {
		enum[i] = fits(v, in.at["enum"].items[i], "a value of the enum")
	}
	in.Enum = enum
	if c, constant := in.Default.Constant(); len(*d.out) == before && in.at["default"] != nil && constant && c != nil && c != "" {
		fits(c, in.at["default"], "the default")
	}
}

func typeOf(v any) string {
	switch v.(type) {
	case bool:
		return "boolean"
	case int, float64:
		return "number"
	case []any:
		return "list"
	case map[string]any:
		return "map"
	}
	return "string"
}
