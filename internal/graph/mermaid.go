package graph

import (
	"fmt"
	"io"
	"strings"

	"github.com/orchis-run/orchis/pkg/run"
)

// Mermaid writes the graph as a Mermaid flowchart.
func Mermaid(w io.Writer, g *Graph) error {
	m := &mermaid{ids: make(map[*Node]string)}
	m.line("flowchart LR")
	m.graph(g, "  ")
	m.classes()
	_, err := io.WriteString(w, m.text.String())
	return err
}

type mermaid struct {
	text   strings.Builder
	ids    map[*Node]string
	states map[run.TaskState][]string
}

func (m *mermaid) line(format string, args ...any) {
	fmt.Fprintf(&m.text, format+"\n", args...)
}

func (m *mermaid) graph(g *Graph, indent string) {
	for i := range g.Nodes {
		n := &g.Nodes[i]
		id := fmt.Sprintf("n%d", len(m.ids))
		m.ids[n] = id
		if n.State != "" {
			if m.states == nil {
				m.states = make(map[run.TaskState][]string)
			}
			m.states[n.State] = append(m.states[n.State], id)
		}
		label := mermaidText(n.title())
		if n.Inner != nil {
			m.line(`%ssubgraph %s["%s"]`, indent, id, label)
			m.line("%s  direction LR", indent)
			m.graph(n.Inner, indent+"  ")
			m.line("%send", indent)
			continue
		}
		if d := n.detail(); d != "" {
			label += "<br/>" + mermaidText(d)
		}
		open, closing := "[", "]"
		if n.Flow {
			open, closing = "[[", "]]"
		}
		m.line(`%s%s%s"%s"%s`, indent, id, open, label, closing)
	}
	for _, e := range g.Edges {
		arrow := "-->"
		if e.Implied {
			arrow = "-.->"
		}
		if e.On != "" {
			arrow += "|" + mermaidText(e.On) + "|"
		}
		m.line("%s%s %s %s", indent, m.ids[&g.Nodes[e.From]], arrow, m.ids[&g.Nodes[e.To]])
	}
}

// classes colours the nodes of a run by their states.
func (m *mermaid) classes() {
	for _, s := range run.TaskStates() {
		if len(m.states[s]) == 0 {
			continue
		}
		c := colours(s)
		m.line("  classDef %s fill:%s,stroke:%s,color:%s", s, c.fill, c.line, c.text)
		m.line("  class %s %s", strings.Join(m.states[s], ","), s)
	}
}

// mermaidText escapes what would end a quoted label or be taken for markup.
func mermaidText(s string) string {
	return strings.NewReplacer(
		"#", "#35;", "&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;",
		"\n", " ", "\r", " ", "`", "#96;", "|", "#124;",
	).Replace(s)
}
