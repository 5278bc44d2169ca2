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
	svgLetter    = 7.6  // width of a letter of the title, 12.5 px
	svgSmall     = 5.9  // width of a letter of the detail, 10.5 px
	svgSign      = 20.0 // the sign before the title
	svgTook      = 11   // letters of "12 m 30 s" with a gap
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
	width, height := d.Width+2*svgMargin, d.Height+2*svgMargin+svgTitleRows
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

// Drawing is a graph with the places of its jobs, in pixels from its corner.
type Drawing struct {
	Graph         *Graph
	Width, Height float64
	Boxes         []Rect
	// Inner are the drawings of nested flows, nil for other jobs, and Corner
	// says where in this one they begin.
	Inner  []*Drawing
	Corner []Point
	Lines  [][]Point // of each edge
}

// Rect is a place with its size.
type Rect struct{ X, Y, W, H float64 }

// Point is a place.
type Point struct{ X, Y float64 }

// drawGraph lays out a graph, nested flows first: to the graph around it, a
// nested flow is a large job.
func drawGraph(g *Graph) *Drawing {
	d := &Drawing{Graph: g, Inner: make([]*Drawing, len(g.Nodes)), Corner: make([]Point, len(g.Nodes)), Boxes: make([]Rect, len(g.Nodes)), Lines: make([][]Point, len(g.Edges))}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		d.Boxes[i].W, d.Boxes[i].H = svgSize(n)
		if n.Inner != nil {
			d.Inner[i] = drawGraph(n.Inner)
			d.Boxes[i].W = max(d.Boxes[i].W, d.Inner[i].Width+2*svgPadding)
			d.Boxes[i].H = d.Inner[i].Height + svgHead + svgPadding
		}
	}
	p := place(g, g.Edges, func(i int) float64 { return d.Boxes[i].H }, 8, svgGap)
	x := 0.0
	starts, widths := make([]float64, len(p.layers)), make([]float64, len(p.layers))
	for l, layer := range p.layers {
		starts[l] = x
		for _, c := range layer {
			if c < len(g.Nodes) {
				widths[l] = max(widths[l], d.Boxes[c].W)
			}
		}
		x += widths[l] + svgRank
	}
	for i := range g.Nodes {
		l := p.cells[i].layer
		d.Boxes[i].X = starts[l] + (widths[l]-d.Boxes[i].W)/2
		d.Boxes[i].Y = p.cells[i].pos - d.Boxes[i].H/2
	}
	for i, chain := range p.chains {
		d.Lines[i] = d.route(p, chain, starts, widths)
	}
	for i, in := range d.Inner {
		if b := d.Boxes[i]; in != nil {
			d.Corner[i] = Point{b.X + (b.W-in.Width)/2, b.Y + svgHead}
		}
	}
	d.Width, d.Height = max(0, x-svgRank), p.breadth()
	return d
}

// route returns the points an edge goes through: horizontally out of its
// source, through each layer it skips, and into its target.
func (d *Drawing) route(p *placement, chain []int, starts, widths []float64) []Point {
	from, to := d.Boxes[chain[0]], d.Boxes[chain[len(chain)-1]]
	out := []Point{{from.X + from.W, from.Y + from.H/2}}
	for _, c := range chain[1 : len(chain)-1] {
		l, y := p.cells[c].layer, p.cells[c].pos
		out = append(out, Point{starts[l], y}, Point{starts[l] + widths[l], y})
	}
	return append(out, Point{to.X, to.Y + to.H/2})
}

func svgSize(n *Node) (w, h float64) {
	title := float64(utf8.RuneCountInString(n.title())) * svgLetter
	detail := float64(utf8.RuneCountInString(n.detail())) * svgSmall
	if n.State != "" { // its sign, and how long it took
		title += svgSign
		detail += svgTook * svgSmall
	}
	return math.Ceil(max(svgMinWidth, max(title, detail)+2*svgPadding)), svgHeight
}

// Draw lays out a graph.
func Draw(g *Graph) *Drawing { return drawGraph(g) }

// Way is the path of an edge in the words of SVG, moved by x and y.
func (d *Drawing) Way(edge int, x, y float64) string { return way(d.Lines[edge], x, y) }

// Title and Subtitle are the two lines of a node.
func (n Node) Title() string { return n.title() }

// Subtitle says what does the job.
func (n Node) Subtitle() string { return n.detail() }

type svg struct{ text strings.Builder }

func (s *svg) line(format string, args ...any) {
	fmt.Fprintf(&s.text, format+"\n", args...)
}

func (s *svg) drawing(d *Drawing, x, y float64) {
	for i, e := range d.Graph.Edges {
		s.edge(d.Lines[i], e, x, y)
	}
	for i := range d.Graph.Nodes {
		b := d.Boxes[i]
		s.node(&d.Graph.Nodes[i], Rect{b.X + x, b.Y + y, b.W, b.H})
		if in := d.Inner[i]; in != nil {
			s.drawing(in, x+d.Corner[i].X, y+d.Corner[i].Y)
		}
	}
}

func (s *svg) edge(points []Point, e Edge, x, y float64) {
	dash := ""
	if e.Implied {
		dash = ` stroke-dasharray="4 3"`
	}
	s.line(`<path d="%s" fill="none" stroke="#6b7280" stroke-width="1.3"%s marker-end="url(#a)"/>`, way(points, x, y), dash)
	if e.On != "" {
		last := points[len(points)-1]
		s.line(`<text x="%s" y="%s" font-size="10" text-anchor="end" fill="#6b7280">%s</text>`, num(last.X+x-8), num(last.Y+y-5), esc(e.On))
	}
}

func (s *svg) node(n *Node, b Rect) {
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
	s.line(`<rect x="%s" y="%s" width="%s" height="%s" rx="8" fill="%s" stroke="%s" stroke-width="1.3"/>`, num(b.X), num(b.Y), num(b.W), num(b.H), fill, c.line)
	if n.Flow && n.Inner == nil {
		s.line(`<rect x="%s" y="%s" width="%s" height="%s" rx="6" fill="none" stroke="%s" stroke-width="0.7"/>`, num(b.X+3), num(b.Y+3), num(b.W-6), num(b.H-6), c.line)
	}
	title := n.title()
	if n.State != "" {
		title = Icon(n.State) + " " + title
	}
	s.line(`<text x="%s" y="%s" font-size="12.5" font-weight="600" fill="%s">%s</text>`, num(b.X+svgPadding), num(b.Y+18), c.text, esc(title))
	if detail := n.detail(); detail != "" && n.Inner == nil {
		s.line(`<text x="%s" y="%s" font-size="10.5" fill="%s" opacity="0.8">%s</text>`, num(b.X+svgPadding), num(b.Y+34), c.text, esc(detail))
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

// way writes the points of an edge: curves between layers, straight through
// them.
func way(points []Point, x, y float64) string {
	var path strings.Builder
	for i, q := range points {
		px, py := q.X+x, q.Y+y
		switch {
		case i == 0:
			fmt.Fprintf(&path, "M%s %s", num(px), num(py))
		case i%2 == 0: // straight through a layer
			fmt.Fprintf(&path, " H%s", num(px))
		default:
			before := points[i-1]
			half := (before.X + q.X) / 2
			fmt.Fprintf(&path, " C%s %s %s %s %s %s", num(half+x), num(before.Y+y), num(half+x), num(py), num(px), num(py))
		}
	}
	return path.String()
}
