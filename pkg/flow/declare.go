package flow

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/orchis-run/orchis/internal/expr"
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

// declaration is an input being read, with the places of its keys.
type declaration struct {
	*Input
	name *value
	body *value
	// mandatory is the value of required.
	mandatory bool
}

func inputPart() part[declaration] {
	return newPart("input", "A declaration of an input.", []key[declaration]{
		{"type", "The type; by default that of the default value, or string.", as(ref("type"), func(in *declaration) *string { return &in.Type }, (*draft).text)},
		{"default", "The value when none is given.", asTemplate(use{}, func(in *declaration) **expr.Template { return &in.Default })},
		{"required", "Whether it must be given; true without a default.", asBoolean(func(in *declaration) *bool { return &in.mandatory })},
		{"label", "The question for people.", asText(func(in *declaration) *string { return &in.Label })},
		{"description", "Shown to people.", asText(func(in *declaration) *string { return &in.Description })},
		{"placeholder", "An example for people.", asText(func(in *declaration) *string { return &in.Placeholder })},
		{"enum", "The only valid values.", as(schema{"type": "array", "minItems": 1}, func(in *declaration) *[]any { return &in.Enum }, (*draft).enum)},
		{"pattern", "A regular expression that texts must match.", asText(func(in *declaration) *string { return &in.Pattern })},
		{"min", "The smallest number.", asNumber(func(in *declaration) **float64 { return &in.Min })},
		{"max", "The largest number.", asNumber(func(in *declaration) **float64 { return &in.Max })},
		{"minLength", "The smallest number of characters or elements.", asLength(func(in *declaration) **int { return &in.MinLen })},
		{"maxLength", "The largest number of characters or elements.", asLength(func(in *declaration) **int { return &in.MaxLen })},
		{"items", "The elements of a list: a type, or a declaration.", as(one(ref("input"), ref("type")), func(in *declaration) **Input { return &in.Items }, func(d *draft, to **Input, _, v *value) { *to = d.readItems(v) })},
		{"properties", "The keys of a map.", asInputs(func(in *declaration) *[]Input { return &in.Properties })},
		{"secret", "Hidden from people where possible.", asBoolean(func(in *declaration) *bool { return &in.Secret })},
	})
}

// enum reads a list of at least one value.
func (d *draft) enum(to *[]any, _, v *value) {
	list, ok := v.plain().([]any)
	if !ok || len(list) == 0 {
		d.errorAt(v, "E104", "enum must be a list of at least one value", "")
	}
	*to = list
}

func (d *draft) readInput(k, v *value) Input {
	in := Input{Name: k.text}
	if v.kind != mapValue {
		in.Constant, in.Type = true, typeOf(v.plain())
		d.template(&in.Default, k, v)
		return in
	}
	dc := declaration{Input: &in, name: k, body: v, mandatory: true}
	before := len(*d.out)
	d.lang.input.read(d, v, "input "+strconv.Quote(k.text), &dc)
	def := v.get("default")
	if in.Type == "" {
		in.Type = "string"
		if def != nil && def.scalar != "" && !strings.Contains(def.text, "${") {
			in.Type = typeOf(def.plain())
		}
	}
	in.Required = dc.mandatory && (def == nil || v.get("required") != nil)
	in.Emptiable = !dc.mandatory && in.Type == "string" && def != nil
	if d.checkType(dc) && len(*d.out) == before {
		d.checkBounds(dc)
		d.checkValues(dc)
	}
	return in
}

// readItems reads the declaration, or the type, of the elements of a list.
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
	d.errorAt(in.body.get("type"), "E104", fmt.Sprintf("input %q has the unknown type %q", in.Name, in.Type), hint)
	in.Type = "string"
	return false
}

// bounded lists the types to which each bound applies.
func bounded() map[string][]string {
	texts := []string{"string", "duration", "date", "datetime", "file", "url", "secret", "json"}
	return map[string][]string{
		"min": {"number", "integer", "json"}, "max": {"number", "integer", "json"}, "pattern": texts,
		"minLength": append(texts, "list"), "maxLength": append(texts, "list"),
		"items": {"list", "json"}, "properties": {"map", "json"},
	}
}

// checkBounds refuses bounds that do not apply to the type and bounds that no
// value satisfies.
func (d *draft) checkBounds(in declaration) {
	types := bounded()
	for _, key := range []string{"min", "max", "pattern", "minLength", "maxLength", "items", "properties"} {
		if v := in.body.get(key); v != nil && !slices.Contains(types[key], in.Type) {
			d.errorAt(v, "E105", fmt.Sprintf("%s has no effect on input %q of type %s", key, in.Name, in.Type), "use it with "+strings.Join(types[key], ", "))
		}
	}
	if in.Min != nil && in.Max != nil && *in.Min > *in.Max {
		d.errorAt(in.body.get("max"), "E104", fmt.Sprintf("the max of input %q is less than its min", in.Name), "")
	}
	if in.MinLen != nil && in.MaxLen != nil && *in.MinLen > *in.MaxLen {
		d.errorAt(in.body.get("maxLength"), "E104", fmt.Sprintf("the maxLength of input %q is less than its minLength", in.Name), "")
	}
}

// checkValues checks the default and the enum against the declaration.
func (d *draft) checkValues(in declaration) {
	if in.Pattern != "" {
		if _, err := regexp.Compile(in.Pattern); err != nil {
			d.errorAt(in.body.get("pattern"), "E104", fmt.Sprintf("the pattern of input %q is not a valid regular expression: %s", in.Name, strings.TrimPrefix(err.Error(), "error parsing regexp: ")), "")
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
			d.errorAt(at, "E104", fmt.Sprintf("%s of input %q is not valid: %v", what, in.Name, err), "")
		}
		return converted
	}
	enum := in.Enum
	in.Enum = nil
	for i, v := range enum {
		enum[i] = fits(v, in.body.get("enum").items[i], "a value of the enum")
	}
	in.Enum = enum
	if c, constant := in.Default.Constant(); len(*d.out) == before && in.body.get("default") != nil && constant && c != nil && c != "" {
		fits(c, in.body.get("default"), "the default")
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
