package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

var pathParameter = regexp.MustCompile(`\{([a-z]+)(\.\.\.)?\}`)

// OpenAPI describes the API. It is made of the routes themselves, so that it
// cannot say something else than they do.
func (s *Server) OpenAPI() ([]byte, error) {
	paths := map[string]map[string]any{}
	for i := range s.routes {
		rt := &s.routes[i]
		name := strings.ReplaceAll(rt.path, "...}", "}")
		op, err := rt.operation()
		if err != nil {
			return nil, err
		}
		if paths[name] == nil {
			paths[name] = map[string]any{}
		}
		paths[name][strings.ToLower(rt.method)] = op
	}
	doc := map[string]any{
		"openapi": "3.1.0",
		"info":    map[string]any{"title": "Orchis", "version": s.cfg.Version, "description": "Runs of recipes: submit, look, control. Times are Unix milliseconds.", "license": map[string]any{"name": "MIT"}},
		"servers": []any{map[string]any{"url": s.cfg.BasePath + "/"}},
		"paths":   paths,
		"components": map[string]any{"securitySchemes": map[string]any{"token": map[string]any{
			"type": "http", "scheme": "bearer", "description": "the text of ORCHIS_API_TOKEN, when it is set",
		}}},
		"security": []any{map[string]any{}, map[string]any{"token": []any{}}},
	}
	return json.MarshalIndent(doc, "", "  ")
}

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) {
	raw, err := s.OpenAPI()
	if err != nil {
		write(w, http.StatusInternalServerError, nil)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(raw)
}

func (rt *route) operation() (map[string]any, error) {
	op := map[string]any{"summary": rt.summary, "operationId": operationID(rt)}
	parameters := []any{}
	for _, m := range pathParameter.FindAllStringSubmatch(rt.path, -1) {
		parameters = append(parameters, map[string]any{"name": m[1], "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
	}
	for _, q := range rt.query {
		parameters = append(parameters, map[string]any{"name": q[0], "in": "query", "description": q[1], "schema": map[string]any{"type": "string"}})
	}
	if rt.submits {
		parameters = append(parameters, map[string]any{"name": "traceparent", "in": "header", "description": "the W3C trace of which the run is to be a part", "schema": map[string]any{"type": "string"}})
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	if rt.body != nil {
		schema, err := schemaOf(rt.body)
		if err != nil {
			return nil, err
		}
		op["requestBody"] = map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": schema}}}
	}
	bad, err := schemaOf(failure{})
	if err != nil {
		return nil, err
	}
	replies := map[string]any{"default": map[string]any{"description": "What is wrong", "content": map[string]any{"application/json": map[string]any{"schema": bad}}}}
	op["responses"] = replies
	switch {
	case rt.stream:
		replies["200"] = map[string]any{"description": "events named changes, with ids that Last-Event-ID takes, and end", "content": map[string]any{"text/event-stream": map[string]any{}}}
	case rt.reply == nil:
		replies["204"] = map[string]any{"description": "done"}
	default:
		schema, err := schemaOf(rt.reply)
		if err != nil {
			return nil, err
		}
		replies["200"] = map[string]any{"description": "done", "content": map[string]any{"application/json": map[string]any{"schema": schema}}}
	}
	return op, nil
}

func operationID(rt *route) string {
	words := strings.FieldsFunc(pathParameter.ReplaceAllString(strings.TrimPrefix(rt.path, "/api/v1"), "one"), func(r rune) bool { return r == '/' })
	return strings.ToLower(rt.method) + "-" + strings.Join(words, "-")
}

// schemaOf is the JSON Schema of a value's type. Types that write themselves in
// another way are any value, but for the record of a run.
func schemaOf(v any) (*jsonschema.Schema, error) {
	record := &jsonschema.Schema{Type: "object", Required: []string{"id", "state", "recipe", "created", "counts"}, Properties: map[string]*jsonschema.Schema{}}
	for _, name := range []string{"id", "recipe", "definition", "submittedBy"} {
		record.Properties[name] = &jsonschema.Schema{Type: "string"}
	}
	for _, name := range []string{"created", "started", "ended", "partition", "version"} {
		record.Properties[name] = &jsonschema.Schema{Type: "integer"}
	}
	states := make([]any, len(run.States()))
	for i, st := range run.States() {
		states[i] = string(st)
	}
	record.Properties["state"] = &jsonschema.Schema{Enum: states}
	anyJSON := &jsonschema.Schema{}
	s, err := jsonschema.ForType(reflect.TypeOf(v), &jsonschema.ForOptions{
		IgnoreInvalidTypes: true,
		TypeSchemas: map[reflect.Type]*jsonschema.Schema{
			reflect.TypeFor[flow.Bundle](): {Type: "object", Required: []string{"root", "flows"}}, reflect.TypeFor[flow.Input](): {Type: "object", Required: []string{"name", "type"}},
			reflect.TypeFor[run.Run](): record, reflect.TypeFor[json.RawMessage](): anyJSON, reflect.TypeFor[[]byte](): anyJSON,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("describe %T: %w", v, err)
	}
	loosen(s)
	return s, nil
}

// loosen lets there be more properties than are known, and null for lists that
// are empty: readers must not stumble over what is added later.
func loosen(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	s.AdditionalProperties = nil
	for _, p := range s.Properties {
		loosen(p)
	}
	loosen(s.Items)
}
