package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/internal/jsontext"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// Results are kept as JSON, as the handlers wrote them. They are decoded only
// where an expression reads them.

// tidy returns a result as it is kept: without space between its tokens, in
// valid UTF-8. It keeps the memory of raw if it can. No result is null.
func tidy(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return json.RawMessage("null"), nil
	}
	valid, compact := jsontext.Check(raw)
	if !valid {
		_, err := expr.Decode(raw)
		return nil, err
	}
	if !compact {
		raw = jsontext.AppendCompact(nil, raw)
	}
	if !utf8.Valid(raw) {
		raw = bytes.ToValidUTF8(raw, []byte("\ufffd"))
	}
	return raw, nil
}

// resultOf returns the result of a node that has one. It is made once, so that
// its parts are decoded once.
func (r *Run) resultOf(n *node) *expr.Result {
	if n.result != nil {
		return n.result
	}
	if n.iterated() {
		n.result = expr.NewListResult(r.itemResults(n))
		return n.result
	}
	raw, ok := r.outputs[n.unit.path()]
	if !ok {
		return expr.NewResult([]byte("null"))
	}
	n.result = expr.NewResult(raw)
	return n.result
}

// itemResults returns the results of all items in their order; nil for those
// whose failure was tolerated.
func (r *Run) itemResults(n *node) [][]byte {
	list := make([][]byte, n.unit.rec.Items)
	item := unit{node: n}
	for i := range list {
		item.index = i
		list[i] = r.outputs[item.path()]
	}
	return list
}

// decode reads a result; results are checked when they arrive.
func decode(raw json.RawMessage) any {
	v, err := expr.Decode(raw)
	if err != nil {
		return nil
	}
	return v
}

// checkOutputs checks a result against what the job declares.
func checkOutputs(declared []flow.Input, raw json.RawMessage) *run.Error {
	if len(declared) == 0 {
		return nil
	}
	if raw[0] != '{' {
		return &run.Error{Code: run.CodeOutputs, Message: "the job declares outputs, so its result must be a map"}
	}
	result := expr.NewResult(raw)
	for i := range declared {
		d := &declared[i]
		text, ok := result.Raw(d.Name)
		switch {
		case !ok && d.Required:
			return &run.Error{Code: run.CodeOutputs, Message: fmt.Sprintf("the result has no %q, which the job declares", d.Name)}
		case ok && text[0] != 'n' && !hasType(d.Type, text):
			return &run.Error{Code: run.CodeOutputs, Message: fmt.Sprintf("output %q of the result is not of type %s", d.Name, d.Type)}
		}
	}
	return nil
}

// hasType reports whether JSON that is not null is of a declared type.
func hasType(t string, raw []byte) bool {
	switch raw[0] {
	case '[':
		return t == "list" || t == "json"
	case '{':
		return t == "map" || t == "json"
	case 't', 'f':
		return t == "boolean" || t == "json"
	}
	if raw[0] != '"' {
		switch decode(raw).(type) {
		case int:
			return t == "number" || t == "integer" || t == "json" || t == "duration"
		case float64:
			return t == "number" || t == "json" || t == "duration"
		} // a number too large to compute with is text
	}
	return !slices.Contains([]string{"number", "integer", "boolean", "list", "map"}, t)
}

// picked returns the part of a result that iteratePick names.
func picked(raw json.RawMessage, pick string) (json.RawMessage, *run.Error) {
	var keys []any
	for _, key := range splitPath(pick) {
		keys = append(keys, key)
	}
	part, ok := expr.NewResult(raw).Raw(keys...)
	if !ok {
		return nil, &run.Error{
			Code:    run.CodeExpression,
			Message: fmt.Sprintf("iteratePick: the result has no %q%s", pick, keysOf(decode(raw))),
		}
	}
	return bytes.Clone(part), nil // the rest need not be kept
}

// flowOutputs is the result of a flow: what it declares, or the results of all
// its jobs unless they are too large.
func (r *Run) flowOutputs(s *scope) (json.RawMessage, *run.Error) {
	declared := s.plan.def.Outputs
	if declared == nil {
		return r.allResults(s, r.limits.MaxOutputs), nil
	}
	raw, err := declared.Append(nil, &view{run: r, scope: s})
	switch {
	case err != nil:
		return nil, expressionError(inPart("outputs", err))
	case len(raw) > r.limits.MaxOutputs:
		return nil, tooLarge("flow's outputs", len(raw), r.limits.MaxOutputs)
	}
	return raw, nil
}

// allResults is a map of the results of a flow's jobs, or null when it would
// have more bytes than a limit. A large flow has a hundred thousand results, so
// their sizes are added up first.
func (r *Run) allResults(s *scope, limit int) json.RawMessage {
	size := len("{}")
	var with []*node
	for i := range s.nodes {
		n := &s.nodes[i]
		if !n.state().HasResult() {
			continue
		}
		size += len(n.step.def.Name) + len(`"":,`)
		if !n.iterated() {
			size += len(r.outputs[n.unit.path()])
		}
		if size > limit+len(",") {
			return json.RawMessage("null")
		}
		with = append(with, n)
	}
	slices.SortFunc(with, func(a, b *node) int { return cmp.Compare(a.step.def.Name, b.step.def.Name) })
	b := append(make([]byte, 0, size), '{')
	for i, n := range with {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsontext.AppendQuote(b, n.step.def.Name), ':')
		if b = r.resultOf(n).Append(b); len(b) >= limit {
			return json.RawMessage("null")
		}
	}
	return append(b, '}')
}
