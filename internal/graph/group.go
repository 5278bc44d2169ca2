package graph

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/orchis-run/orchis/pkg/run"
)

// Fold returns a graph of at most about most nodes: jobs of a layer that are
// done by the same handler become one node, unless their group is in open. A
// graph that is small enough stays as it is.
func (g *Graph) Fold(most int, open map[string]bool) *Graph {
	if len(g.Nodes) <= most {
		return g
	}
	layer := layersOf(len(g.Nodes), g.Edges)
	key := func(i int) string { return fmt.Sprintf("%d %s", layer[i], g.Nodes[i].Detail) }
	folded := g.merge(key, open)
	if len(folded.Nodes) <= 4*most {
		return folded
	}
	depth := slices.Max(layer) + 1
	return g.merge(func(i int) string { return strconv.Itoa(layer[i] * most / depth) }, open)
}

// merge makes one node of those that share a key.
func (g *Graph) merge(key func(int) string, open map[string]bool) *Graph {
	out := &Graph{Title: g.Title}
	size := map[string]int{}
	for i := range g.Nodes {
		size[key(i)]++
	}
	at := make([]int, len(g.Nodes))
	groups := map[string]int{}
	ends := map[int]*[2]string{} // the first and the last member of a group
	for i, n := range g.Nodes {
		k := key(i)
		if size[k] == 1 || open[k] {
			at[i] = len(out.Nodes)
			out.Nodes = append(out.Nodes, n)
			continue
		}
		where, there := groups[k]
		if !there {
			where = len(out.Nodes)
			groups[k] = where
			out.Nodes = append(out.Nodes, Node{Path: "@" + k, Group: k, Name: n.Name, Detail: n.Detail, States: map[run.TaskState]int{}})
		}
		at[i] = where
		grp := &out.Nodes[where]
		if grp.Members++; grp.Members == 1 {
			ends[where] = &[2]string{n.Name, ""}
		}
		ends[where][1] = n.Name
		grp.Name = alike(grp.Name, n.Name)
		grp.States[n.State]++
		grp.State = Telling(grp.States)
	}
	for i := range out.Nodes {
		if n := &out.Nodes[i]; n.Group != "" {
			n.Name, n.Detail = groupName(n.Name, n.Detail, *ends[i])
		}
	}
	seen := map[[2]int]bool{}
	for _, e := range g.Edges {
		pair := [2]int{at[e.From], at[e.To]}
		if pair[0] == pair[1] || seen[pair] {
			continue
		}
		seen[pair] = true
		out.Edges = append(out.Edges, Edge{From: pair[0], To: pair[1], Implied: e.Implied})
	}
	return out
}

// alike is how two names begin alike.
func alike(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

// groupName is what a group is called: how its members' names begin, if that
// says anything, else what does them. Groups whose names begin alike are told
// apart by how their ends go on.
func groupName(begin, detail string, ends [2]string) (name, second string) {
	if begin = strings.TrimRight(begin, "_-.0123456789"); len(begin) > 2 {
		from, to := strings.TrimLeft(ends[0][len(begin):], "_-."), strings.TrimLeft(ends[1][len(begin):], "_-.")
		if from != "" && to != "" && len(from) <= 8 && len(to) <= 8 {
			detail = strings.TrimSpace(detail + " " + from + "–" + to)
		}
		return begin, detail
	}
	if detail == "" {
		return "jobs", ""
	}
	return detail, ""
}

// Telling is the state that says most about several tasks: what went wrong, then
// what is going on, then what is to come.
func Telling(states map[run.TaskState]int) run.TaskState {
	for _, s := range []run.TaskState{
		run.TaskFailed, run.TaskRunning, run.TaskRetrying, run.TaskWaiting, run.TaskQueued, run.TaskDelayed,
		run.TaskPending, run.TaskBlocked, run.TaskCancelled, run.TaskSucceeded, run.TaskCached, run.TaskSkipped,
	} {
		if states[s] > 0 {
			return s
		}
	}
	return ""
}
