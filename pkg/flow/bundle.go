// Package flow reads recipes and flows: YAML files that declare jobs, their
// dependencies, inputs and outputs. Reading one returns a Bundle that can run, or
// diagnostics with the place of every mistake.
//
// language.go holds the tables of keys. The parser (jobs.go, definition.go and
// the files of the parts), the JSON Schemas (schema.go), the formatter
// (format.go), the defaults (defaults.go) and the checks of a job's keys
// (forms.go) are loops over these tables.
package flow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Encode writes the bundle in its canonical form: equal definitions have equal
// bytes.
func (b *Bundle) Encode() ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(b); err != nil {
		return nil, fmt.Errorf("encode the definition: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// DecodeBundle reads what Encode wrote.
func DecodeBundle(data []byte) (*Bundle, error) {
	var b Bundle
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("decode the definition: %w", err)
	}
	if b.RootFlow() == nil {
		return nil, fmt.Errorf("decode the definition: it has no flow %q", b.Root)
	}
	return &b, nil
}

// Digest names the bundle by its content: "sha256:" and 64 hex digits.
func (b *Bundle) Digest() (string, error) {
	data, err := b.Encode()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// HandlerUse is a job that needs a handler.
type HandlerUse struct{ Handler, Queue, Flow, Job string }

// Handlers lists the jobs that need a handler, in the order of flows and jobs.
func (b *Bundle) Handlers() []HandlerUse {
	var uses []HandlerUse
	for _, key := range slices.Sorted(maps.Keys(b.Flows)) {
		for i := range b.Flows[key].Jobs {
			if j := &b.Flows[key].Jobs[i]; j.Handler != "" && j.Handler != "transform" {
				uses = append(uses, HandlerUse{j.Handler, j.Queue, key, j.Name})
			}
		}
	}
	return uses
}

// Layers returns the names of the jobs in layers: a job is in the layer after the
// last of its dependencies.
func (f *Flow) Layers() [][]string {
	index := make(map[string]int, len(f.Jobs))
	for i := range f.Jobs {
		index[f.Jobs[i].Name] = i
	}
	waiting, next := make([]int, len(f.Jobs)), make([][]int, len(f.Jobs))
	for i := range f.Jobs {
		for _, d := range f.Jobs[i].Deps {
			at, ok := index[d.Job]
			if !ok {
				continue
			}
			waiting[i]++
			next[at] = append(next[at], i)
		}
	}
	var round []int
	for i := range waiting {
		if waiting[i] == 0 {
			round = append(round, i)
		}
	}
	var layers [][]string
	for len(round) > 0 {
		var names []string
		var after []int
		slices.Sort(round)
		for _, i := range round {
			names = append(names, f.Jobs[i].Name)
			for _, j := range next[i] {
				if waiting[j]--; waiting[j] == 0 {
					after = append(after, j)
				}
			}
		}
		layers, round = append(layers, names), after
	}
	return layers
}
