package graph

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// Measures of an SVG drawing, in pixels.
const (
	svgMargin    = 24.0
	svgHeight    = 44.0 // of a job
	svgMinWidth  = 96.0
	svgLetter    = 7.3 // width of a letter of the title, 12.5 px
	svgSmall     = 5.9 // width of a letter of the detail, 10.5 px
	svgPadding   = 14.0
	svgGap       = 18.0 // between jobs of a layer
	svgRank      = 64.0 // between layers
	svgHead      = 26.0 // title of a nested flow
	svgTitleRows = 30.0
)

// SVG writes the graph as a picture that stands by itself: layers from left
// to right, nested flows as frames.
func SVG(w io.Writer, g *Graph) error {
	d := drawGraph(g)
	width, height := d.width+2*svgMargin, d.height+2*svgMargin+svgTitleRows
	width = max(width, float64(utf8.RuneCountInString(g.Title))*9+2*svgMargin)
	s := &svg{}
	s.line(`<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %s %s" font-family="system-ui, sans-serif" role="img" aria-label="%s">`,
		num(width), num(height), num(width), num(height), esc("graph of "+g.Title))
	s.line(`<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#6b7280"/></marker></defs>`)
	s.line(`<rect width="100%%" height="100%%" fill="#fafafa"/>`)
	s.line(`<text x="%s" y="%s" font-size="16" font-weight="600" fill="#1f2937">%s</text>`, num(svgMargin), num(svgMargin+6), esc(g.Title))
	s.drawing(d, svgMargin, svgMargin+svgTitleRows)
	s.line(`</svg>`)
	_, err := io.WriteString(w, s.text.String())
	return err
}

// drawing is a graph with the places of its jobs, in pixels from its corner.
type drawing struct {
	graph         *Graph
	width, height float64
	boxes         []rect
	inner         []*drawing
	lines         [][]point // per edge
}

type rect struct{ x, y, w, h float64 }

type point struct{ x, y float64 }

// drawGraph lays out a graph, nested flows first: to the graph around it, a
// nested flow is a large job.
func drawGraph(g *Graph) *drawing {
	d := &drawing{graph: g, inner: make([]*drawing, len(g.Nodes)), boxes: make([]rect, len(g.Nodes)), lines: make([][]point, len(g.Edges))}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		d.boxes[i].w, d.boxes[i].h = svgSize(n)
		if n.Inner != nil {
			d.inner[i] = drawGraph(n.Inner)
			d.boxes[i].w = max(d.boxes[i].w, d.inner[i].width+2*svgPadding)
			d.boxes[i].h = d.inner[i].height + svgHead + svgPadding
		}
	}
	p := place(g, g.Edges, func(i int) float64 { return d.boxes[i].h }, 8, svgGap)
	x := 0.0
	starts, widths := make([]float64, len(p.layers)), make([]float64, len(p.layers))
	for l, layer := range p.layers {
		starts[l] = x
		for _, c := range layer {
			if c < len(g.Nodes) {
				widths[l] = max(widths[l], d.boxes[c].w)
			}
		}
		x += widths[l] + svgRank
	}
	for i := range g.Nodes {
		l := p.cells[i].layer
		d.boxes[i].x = starts[l] + (widths[l]-d.boxes[i].w)/2
		d.boxes[i].y = p.cells[i].pos - d.boxes[i].h/2
	}
	for i, chain := range p.chains {
		d.lines[i] = d.route(p, chain, starts, widths)
	}
	d.width, d.height = max(0, x-svgRank), p.breadth()
	return d
}

// route returns the points an edge goes through: horizontally out of its
// source, through each layer it skips, and into its target.
func (d *drawing) route(p *placement, chain []int, starts, widths []float64) []point {
	from, to := d.boxes[chain[0]], d.boxes[chain[len(chain)-1]]
	out := []point{{from.x + from.w, from.y + from.h/2}}
	for _, c := range chain[1 : len(chain)-1] {
		l, y := p.cells[c].layer, p.cells[c].pos
		out = append(out, point{starts[l], y}, point{starts[l] + widths[l], y})
	}
	return append(out, point{to.x, to.y + to.h/2})
}

