package flow

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// schema is a JSON Schema, or a piece of one.
type schema = map[string]any

// The schemas of values.
func ref(name string) schema { return schema{"$ref": "#/$defs/" + name} }
func typed(t string) schema  { return schema{"type": t} }
func least(n int) schema     { return schema{"type": "integer", "minimum": n} }
func one(of ...any) schema   { return schema{"anyOf": of} }
func listOf(x any) schema    { return schema{"type": "array", "items": x} }
func mapOf(x any) schema {
	return schema{"type": "object", "additionalProperties": x}
}

func words(list ...string) schema {
	all := make([]any, len(list))
	for i, w := range list {
		all[i] = w
	}
	return schema{"enum": all}
}
func anything() schema { return schema{} }

// declarations is the schema of a map of inputs, and results that of a map of the
// declared outputs.
func declarations() schema { return mapOf(one(ref("input"), ref("constant"))) }
func results() schema      { return mapOf(one(ref("type"), ref("input"))) }

// schema describes a map with known keys.
func (p partInfo) schema() schema {
	properties := schema{}
	for _, k := range p.keys {
		s := maps.Clone(k.schema)
		s["description"] = k.doc
		properties[k.name] = s
	}
	o := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if p.doc != "" {
		o["description"] = p.doc
	}
	if len(p.required) > 0 {
		o["required"] = p.required
	}
	return o
}

// Schema returns the JSON Schema (draft 2020-12) of recipes, flows or
// contracts, for editors. It cannot express dependencies and expressions; the
// loader checks those.
func Schema(kind Kind) ([]byte, error) { return newLanguage().schema(kind) }

func (l *language) schema(kind Kind) ([]byte, error) {
	var s schema
	switch kind {
	case KindRecipe, KindFlow:
		s = l.definition.info().schema()
		s["patternProperties"] = schema{"^x-": anything()}
		if s["required"] = []string{"jobs"}; kind == KindRecipe {
			delete(s, "required")
			s["oneOf"] = []any{schema{"required": []string{"flows"}}, schema{"required": []string{"jobs"}}}
		}
	case KindContract:
		s = l.contract.info().schema()
	default:
		return nil, fmt.Errorf("there is no schema %q: write recipe, flow or contract", kind)
	}
	s["$schema"], s["$id"] = "https://json-schema.org/draft/2020-12/schema", "https://orchis.run/schemas/"+string(kind)+".schema.json"
	s["title"], s["$defs"] = "Orchis "+string(kind), l.schemaDefs()
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

// schemaDefs returns the schemas to which others refer: of parts and of values.
func (l *language) schemaDefs() schema {
	defs := valueSchemas()
	for _, p := range l.parts() {
		defs[p.name] = p.schema()
	}
	delete(defs, "definition")
	defs["defaultCache"] = l.cache.without("key").info().schema()
	defs["elements"] = schema{"type": "object", "not": schema{"minProperties": 1, "propertyNames": words(l.numbers.names()...)}}
	for _, p := range []*part[parsedJob]{&l.job, &l.step} {
		with := schema{}
		for _, row := range l.jobs {
			if _, there := p.index[row.name]; there && row.with != "" {
				with[row.name] = []string{row.with}
			}
		}
		defs[p.name].(schema)["dependentRequired"] = with
	}
	return defs
}

// valueSchemas are the schemas of values that have no keys of their own.
func valueSchemas() schema {
	types := slices.Sorted(slices.Values(InputTypes()))
	return schema{
		"scalar":   schema{"type": []string{"string", "number", "boolean"}},
		"constant": schema{"type": []string{"string", "number", "boolean", "array", "null"}},
		"texts":    mapOf(ref("scalar")),
		"name":     schema{"type": "string", "pattern": nameForm.String(), "maxLength": 64},
		"type":     words(types...),
		"duration": one(schema{"type": "string", "pattern": `^[0-9.]+(ns|us|µs|ms|s|m|h|d|w|y)([0-9.]+(ns|us|µs|ms|s|m|h|d|w))*$|^0$`, "description": "90s, 1h30m, 2d"}, schema{"type": "integer", "minimum": 0, "description": "milliseconds"}),
		"priority": one(words("low", "normal", "high"), schema{"type": "integer", "minimum": 0, "maximum": 9}),
		"hook":     schema{"type": "object", "properties": schema{"recover": one(typed("boolean"), ref("job"))}, "additionalProperties": ref("job"), "propertyNames": ref("jobName")},
		"jobs":     schema{"type": "object", "additionalProperties": ref("job"), "propertyNames": ref("jobName")},
		"lateHook": ref("jobs"),
		"steps":    schema{"type": "object", "additionalProperties": one(ref("step"), typed("null")), "propertyNames": ref("jobName")},
		"jobName":  schema{"allOf": []any{ref("name"), schema{"not": words(reserved()...)}}},
	}
}
