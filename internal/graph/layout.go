package graph

import (
	"cmp"
	"math"
	"slices"
)

// A cell is a place in a layer: a node, or a point through which an edge that
// spans several layers passes.
type cell struct {
	node  int // -1 for a point of an edge
	layer int
	size  float64 // across the layers
	pos   float64 // middle, across the layers
	order float64 // while the layers are being ordered
}

// placement is a layered drawing without its units: which cells stand in
// which layer, and where across it.
type placement struct {
	cells  []cell
	layers [][]int // cells of each layer, in order
	chains [][]int // cells that each edge passes, from its source to its target
}

// sweeps is how often the layers are ordered and straightened; more change
// nothing visible.
const sweeps = 24

// place lays out a graph whose nodes have the given sizes across the layers.
// Points of long edges have size point; neighbours keep the distance gap.
func place(g *Graph, edges []Edge, size func(node int) float64, point, gap float64) *placement {
	p := &placement{chains: make([][]int, len(edges))}
	p.fill(layersOf(len(g.Nodes), edges), edges, size, point)
	up, down := p.neighbours()
	p.sort(up, down)
	p.straighten(up, down, gap)
	return p
}

// layersOf puts each node one layer behind the last of those it waits for.
func layersOf(n int, edges []Edge) []int {
	waits := make([]int, n)
	next := make([][]int, n)
	for _, e := range edges {
		next[e.From] = append(next[e.From], e.To)
		waits[e.To]++
	}
	layer := make([]int, n)
	var ready []int
	for i := range n {
		if waits[i] == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		i := ready[0]
		ready = ready[1:]
		for _, to := range next[i] {
			layer[to] = max(layer[to], layer[i]+1)
			if waits[to]--; waits[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	return layer
}

// fill makes the cells of all nodes, and the points of edges that skip layers.
func (p *placement) fill(layer []int, edges []Edge, size func(int) float64, point float64) {
	depth := 0
	for _, l := range layer {
		depth = max(depth, l+1)
	}
	p.layers = make([][]int, depth)
	for i, l := range layer {
		p.add(cell{node: i, layer: l, size: size(i)})
	}
	for i, e := range edges {
		chain := []int{e.From}
		for l := layer[e.From] + 1; l < layer[e.To]; l++ {
			chain = append(chain, p.add(cell{node: -1, layer: l, size: point}))
		}
		p.chains[i] = append(chain, e.To)
	}
}

// add appends a cell to its layer. The first cells are the nodes, in order,
// so a node and its cell have the same index.
func (p *placement) add(c cell) int {
	i := len(p.cells)
	c.order = float64(len(p.layers[c.layer]))
	p.cells = append(p.cells, c)
	p.layers[c.layer] = append(p.layers[c.layer], i)
	return i
}

// neighbours returns, for each cell, the cells above and below it.
func (p *placement) neighbours() (up, down [][]int) {
	up, down = make([][]int, len(p.cells)), make([][]int, len(p.cells))
	for _, chain := range p.chains {
		for i := 1; i < len(chain); i++ {
			from, to := chain[i-1], chain[i]
			down[from] = append(down[from], to)
			up[to] = append(up[to], from)
		}
	}
	return up, down
}

// sort orders each layer by the middle of the neighbours, sweeping down and
// up, and keeps the order with the fewest crossings.
func (p *placement) sort(up, down [][]int) {
	best, crossings := p.snapshot(), p.crossings(down)
	for i := range sweeps {
		if crossings == 0 {
			break
		}
		if i%2 == 0 {
			for l := 1; l < len(p.layers); l++ {
				p.sortLayer(l, up)
			}
		} else {
			for l := len(p.layers) - 2; l >= 0; l-- {
				p.sortLayer(l, down)
			}
		}
		if n := p.crossings(down); n < crossings {
			best, crossings = p.snapshot(), n
		}
	}
	p.layers = best
	for _, layer := range p.layers {
		for i, c := range layer {
			p.cells[c].order = float64(i)
		}
	}
}

func (p *placement) snapshot() [][]int {
	out := make([][]int, len(p.layers))
	for i, l := range p.layers {
		out[i] = slices.Clone(l)
	}
	return out
}

func (p *placement) sortLayer(l int, neighbours [][]int) {
	layer := p.layers[l]
	middle := make(map[int]float64, len(layer))
	for _, c := range layer {
		middle[c] = p.cells[c].order
		if near := neighbours[c]; len(near) > 0 {
			sum := 0.0
			for _, n := range near {
				sum += p.cells[n].order
			}
			middle[c] = sum / float64(len(near))
		}
	}
	slices.SortStableFunc(layer, func(a, b int) int { return cmp.Compare(middle[a], middle[b]) })
	for i, c := range layer {
		p.cells[c].order = float64(i)
	}
}

// crossings counts the pairs of edges between neighbouring layers that cross.
func (p *placement) crossings(down [][]int) int {
	total := 0
	for l := range len(p.layers) - 1 {
		var ends []int // order of the lower ends, by the order of the upper ones
		for _, c := range p.layers[l] {
			low := len(ends)
			for _, d := range down[c] {
				ends = append(ends, int(p.cells[d].order))
			}
			slices.Sort(ends[low:])
		}
		total += inversions(ends)
	}
	return total
}

// inversions counts the pairs that stand in the wrong order, sorting s.
func inversions(s []int) int {
	if len(s) < 2 {
		return 0
	}
	half := len(s) / 2
	left, right := slices.Clone(s[:half]), slices.Clone(s[half:])
	n := inversions(left) + inversions(right)
	i, j := 0, 0
	for k := range s {
		if j == len(right) || i < len(left) && left[i] <= right[j] {
			s[k] = left[i]
			i++
			continue
		}
		s[k] = right[j]
		j++
		n += len(left) - i
	}
	return n
}

// straighten moves the cells of each layer towards the middle of their
// neighbours, as far as the order and the gaps allow.
func (p *placement) straighten(up, down [][]int, gap float64) {
	for _, layer := range p.layers {
		at := 0.0
		for _, c := range layer {
			p.cells[c].pos = at + p.cells[c].size/2
			at += p.cells[c].size + gap
		}
	}
	for i := range sweeps {
		for l := range p.layers {
			if i%2 == 1 {
				l = len(p.layers) - 1 - l
			}
			p.fit(p.layers[l], p.wishes(p.layers[l], i, up, down), gap)
		}
	}
	p.shift()
}

// wishes returns where the cells of a layer would like to be.
func (p *placement) wishes(layer []int, sweep int, up, down [][]int) []float64 {
	near := up
	if sweep%2 == 1 {
		near = down
	}
	wish := make([]float64, len(layer))
	for i, c := range layer {
		ns := near[c]
		if sweep >= sweeps-2 { // at last, look both ways
			ns = append(slices.Clone(up[c]), down[c]...)
		}
		wish[i] = p.cells[c].pos
		if len(ns) > 0 {
			sum := 0.0
			for _, n := range ns {
				sum += p.cells[n].pos
			}
			wish[i] = sum / float64(len(ns))
		}
	}
	return wish
}

// fit places the cells of a layer as near to their wishes as the distances
// between them allow: isotonic regression by pooling neighbours that would
// overlap.
func (p *placement) fit(layer []int, wish []float64, gap float64) {
	type pool struct {
		sum   float64
		count int
	}
	offset := make([]float64, len(layer)) // distance from the first cell at the closest packing
	for i := 1; i < len(layer); i++ {
		offset[i] = offset[i-1] + (p.cells[layer[i-1]].size+p.cells[layer[i]].size)/2 + gap
	}
	var pools []pool
	for i := range layer {
		pools = append(pools, pool{sum: wish[i] - offset[i], count: 1})
		for len(pools) > 1 {
			a, b := pools[len(pools)-2], pools[len(pools)-1]
			if a.sum/float64(a.count) < b.sum/float64(b.count) {
				break
			}
			pools = append(pools[:len(pools)-2], pool{sum: a.sum + b.sum, count: a.count + b.count})
		}
	}
	i := 0
	for _, q := range pools {
		for range q.count {
			p.cells[layer[i]].pos = q.sum/float64(q.count) + offset[i]
			i++
		}
	}
}

// shift moves the drawing so that it begins at zero.
func (p *placement) shift() {
	least := math.Inf(1)
	for _, c := range p.cells {
		least = min(least, c.pos-c.size/2)
	}
	for i := range p.cells {
		p.cells[i].pos -= least
	}
}

// breadth is the size of the drawing across the layers.
func (p *placement) breadth() float64 {
	most := 0.0
	for _, c := range p.cells {
		most = max(most, c.pos+c.size/2)
	}
	return most
}