func svgSize(n *Node) (w, h float64) {
	title := float64(utf8.RuneCountInString(n.title())) * svgLetter
	if n.State != "" {
		title += 2 * svgLetter
	}
	detail := float64(utf8.RuneCountInString(n.detail())) * svgSmall
	return math.Ceil(max(svgMinWidth, max(title, detail)+2*svgPadding)), svgHeight
}

type svg struct{ text strings.Builder }

func (s *svg) line(format string, args ...any) {
	fmt.Fprintf(&s.text, format+"\n", args...)
}

func (s *svg) drawing(d *drawing, x, y float64) {
	for i, e := range d.graph.Edges {
		s.edge(d.lines[i], e, x, y)
	}
	for i := range d.graph.Nodes {
		b := d.boxes[i]
		s.node(&d.graph.Nodes[i], rect{b.x + x, b.y + y, b.w, b.h})
		if in := d.inner[i]; in != nil {
			s.drawing(in, x+b.x+(b.w-in.width)/2, y+b.y+svgHead)
		}
	}
}

func (s *svg) edge(points []point, e Edge, x, y float64) {
	var path strings.Builder
	for i, q := range points {
		px, py := q.x+x, q.y+y
		switch {
		case i == 0:
			fmt.Fprintf(&path, "M%s %s", num(px), num(py))
		case i%2 == 0: // straight through a layer
			fmt.Fprintf(&path, " H%s", num(px))
		default:
			before := points[i-1]
			half := (before.x + q.x) / 2
			fmt.Fprintf(&path, " C%s %s %s %s %s %s", num(half+x), num(before.y+y), num(half+x), num(py), num(px), num(py))
		}
	}
	dash := ""
	if e.Implied {
		dash = ` stroke-dasharray="4 3"`
	}
	s.line(`<path d="%s" fill="none" stroke="#6b7280" stroke-width="1.3"%s marker-end="url(#a)"/>`, path.String(), dash)
	if e.On != "" {
		last := points[len(points)-1]
		s.line(`<text x="%s" y="%s" font-size="10" text-anchor="end" fill="#6b7280">%s</text>`, num(last.x+x-8), num(last.y+y-5), esc(e.On))
	}
}

func (s *svg) node(n *Node, b rect) {
	c := colours(n.State)
	label := n.Path
	if n.State != "" {
		label += ", " + string(n.State)
	}
	s.line(`<g aria-label="%s"><title>%s</title>`, esc(label), esc(label))
	fill := c.fill
	if n.Inner != nil {
		fill = "none"
	}
	s.line(`<rect x="%s" y="%s" width="%s" height="%s" rx="8" fill="%s" stroke="%s" stroke-width="1.3"/>`, num(b.x), num(b.y), num(b.w), num(b.h), fill, c.line)
	if n.Flow && n.Inner == nil {
		s.line(`<rect x="%s" y="%s" width="%s" height="%s" rx="6" fill="none" stroke="%s" stroke-width="0.7"/>`, num(b.x+3), num(b.y+3), num(b.w-6), num(b.h-6), c.line)
	}
	title := n.title()
	if n.State != "" {
		title = Icon(n.State) + " " + title
	}
	s.line(`<text x="%s" y="%s" font-size="12.5" font-weight="600" fill="%s">%s</text>`, num(b.x+svgPadding), num(b.y+18), c.text, esc(title))
	if detail := n.detail(); detail != "" && n.Inner == nil {
		s.line(`<text x="%s" y="%s" font-size="10.5" fill="%s" opacity="0.8">%s</text>`, num(b.x+svgPadding), num(b.y+34), c.text, esc(detail))
	}
	s.line(`</g>`)
}

// num writes a coordinate with at most one decimal.
func num(f float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0")
}

// esc makes a string safe as XML text or attribute.
func esc(s string) string {
	var b strings.Builder
	// Writing to a strings.Builder cannot fail.
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
