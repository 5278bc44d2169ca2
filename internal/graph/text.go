package graph

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// textGap is the distance between neighbouring boxes, in columns.
const textGap = 2

// Text writes the graph as boxes with lines between them, layers from top to
// bottom. A graph wider than width columns is written as a list of its
// layers instead.
func Text(w io.Writer, g *Graph, width int) error {
	if len(g.Nodes) == 0 {
		_, err := fmt.Fprintf(w, "%s has no jobs\n", g.Title)
		return err
	}
	c := drawText(g)
	if c.width > width {
		return List(w, g)
	}
	var b strings.Builder
	for _, line := range c.lines() {
		b.WriteString(line + "\n")
	}
	for _, note := range notes(g) {
		b.WriteString(note + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// List writes the jobs layer by layer, each with what it waits for.
func List(w io.Writer, g *Graph) error {
	var b strings.Builder
	list(&b, g, "")
	_, err := io.WriteString(w, b.String())
	return err
}

func list(b *strings.Builder, g *Graph, indent string) {
	layer := layersOf(len(g.Nodes), g.Edges)
	order := make([]int, len(g.Nodes))
	waits := make([][]string, len(g.Nodes))
	width, details := 0, 0
	for i := range g.Nodes {
		order[i] = i
		width = max(width, utf8.RuneCountInString(textTitle(&g.Nodes[i])))
		details = max(details, utf8.RuneCountInString(g.Nodes[i].detail()))
	}
	for _, e := range g.Edges {
		s := g.Nodes[e.From].Name
		if e.On != "" {
			s += " (" + e.On + ")"
		}
		waits[e.To] = append(waits[e.To], s)
	}
	slices.SortStableFunc(order, func(a, c int) int { return layer[a] - layer[c] })
	for at, i := range order {
		n := &g.Nodes[i]
		mark := "  "
		if at == 0 || layer[order[at-1]] != layer[i] {
			mark = fmt.Sprintf("%-2d", layer[i]+1)
		}
		line := fmt.Sprintf("%s%s %-*s  %-*s", indent, mark, width, textTitle(n), details, n.detail())
		if len(waits[i]) > 0 {
			line += "  after " + strings.Join(waits[i], ", ")
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		if n.Inner != nil {
			list(b, n.Inner, indent+"     ")
		}
	}
}

// textTitle is a node's title with the sign of its state.
func textTitle(n *Node) string {
	if n.State == "" {
		return n.title()
	}
	return Icon(n.State) + " " + n.title()
}

// notes says what lines cannot show: edges that want a certain outcome.
func notes(g *Graph) []string {
	var out []string
	for _, e := range g.Edges {
		if e.On != "" {
			out = append(out, fmt.Sprintf("%s starts when %s is %s", g.Nodes[e.To].Path, g.Nodes[e.From].Path, e.On))
		}
	}
	for i := range g.Nodes {
		if in := g.Nodes[i].Inner; in != nil {
			out = append(out, notes(in)...)
		}
	}
	return out
}

// textBox is the box of a job: what stands in it and where it is.
type textBox struct {
	rows          []string
	width, height int // odd width, so that there is a middle column
	left, top     int
}

func newTextBox(n *Node) *textBox {
	b := &textBox{rows: []string{textTitle(n)}}
	if n.Inner != nil && len(n.Inner.Nodes) > 0 {
		b.rows = append(b.rows, drawText(n.Inner).lines()...)
	} else if d := n.detail(); d != "" {
		b.rows = append(b.rows, d)
	}
	for _, r := range b.rows {
		b.width = max(b.width, utf8.RuneCountInString(r)+4)
	}
	if b.width%2 == 0 {
		b.width++
	}
	b.height = len(b.rows) + 2
	return b
}

// drawText draws the graph on a canvas just large enough.
func drawText(g *Graph) *canvas {
	boxes := make([]*textBox, len(g.Nodes))
	for i := range g.Nodes {
		boxes[i] = newTextBox(&g.Nodes[i])
	}
	p := place(g, g.reduced(), func(i int) float64 { return float64(boxes[i].width) }, 1, textGap)
	columns, width := textColumns(p, boxes)
	c := &canvas{width: width}
	top := 0
	for l, layer := range p.layers {
		height := 0
		for _, i := range layer {
			if i < len(boxes) {
				height = max(height, boxes[i].height)
			}
		}
		for _, i := range layer {
			if i < len(boxes) {
				boxes[i].left, boxes[i].top = columns[i]-boxes[i].width/2, top
				c.box(boxes[i])
			}
		}
		nets := netsBelow(p, l, columns)
		gap := 1
		for _, n := range nets {
			gap = max(gap, n.track+2)
		}
		for _, i := range layer {
			c.pass(p, i, columns[i], top, height, boxes, hasNet(nets, i))
		}
		for _, n := range nets {
			c.net(n, top+height, gap, len(boxes))
		}
		top += height
		if l < len(p.layers)-1 {
			top += gap
		}
	}
	return c
}

func hasNet(nets []net, cell int) bool {
	return slices.ContainsFunc(nets, func(n net) bool { return n.from == cell })
}

// textColumns rounds the places of all cells to columns, keeping distances.
func textColumns(p *placement, boxes []*textBox) (columns []int, width int) {
	columns = make([]int, len(p.cells))
	for _, layer := range p.layers {
		end := -textGap
		for _, i := range layer {
			half := 0
			if i < len(boxes) {
				half = boxes[i].width / 2
			}
			columns[i] = max(int(math.Floor(p.cells[i].pos+1e-6)), end+textGap+half)
			end = columns[i] + half + 1
		}
		width = max(width, end)
	}
	return columns, width
}
