package flow

import (
	"fmt"
	"slices"
	"strings"
)

// check checks dependencies, references and cycles among the jobs, and adds the
// edges that references imply.
func (d *draft) check() {
	d.checkSchedules()
	f := d.flow
	index := make(map[string]int, len(f.Jobs))
	names := make([]string, len(f.Jobs))
	for i := range f.Jobs {
		index[f.Jobs[i].Name] = i
		names[i] = f.Jobs[i].Name
	}
	ok := true
	for i := range f.Jobs {
		j, jd := &f.Jobs[i], &d.jobs[i]
		j.Deps = slices.DeleteFunc(j.Deps, func(dep Dep) bool {
			_, known := index[dep.Job]
			switch {
			case dep.Job == j.Name:
				d.errorAt(jd.deps[dep.Job], "E201", fmt.Sprintf("job %q depends on itself", j.Name), "")
			case !known:
				if d.full() { // so many that the names are not compared any more
					break
				}
				d.errorAt(jd.deps[dep.Job], "E201", fmt.Sprintf("job %q depends on the unknown job %q", j.Name, dep.Job), didYouMean(dep.Job, names))
			default:
				return false
			}
			ok = false
			return true
		})
		d.checkUses(i, names, index)
	}
	d.checkTop(names, index)
	if ok {
		d.checkCycles(index)
	}
}

// checkUses checks the expressions of a job and adds the edges they imply.
func (d *draft) checkUses(i int, names []string, index map[string]int) {
	j, jd := &d.flow.Jobs[i], &d.jobs[i]
	iterated := j.Iterate != nil || j.Range != nil
	implied := map[string]DepOn{}
	var order []string
	for _, u := range jd.uses {
		for _, ref := range references(u) {
			if ref.Path[0] == "secrets" {
				d.checkSecret(ref, j, u)
				continue
			}
			if ref.Path[0] == "self" && (u.self || d.outer != nil) {
				continue
			}
			if !d.checkRef(ref, names, index, u.items && iterated, true) || ref.Path[0] != "jobs" {
				continue
			}
			other := ref.Path[1]
			if _, sibling := index[other]; !sibling {
				continue // a job of the flow to which the hook belongs; it has ended
			}
			if other == j.Name {
				d.refError(ref, fmt.Sprintf("job %q reads itself", j.Name), "")
				continue
			}
			on := OnFinished
			if !ref.Guarded && len(ref.Path) > 2 && ref.Path[2] == "outputs" {
				on = OnReady
			}
			if old, there := implied[other]; !there {
				order = append(order, other)
				implied[other] = on
			} else if old == OnFinished {
				implied[other] = on
			}
		}
	}
	for _, other := range order {
		if _, declared := jd.deps[other]; !declared {
			j.Deps = append(j.Deps, Dep{Job: other, On: implied[other], Implied: true})
		}
	}
}

// checkTop checks the expressions that belong to no job.
func (d *draft) checkTop(names []string, index map[string]int) {
	if d.inputs != nil && d.outer == nil {
		d.checkDefaults(d.inputs)
	}
	for i, k := range d.root.keys {
		at, known := d.lang.definition.index[k.text]
		if !known || d.lang.top[at].reads == noMoment {
			continue
		}
		early := d.lang.top[at].reads == atStart
		for _, ref := range references(use{v: d.root.items[i]}) {
			if early && ref.Path[0] == "jobs" {
				d.refError(ref, fmt.Sprintf("%q is computed before any job runs, so it cannot read one", k.text), "")
				continue
			}
			d.checkRef(ref, names, index, false, !early)
		}
	}
}

// checkDefaults checks that the default of an input reads only inputs declared
// above it.
func (d *draft) checkDefaults(inputs *value) {
	above := make([]string, 0, len(inputs.keys))
	for i, k := range inputs.keys {
		v := inputs.items[i]
		for n, key := range v.keys {
			if key.text == "default" {
				v = v.items[n]
				break
			}
		}
		for _, ref := range references(use{v: v}) {
			switch {
			case v == inputs.items[i] && v.kind == mapValue: // a label and the like
			case ref.Path[0] != "inputs":
				d.refError(ref, "defaults of inputs can read only inputs", "")
			case len(ref.Path) > 1 && !slices.Contains(above, ref.Path[1]):
				d.refError(ref, fmt.Sprintf("there is no input %q above this one", ref.Path[1]), hintOf(ref.Path[1], above, "inputs above"))
			}
		}
		above = append(above, k.text)
	}
}

func (d *draft) refError(ref place, message, hint string) {
	name := ref.Path[len(ref.Path)-1]
	if ref.Path[0] == "jobs" && len(ref.Path) > 1 {
		name = ref.Path[1]
	}
	offset := max(0, strings.Index(ref.v.text, name))
	if len(ref.Path) > 1 && ref.Path[0] != "jobs" {
		if at := strings.Index(ref.v.text, strings.Join(ref.Path[:2], ".")); at >= 0 {
			offset = at + len(ref.Path[0]) + 1
		}
		name = ref.Path[1]
	}
	line, column := ref.v.place(offset)
	d.report(SeverityError, "E204", line, column, len(name), message, hint)
}

