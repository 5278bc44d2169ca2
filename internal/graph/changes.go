package graph

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/pkg/flow"
)

// Change is one difference between two versions of a definition.
type Change struct {
	// Kind is added, removed or changed; What is flow, input, job, edge or key.
	Kind string `json:"kind"`
	What string `json:"what"`
	// Flow and Name say where: the flow's path, and a job, an input or an edge.
	Flow string `json:"flow"`
	Name string `json:"name,omitempty"`
	// Keys are what changed in it.
	Keys []string `json:"keys,omitempty"`
}

// String is the change as a line.
func (c Change) String() string {
	mark := map[string]string{"added": "+", "removed": "-", "changed": "~"}[c.Kind]
	s := strings.TrimSpace(fmt.Sprintf("%s %s %s", mark, c.What, c.Name))
	if len(c.Keys) > 0 {
		s += ": " + strings.Join(c.Keys, ", ")
	}
	return s
}

// Changes compares two versions of a definition, flow by flow.
func Changes(old, now *flow.Bundle) []Change {
	var out []Change
	a, b := byPath(old), byPath(now)
	paths := slices.Sorted(maps.Keys(a))
	for path := range b {
		if a[path] == nil {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	for _, path := range paths {
		switch x, y := a[path], b[path]; {
		case x == nil:
			out = append(out, Change{Kind: "added", What: "flow", Flow: path, Name: path})
		case y == nil:
			out = append(out, Change{Kind: "removed", What: "flow", Flow: path, Name: path})
		default:
			out = append(out, flowChanges(path, x, y)...)
		}
	}
	return out
}

// byPath gives each flow of a bundle a name that is the same in both versions:
// the root is the root whatever its file is called.
func byPath(b *flow.Bundle) map[string]*flow.Flow {
	m := map[string]*flow.Flow{}
	for key, f := range b.Flows {
		name := strings.TrimPrefix(key, b.Root)
		if name == "" || name != key {
			name = "." + name
		}
		m[name] = f
	}
	return m
}

func flowChanges(path string, x, y *flow.Flow) []Change {
	var out []Change
	put := func(kind, what, name string, keys ...string) {
		out = append(out, Change{Kind: kind, What: what, Flow: path, Name: name, Keys: keys})
	}
	if keys := differing(fields(x), fields(y), "jobs", "inputs", "path", "name"); len(keys) > 0 {
		put("changed", "flow", path, keys...)
	}
	named(x.Inputs, y.Inputs, func(i flow.Input) string { return i.Name }, func(kind, name string, p, q flow.Input) {
		put(kind, "input", name, differing(fields(p), fields(q))...)
	})
	named(x.Jobs, y.Jobs, func(j flow.Job) string { return j.Name }, func(kind, name string, p, q flow.Job) {
		put(kind, "job", name, differing(fields(p), fields(q), "deps")...)
	})
	edges := func(f *flow.Flow) map[string]bool {
		m := map[string]bool{}
		for i := range f.Jobs {
			for _, d := range f.Jobs[i].Deps {
				m[strings.TrimSpace(d.Job+" -> "+f.Jobs[i].Name+" "+string(d.On))] = true
			}
		}
		return m
	}
	before, after := edges(x), edges(y)
	for _, e := range slices.Sorted(maps.Keys(before)) {
		if !after[e] {
			put("removed", "edge", e)
		}
	}
	for _, e := range slices.Sorted(maps.Keys(after)) {
		if !before[e] {
			put("added", "edge", e)
		}
	}
	return out
}

// named compares two lists of things with names.
func named[T any](x, y []T, name func(T) string, put func(kind, name string, p, q T)) {
	var none T
	find := func(list []T, n string) (T, bool) {
		at := slices.IndexFunc(list, func(v T) bool { return name(v) == n })
		if at < 0 {
			return none, false
		}
		return list[at], true
	}
	for _, p := range x {
		if _, there := find(y, name(p)); !there {
			put("removed", name(p), none, none)
		}
	}
	for _, q := range y {
		p, there := find(x, name(q))
		switch {
		case !there:
			put("added", name(q), none, none)
		case len(differing(fields(p), fields(q), "deps")) > 0:
			put("changed", name(q), p, q)
		}
	}
}

// fields is a value as its JSON has it.
func fields(v any) map[string]any {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil
	}
	return m
}

// differing returns the keys in which two maps differ; those of inputs singly.
func differing(x, y map[string]any, but ...string) []string {
	keys := map[string]bool{}
	for k := range x {
		keys[k] = true
	}
	for k := range y {
		keys[k] = true
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if slices.Contains(but, k) || cmp.Equal(x[k], y[k]) {
			continue
		}
		a, okA := x[k].(map[string]any)
		b, okB := y[k].(map[string]any)
		if k == "inputs" && okA && okB {
			for _, inner := range differing(a, b) {
				out = append(out, k+"."+inner)
			}
			continue
		}
		out = append(out, k)
	}
	return out
}
