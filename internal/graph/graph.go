// Package graph draws recipes and flows: as text, as Mermaid, as Graphviz DOT
// and as SVG. The layout is its own; nothing outside the process is asked.
package graph

import (
	"slices"
	"strconv"

	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// Graph is what one recipe or flow looks like: its jobs and what they wait
// for.
type Graph struct {
	Title string
	Nodes []Node
	Edges []Edge
}

// Node is one job.
type Node struct {
	// Path is the task path of the job: "splice_a/split".
	Path string
	// Name is the job's name, Detail what does it: a handler or a flow.
	Name   string
	Detail string
	// Flow is set when the job starts a flow, Iterated when it is done once
	// per element, Conditional when it has an `if`.
	Flow        bool
	Iterated    bool
	Conditional bool
	// State and Items are known only for the graph of a run.
	State run.TaskState
	Items int
	// Group names the group that this node stands for, with so many Members;
	// States counts the members, or the items of an iterated job.
	Group   string
	Members int
	States  map[run.TaskState]int
	// Inner is the nested flow, when it is to be drawn too.
	Inner *Graph
}

// Edge says that node To waits for node From.
type Edge struct {
	From, To int
	// On is the wanted outcome, empty for the usual one.
	On string
	// Implied edges come from an expression, not from dependsOn.
	Implied bool
}

// Options say what of a definition is drawn.
type Options struct {
	// Expand draws nested flows inside the jobs that start them.
	Expand bool
	// Tasks, when not nil, gives each job the state it has in a run.
	Tasks map[string]run.Task
}

// maxDepth is how deep nested flows are drawn; the language allows no more.
const maxDepth = 10

// New returns the graph of a bundle's root definition.
func New(b *flow.Bundle, o Options) *Graph {
	return build(b, b.Root, "", o, maxDepth)
}

func build(b *flow.Bundle, key, prefix string, o Options, depth int) *Graph {
	f := b.Flows[key]
	if f == nil {
		return &Graph{Title: key}
	}
	g := &Graph{Title: f.Name}
	index := make(map[string]int, len(f.Jobs))
	for i, j := range f.Jobs {
		index[j.Name] = i
		n := node(j, prefix)
		if o.Tasks != nil {
			t := o.Tasks[n.Path]
			n.State, n.Items = t.State, t.Items
			if n.State == "" {
				n.State = run.TaskPending
			}
		}
		if nested := b.Flows[j.Flow]; nested != nil {
			n.Detail = nested.Name
			if o.Expand && depth > 1 {
				n.Inner = build(b, j.Flow, innerPrefix(n), inner(o, n), depth-1)
			}
		}
		g.Nodes = append(g.Nodes, n)
	}
	for i, j := range f.Jobs {
		for _, d := range j.Deps {
			if from, ok := index[d.Job]; ok {
				g.Edges = append(g.Edges, Edge{From: from, To: i, On: string(d.On), Implied: d.Implied})
			}
		}
	}
	return g
}

func node(j flow.Job, prefix string) Node {
	detail := j.Handler
	switch {
	case j.Approval != nil:
		detail = "approval"
	case j.WaitFor != nil:
		detail = "waitFor"
	case j.Handler == "" && j.Flow == "":
		detail = "delay"
	}
	return Node{
		Path:        prefix + j.Name,
		Name:        j.Name,
		Detail:      detail,
		Flow:        j.Flow != "",
		Iterated:    j.Iterate != nil || j.Range != nil,
		Conditional: j.If != nil,
	}
}

func innerPrefix(n Node) string {
	if n.Iterated {
		return n.Path + "[]/"
	}
	return n.Path + "/"
}

// inner returns the options for the flow inside n. The tasks of an iterated
// flow have one state per element, so the drawing of the flow has none.
func inner(o Options, n Node) Options {
	if n.Iterated {
		o.Tasks = nil
	}
	return o
}

// title is the first line of a node's label.
func (n Node) title() string {
	s := n.Name
	if n.Members > 0 {
		return s + " ×" + strconv.Itoa(n.Members)
	}
	if n.Iterated {
		s += " ×"
		if n.Items > 0 {
			s += strconv.Itoa(n.Items)
		}
	}
	if n.Conditional {
		s += " ?"
	}
	return s
}

// detail is the second line of a node's label: what does the job.
func (n Node) detail() string {
	if n.Flow {
		return "flow " + n.Detail
	}
	return n.Detail
}

// reduced returns the edges without those that a longer way says already.
func (g *Graph) reduced() []Edge {
	next := make([][]int, len(g.Nodes))
	for _, e := range g.Edges {
		next[e.From] = append(next[e.From], e.To)
	}
	var out []Edge
	for _, e := range g.Edges {
		if e.On != "" || !g.reachedLonger(next, e) {
			out = append(out, e)
		}
	}
	return out
}

// reachedLonger reports whether e.To can be reached from e.From by two or
// more edges.
func (g *Graph) reachedLonger(next [][]int, e Edge) bool {
	seen := make([]bool, len(g.Nodes))
	var left []int
	for _, n := range next[e.From] {
		if n != e.To {
			left = append(left, n)
		}
	}
	for len(left) > 0 {
		n := left[len(left)-1]
		left = left[:len(left)-1]
		if seen[n] {
			continue
		}
		seen[n] = true
		if slices.Contains(next[n], e.To) {
			return true
		}
		left = append(left, next[n]...)
	}
	return false
}
