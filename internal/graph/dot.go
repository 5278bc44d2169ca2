package graph

import (
	"fmt"
	"io"
	"strings"
)

// DOT writes the graph in the language of Graphviz.
func DOT(w io.Writer, g *Graph) error {
	d := &dot{anchors: make(map[*Node]string)}
	d.line("digraph %s {", dotText(g.Title))
	d.line("  rankdir=LR;")
	d.line("  compound=true;")
	d.line(`  node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="sans-serif", fontsize=11];`)
	d.line(`  edge [color="#6b7280", fontname="sans-serif", fontsize=9];`)
	d.graph(g, "  ")
	d.line("}")
	_, err := io.WriteString(w, d.text.String())
	return err
}

type dot struct {
	text strings.Builder
	// anchors holds the node that edges of a job are drawn to: itself, or a
	// job inside its cluster.
	anchors map[*Node]string
}

func (d *dot) line(format string, args ...any) {
	fmt.Fprintf(&d.text, format+"\n", args...)
}

func (d *dot) graph(g *Graph, indent string) {
	for i := range g.Nodes {
		d.node(&g.Nodes[i], indent)
	}
	for _, e := range g.Edges {
		d.edge(&g.Nodes[e.From], &g.Nodes[e.To], e, indent)
	}
}

func (d *dot) node(n *Node, indent string) {
	id := dotText(n.Path)
	d.anchors[n] = id
	if n.Inner != nil && len(n.Inner.Nodes) > 0 {
		d.line("%ssubgraph %s {", indent, dotText("cluster "+n.Path))
		d.line("%s  label=%s;", indent, dotText(n.title()))
		d.graph(n.Inner, indent+"  ")
		d.line("%s}", indent)
		d.anchors[n] = d.anchors[&n.Inner.Nodes[0]]
		return
	}
	label := n.title()
	if s := n.detail(); s != "" {
		label += "\n" + s
	}
	attrs := "label=" + dotText(label)
	if n.Flow {
		attrs += ", peripheries=2"
	}
	if n.State != "" {
		c := colours(n.State)
		attrs += fmt.Sprintf(`, fillcolor="%s", color="%s", fontcolor="%s"`, c.fill, c.line, c.text)
	}
	d.line("%s%s [%s];", indent, id, attrs)
}

func (d *dot) edge(from, to *Node, e Edge, indent string) {
	var attrs []string
	if e.Implied {
		attrs = append(attrs, "style=dashed")
	}
	if e.On != "" {
		attrs = append(attrs, "label="+dotText(e.On))
	}
	if from.Inner != nil && len(from.Inner.Nodes) > 0 {
		attrs = append(attrs, "ltail="+dotText("cluster "+from.Path))
	}
	if to.Inner != nil && len(to.Inner.Nodes) > 0 {
		attrs = append(attrs, "lhead="+dotText("cluster "+to.Path))
	}
	end := ";"
	if len(attrs) > 0 {
		end = " [" + strings.Join(attrs, ", ") + "];"
	}
	d.line("%s%s -> %s%s", indent, d.anchors[from], d.anchors[to], end)
}

// dotText quotes a string for DOT.
func dotText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", `\n`).Replace(s) + `"`
}
