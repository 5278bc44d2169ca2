package graph

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Directions in which a line leaves a place of the canvas.
const (
	north = 1 << iota
	east
	south
	west
)

// A net is the lines from one cell to those below it that wait for it. They
// leave downwards, share one horizontal track, and end above their targets.
type net struct {
	from    int // cell
	column  int
	targets []int // cells
	columns []int // of the targets
	track   int   // row of the horizontal, from 0; -1 when all goes straight down
}

// left and right are the ends of the net's horizontal.
func (n net) left() int  { return min(n.column, slices.Min(n.columns)) }
func (n net) right() int { return max(n.column, slices.Max(n.columns)) }

// netsBelow returns the nets between layer l and the one below, each with a
// track so that no two horizontals touch.
func netsBelow(p *placement, l int, columns []int) []net {
	var nets []net
	for _, chain := range p.chains {
		for k := 1; k < len(chain); k++ {
			from, to := chain[k-1], chain[k]
			if p.cells[from].layer != l {
				continue
			}
			i := slices.IndexFunc(nets, func(n net) bool { return n.from == from })
			if i < 0 {
				i = len(nets)
				nets = append(nets, net{from: from, column: columns[from], track: -1})
			}
			nets[i].targets = append(nets[i].targets, to)
			nets[i].columns = append(nets[i].columns, columns[to])
		}
	}
	slices.SortFunc(nets, func(a, b net) int { return a.column - b.column })
	assignTracks(nets)
	return nets
}

// assignTracks gives each net that is not straight the first free row. A net
// whose source stands above another one's target goes first, so that their
// verticals do not lie on each other.
func assignTracks(nets []net) {
	var left []int
	for i, n := range nets {
		if n.left() != n.right() {
			left = append(left, i)
		}
	}
	before := func(a, b int) bool { // must a have a higher track than b?
		return a != b && slices.Contains(nets[b].columns, nets[a].column)
	}
	for len(left) > 0 {
		pick := slices.IndexFunc(left, func(b int) bool {
			return !slices.ContainsFunc(left, func(a int) bool { return before(a, b) })
		})
		pick = max(pick, 0) // in a circle, any will do
		i := left[pick]
		left = slices.Delete(left, pick, pick+1)
		track := 0
		for j := range nets {
			if nets[j].track >= 0 && before(j, i) {
				track = max(track, nets[j].track+1)
			}
		}
		for slices.ContainsFunc(nets, func(o net) bool {
			return o.track == track && o.left() <= nets[i].right() && nets[i].left() <= o.right()
		}) {
			track++
		}
		nets[i].track = track
	}
}

// spot is a place on a canvas: a letter, or lines in some directions.
type spot struct {
	letter rune
	lines  uint8
}

// canvas is a drawing in letters.
type canvas struct {
	width int
	rows  [][]spot
}

func (c *canvas) at(x, y int) *spot {
	for len(c.rows) <= y {
		c.rows = append(c.rows, make([]spot, c.width))
	}
	return &c.rows[y][x]
}

// write puts text at a place; it overrides lines.
func (c *canvas) write(x, y int, text string) {
	for _, r := range text {
		c.at(x, y).letter = r
		x++
	}
}

func (c *canvas) box(b *textBox) {
	bar := strings.Repeat("─", b.width-2)
	c.write(b.left, b.top, "╭"+bar+"╮")
	for i, r := range b.rows {
		y := b.top + 1 + i
		room := b.width - 4 - utf8.RuneCountInString(r)
		c.write(b.left, y, "│ "+r+strings.Repeat(" ", room)+" │")
	}
	c.write(b.left, b.top+b.height-1, "╰"+bar+"╯")
}

// pass draws what of the lines lies beside the boxes of a layer: a line that
// passes it, or the piece from a low box down to the layer's end.
func (c *canvas) pass(p *placement, i, x, top, height int, boxes []*textBox, leaves bool) {
	from := top
	if p.cells[i].node >= 0 {
		if !leaves {
			return
		}
		from = top + boxes[i].height
		c.at(x, from-1).letter = '┬'
	}
	for y := from; y < top+height; y++ {
		c.at(x, y).lines |= north | south
	}
}

// net draws a net into the gap of the given height that begins at row top.
func (c *canvas) net(n net, top, gap, nodes int) {
	own := make(map[spotAt]uint8)
	bend := top + max(n.track, 0)
	for y := top; y < bend; y++ {
		own[spotAt{n.column, y}] |= north | south
	}
	below := bend
	if n.track >= 0 {
		own[spotAt{n.column, bend}] |= north
		for x := n.left(); x < n.right(); x++ {
			own[spotAt{x, bend}] |= east
			own[spotAt{x + 1, bend}] |= west
		}
		below++
	}
	for k, x := range n.columns {
		if n.track >= 0 {
			own[spotAt{x, bend}] |= south
		}
		for y := below; y < top+gap; y++ {
			own[spotAt{x, y}] |= north | south
		}
		if n.targets[k] < nodes {
			c.at(x, top+gap-1).letter = '▼'
		}
	}
	for at, lines := range own {
		c.join(at, lines)
	}
}

// spotAt is where a spot is.
type spotAt struct{ x, y int }

// join adds the lines of a net to a place. Where two nets only cross, the
// vertical one goes over the horizontal one, so that a joint is always one.
func (c *canvas) join(at spotAt, lines uint8) {
	const vertical, horizontal = north | south, east | west
	s := c.at(at.x, at.y)
	switch {
	case s.lines == horizontal && lines == vertical:
		s.lines = vertical
	case s.lines == vertical && lines == horizontal:
		// The horizontal goes under what stands here.
	default:
		s.lines |= lines
	}
}

// lines returns the rows of the drawing as text.
func (c *canvas) lines() []string {
	out := make([]string, len(c.rows))
	for y, row := range c.rows {
		var b strings.Builder
		for _, s := range row {
			switch {
			case s.letter != 0:
				b.WriteRune(s.letter)
			default:
				b.WriteRune(lineLetter(s.lines))
			}
		}
		out[y] = strings.TrimRight(b.String(), " ")
	}
	return out
}

// lineLetter is the letter with lines in the given directions.
func lineLetter(lines uint8) rune {
	letters := []rune(" ╵╶└╷│┌├╴┘─┴┐┤┬┼")
	return letters[lines]
}