// checkRef reports whether the value that a reference reads can exist.
func (d *draft) checkRef(ref place, names []string, index map[string]int, items, env bool) bool {
	second := ""
	if len(ref.Path) > 1 {
		second = ref.Path[1]
	}
	switch ref.Path[0] {
	case "inputs":
		return d.checkInputRef(ref, second)
	case "vars":
		var known []string
		for _, v := range d.owner().flow.Vars {
			known = append(known, v.Name)
		}
		if second != "" && !slices.Contains(known, second) {
			d.refError(ref, fmt.Sprintf("there is no var %q", second), hintOf(second, known, "vars"))
			return false
		}
	case "jobs":
		if _, ok := index[second]; !ok {
			if d.outer != nil && d.outer.named[second] {
				return true
			}
			hint := didYouMean(second, names)
			if second == strings.ToUpper(second) {
				hint = fmt.Sprintf("for a shell variable write $%s or $${%s}", second, second)
			}
			if hint == "" {
				hint = hintOf(second, names, "jobs")
			}
			d.refError(ref, fmt.Sprintf("there is no job %q", second), hint)
			return false
		}
	case "iterate":
		if !items {
			d.refError(ref, "iterate can be read only in the inputs and env of a job that has iterate", "")
			return false
		}
	case "run":
		known := []string{"id", "name", "recipe", "attempt", "startedAt", "labels", "submittedBy"}
		if d.outer != nil {
			known = append(known, "status", "failedJobs")
		}
		if second != "" && !slices.Contains(known, second) {
			d.refError(ref, fmt.Sprintf("run has no %q", second), hintOf(second, known, "the keys of run"))
			return false
		}
	case "env":
		if !env {
			d.refError(ref, "env can be read only in jobs", "")
			return false
		}
	case "secrets":
		d.refError(ref, "secrets can be read only in the inputs and the env of a job", "")
		return false
	case "item", "self":
		d.refError(ref, fmt.Sprintf("%s does not exist here", ref.Path[0]), map[string]string{"item": "write iterate.item"}[ref.Path[0]])
		return false
	}
	return true
}

func (d *draft) checkInputRef(ref place, name string) bool {
	f := d.owner().flow
	if d.inputs == nil {
		f.OpenInputs = true
		return true
	}
	known := make([]string, len(f.Inputs))
	for i := range f.Inputs {
		known[i] = f.Inputs[i].Name
	}
	if name == "" || slices.Contains(known, name) {
		return true
	}
	d.refError(ref, fmt.Sprintf("there is no input %q", name), hintOf(name, known, "inputs"))
	return false
}

func hintOf(word string, known []string, what string) string {
	if hint := didYouMean(word, known); hint != "" {
		return hint
	}
	if len(known) == 0 {
		return "there are no " + what
	}
	if len(known) > 12 {
		known = append(known[:12:12], "...")
	}
	return what + " are " + strings.Join(known, ", ")
}

// checkCycles visits the jobs in dependency order. The jobs that remain wait for
// themselves; one cycle of them is reported.
func (d *draft) checkCycles(index map[string]int) {
	jobs := d.flow.Jobs
	waiting, next := make([]int, len(jobs)), make([][]int, len(jobs))
	var ready []int
	for i := range jobs {
		for _, dep := range jobs[i].Deps {
			next[index[dep.Job]] = append(next[index[dep.Job]], i)
		}
		if waiting[i] = len(jobs[i].Deps); waiting[i] == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		i := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		for _, n := range next[i] {
			if waiting[n]--; waiting[n] == 0 {
				ready = append(ready, n)
			}
		}
	}
	start := slices.IndexFunc(waiting, func(n int) bool { return n > 0 })
	if start < 0 {
		return
	}
	// Following dependencies from a remaining job must lead into a cycle.
	seen := map[int]int{}
	var path []int
	for at := start; ; {
		if first, again := seen[at]; again {
			path = path[first:]
			break
		}
		seen[at] = len(path)
		path = append(path, at)
		for _, dep := range jobs[at].Deps {
			if i := index[dep.Job]; waiting[i] > 0 {
				at = i
				break
			}
		}
	}
	least := slices.Index(path, slices.Min(path))
	path = append(path[least:], path[:least]...)
	d.reportCycle(path)
}

func (d *draft) reportCycle(path []int) {
	var b strings.Builder
	for n, i := range path {
		if len(path) > 12 && n == 6 {
			fmt.Fprintf(&b, "... %d more ... -> ", len(path)-12)
		}
		if len(path) > 12 && n >= 6 && n < len(path)-6 {
			continue
		}
		at := d.jobs[i].name
		fmt.Fprintf(&b, "%s (%d:%d) -> ", at.text, at.line, at.column)
	}
	first := d.jobs[path[0]].name
	d.errorAt(first, "E202", "these jobs wait for each other: "+b.String()+first.text, "remove one of the dependencies")
}
