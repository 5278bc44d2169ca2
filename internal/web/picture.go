package web

import (
	"fmt"
	"html"
	"html/template"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/graph"
	"github.com/orchis-run/orchis/pkg/run"
)

// links says where the nodes of a picture lead.
type links struct {
	q     url.Values
	job   string // the one that is chosen
	model *model
}

const margin = 28.0

// picture draws a graph. Its colours come from the style sheet, by state; nodes
// are links in the order of the definition, so that it can be walked with the
// keyboard.
func picture(g *graph.Graph, l *links) template.HTML {
	d := graph.Draw(g)
	w, h := d.Width+2*margin, d.Height+2*margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="graph" data-graph xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="group" aria-label="graph of %s">`, w, h, w, h, html.EscapeString(g.Title))
	b.WriteString(`<g data-scene>`)
	draw(&b, d, margin, margin, l)
	b.WriteString(`</g></svg>`)
	return template.HTML(b.String()) //nolint:gosec // all texts went through EscapeString
}

func draw(b *strings.Builder, d *graph.Drawing, x, y float64, l *links) {
	for i, e := range d.Graph.Edges {
		from, to := d.Graph.Nodes[e.From].State, d.Graph.Nodes[e.To].State
		class := "edge"
		switch {
		case to == run.TaskRunning || to == run.TaskQueued:
			class += " live"
		case from.HasResult() && to != "" && to != run.TaskPending:
			class += " done"
		}
		if e.Implied {
			class += " implied"
		}
		fmt.Fprintf(b, `<path class="%s" d="%s"/>`, class, d.Way(i, x, y))
	}
	for i := range d.Graph.Nodes {
		n, r := &d.Graph.Nodes[i], d.Boxes[i]
		node(b, n, graph.Rect{X: r.X + x, Y: r.Y + y, W: r.W, H: r.H}, l)
		if in := d.Inner[i]; in != nil {
			draw(b, in, x+d.Corner[i].X, y+d.Corner[i].Y, l)
		}
	}
}

func node(b *strings.Builder, n *graph.Node, r graph.Rect, l *links) {
	class := "node"
	if n.State != "" {
		class += " s-" + string(n.State)
	}
	if n.Inner != nil {
		class += " frame"
	}
	if l != nil && l.job == n.Path {
		class += " chosen"
	}
	right := ""
	if l != nil && n.Group == "" {
		right = l.right(n)
	}
	label := spoken(n, right)
	fmt.Fprintf(b, `<a class="%s" href="%s" data-node="%s" aria-label="%s">`, class, html.EscapeString(l.to(n)), html.EscapeString(n.Path), html.EscapeString(label))
	if n.Members > 1 || n.Iterated {
		fmt.Fprintf(b, `<rect class="under" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="8"/>`, r.X+4, r.Y+4, r.W, r.H)
	}
	fmt.Fprintf(b, `<rect class="card" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="8"/>`, r.X, r.Y, r.W, r.H)
	at := r.X + 14
	if n.State != "" {
		fmt.Fprintf(b, `<use class="sign" href="#i-%s" x="%.1f" y="%.1f" width="14" height="14"/>`, n.State, r.X+12, r.Y+8)
		at = r.X + 31
	}
	fmt.Fprintf(b, `<text class="title" x="%.1f" y="%.1f">%s</text> `, at, r.Y+19.5, html.EscapeString(n.Title()))
	if n.Inner == nil {
		fmt.Fprintf(b, `<text class="detail" x="%.1f" y="%.1f">%s</text> `, r.X+14, r.Y+35, html.EscapeString(clip(n.Subtitle(), int((r.W-24)/5.9)-len(right))))
		if right != "" {
			fmt.Fprintf(b, `<text class="right" x="%.1f" y="%.1f">%s</text>`, r.X+r.W-10, r.Y+35, html.EscapeString(right))
		}
	}
	for _, s := range segments(n.States) {
		fmt.Fprintf(b, `<rect class="seg s-%s" x="%.1f" y="%.1f" width="%.1f" height="3"><title>%d %s</title></rect>`, s.State, r.X+8+(r.W-16)*s.X/100, r.Y+r.H-4, (r.W-16)*s.Width/100, s.Count, s.State)
	}
	if done := l.progress(n); done > 0 {
		fmt.Fprintf(b, `<rect class="seg s-pending" x="%.1f" y="%.1f" width="%.1f" height="3"/>`, r.X+8, r.Y+r.H-4, r.W-16)
		fmt.Fprintf(b, `<rect class="seg s-running" data-progress="%.0f" x="%.1f" y="%.1f" width="%.1f" height="3"/>`, done, r.X+8, r.Y+r.H-4, (r.W-16)*done/100)
	}
	b.WriteString(`</a>`)
}

// progress is how far a running task says it is, in percent; 0 when it does not.
func (l *links) progress(n *graph.Node) float64 {
	if l == nil || len(n.States) > 0 {
		return 0
	}
	if t := l.model.tasks[n.Path]; t.State == run.TaskRunning {
		return min(max(t.Progress, 0), 100)
	}
	return 0
}

// spoken is what those hear of a node who cannot see it: what stands on it, and
// what its place and colour say.
func spoken(n *graph.Node, right string) string {
	text := n.Title()
	if n.Inner == nil {
		text = strings.TrimSpace(text + " " + n.Subtitle() + " " + right)
	}
	if n.State != "" {
		text += ", " + string(n.State)
	}
	if n.Path != n.Name && n.Group == "" {
		text += ", " + n.Path
	}
	return text
}

func clip(s string, most int) string {
	if r := []rune(s); len(r) > most && most > 1 {
		return string(r[:most-1]) + "…"
	}
	return s
}

// right is what stands at the end of a card: how long it took, or how far it is.
func (l *links) right(n *graph.Node) string {
	t, ok := l.model.tasks[n.Path]
	if !ok || t.Started == 0 {
		return ""
	}
	if done := l.progress(n); done > 0 {
		return fmt.Sprintf("%.0f %%", done)
	}
	text := took(t.Started, t.Ended, time.Now())
	if t.Attempt > 1 {
		text += " ↻" + strconv.Itoa(t.Attempt)
	}
	return text
}

// to is where a node leads: its drawer, or its group unfolded.
func (l *links) to(n *graph.Node) string {
	if l == nil {
		return "#"
	}
	if n.Group != "" {
		q := maps.Clone(l.q)
		q["open"] = append(append([]string{}, l.q["open"]...), n.Group)
		return "?" + q.Encode()
	}
	return string(with(l.q, "job", n.Path))
}
