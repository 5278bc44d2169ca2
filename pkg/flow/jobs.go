package flow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/orchis-run/orchis/internal/expr"
)

// parsedJob is a job being read: the job of the model, and the draft that the
// checks of its definition need.
type parsedJob struct {
	Job
	jobDraft
}

// jobDraft is the places of a job and its keys, for diagnostics.
type jobDraft struct {
	name *value
	body *value
	deps map[string]*value
	// calls is the name or the path of the nested flow; byWay is the key that
	// holds it, flow or workflowPath.
	calls *value
	byWay string
	uses  []use
	// envAt is the place of env in defaults; nil in jobs.
	envAt *value
}

// has reports whether the job has a key.
func (jd *jobDraft) has(key string) bool { return jd.body.get(key) != nil }

func (d *draft) readJobs(v *value) {
	if v.kind != mapValue {
		d.wrongType(v, "jobs", "a map of jobs")
		return
	}
	if len(v.keys) > d.o.MaxTasks {
		d.errorAt(v, "E003", fmt.Sprintf("the flow has %d jobs, more than the limit of %d", len(v.keys), d.o.MaxTasks), "")
		return
	}
	d.flow.Jobs, d.jobs = slices.Grow(d.flow.Jobs, len(v.keys)), slices.Grow(d.jobs, len(v.keys))
	for i, k := range v.keys {
		if d.name(k, "a job") {
			d.readJob(k, v.items[i], false, "")
		}
	}
}

// readFlows reads the flows of a recipe: a map, or a list in which each waits
// for the one before it.
func (d *draft) readFlows(v *value) {
	switch v.kind {
	case mapValue:
		for i, k := range v.keys {
			if d.name(k, "a job") {
				d.readJob(k, v.items[i], true, "")
			}
		}
		return
	case scalarValue:
		d.wrongType(v, "flows", "a map or a list of flows")
		return
	}
	previous := ""
	for _, item := range v.items {
		k, body := item, &value{kind: mapValue, line: item.line, column: item.column}
		if item.kind == mapValue && len(item.keys) == 1 {
			k, body = item.keys[0], item.items[0]
		} else if item.kind != scalarValue || item.scalar == nil {
			d.errorAt(item, "E104", "each entry of flows must be a name, or a name with its settings", "as in `- extract` or `- extract: {inputs: ...}`")
			continue
		}
		if d.name(k, "a job") {
			d.readJob(k, body, true, previous)
			previous = k.text
		}
	}
}

// readJob reads a job. Without dependsOn it waits for the job previous, if any.
func (d *draft) readJob(k, v *value, inRecipe bool, previous string) {
	if d.named[k.text] {
		d.errorAt(k, "E101", fmt.Sprintf("there are two flows named %q", k.text), "rename one of them and give it `flow:`")
		return
	}
	d.named[k.text] = true
	keys := &d.lang.job
	if inRecipe {
		keys = &d.lang.step
	}
	if v.kind == scalarValue && v.scalar == nil && inRecipe {
		v = &value{kind: mapValue, line: k.line, column: k.column}
	}
	j := &d.parsing
	*j = keys.start
	j.Name, j.name, j.body = k.text, k, v
	d.uses = nil
	before := len(*d.out)
	keys.read(d, v, "job "+strconv.Quote(k.text), j)
	j.uses = d.uses
	if inRecipe && j.calls == nil && !j.has("approval") && !j.has("waitFor") {
		j.calls, j.byWay = k, "flow" // it starts the flow of its own name
	}
	form := d.formOf(j, len(*d.out) == before)
	if j.calls != nil {
		j.Handler = ""
	}
	if previous != "" && !j.has("dependsOn") {
		j.Deps = []Dep{{Job: previous}}
		j.dependsOn(previous, k)
	}
	d.checkKeys(j, keys, form)
	d.mayCache(j)
	d.noPaste(&j.Job, j.body)
	d.inherit(j, form)
	d.flow.Jobs = append(d.flow.Jobs, j.Job)
	d.jobs = append(d.jobs, j.jobDraft)
}

// dependsOn records the place of a dependency.
func (jd *jobDraft) dependsOn(name string, at *value) {
	if jd.deps == nil {
		jd.deps = map[string]*value{}
	}
	jd.deps[name] = at
}

// asHandler is the name of a handler.
func asHandler(at func(*parsedJob) *string) kind[parsedJob] {
	return as(schema{"type": "string", "pattern": handlerForm.String()}, at, (*draft).handler)
}

func (d *draft) handler(to *string, k, v *value) {
	d.text(to, k, v)
	if *to == "" && v.scalar == "" {
		d.errorAt(v, "E104", "job must name a handler", "")
	}
	if *to != "" && !handlerForm.MatchString(*to) {
		d.errorAt(v, "E106", fmt.Sprintf("%.80q is not a valid name for a handler", *to), "use letters, digits and . _ : -, begin with a letter, a digit or _, at most 128 characters")
	}
}

// asCall is the name or the path of a flow to start.
func asCall() kind[parsedJob] {
	return kind[parsedJob]{schema: typed("string"), read: func(d *draft, j *parsedJob, k, v *value) {
		if _, ok := v.scalar.(string); v.kind != scalarValue || !ok || v.text == "" {
			d.wrongType(v, k.text, "the name or the path of a flow")
			return
		}
		j.calls, j.byWay = v, k.text
	}}
}

// asDependsOn is a job, a list of jobs, or a map of jobs and outcomes.
func asDependsOn() kind[parsedJob] {
	outcomes := words(string(OnSucceeded), string(OnFinished), string(OnFailed))
	return kind[parsedJob]{
		schema: one(typed("string"), listOf(typed("string")), mapOf(outcomes)),
		read:   (*draft).readDependsOn,
	}
}

func (d *draft) readDependsOn(j *parsedJob, k, v *value) {
	add := func(at *value, name string, on DepOn) {
		if _, twice := j.deps[name]; twice {
			d.errorAt(at, "E201", fmt.Sprintf("job %q depends on %q twice", j.Name, name), "remove one of the two")
			return
		}
		j.dependsOn(name, at)
		j.Deps = append(j.Deps, Dep{Job: name, On: on})
	}
	switch v.kind {
	case listValue:
		for _, item := range v.items {
			if s, ok := item.scalar.(string); ok && item.kind == scalarValue {
				add(item, s, OnReady)
				continue
			}
			d.wrongType(item, "each entry of dependsOn", "the name of a job")
		}
	case mapValue:
		for i, key := range v.keys {
			on := DepOn(v.items[i].text)
			if on != OnSucceeded && on != OnFinished && on != OnFailed {
				d.wrongType(v.items[i], "dependsOn."+key.text, "succeeded, finished or failed")
				continue
			}
			add(key, key.text, on)
		}
	default:
		if s, ok := v.scalar.(string); ok {
			add(v, s, OnReady)
			return
		}
		d.wrongType(v, k.text, "a job's name, a list of names, or a map of names and outcomes")
	}
}

// readContract reads the outputs a job declares: name -> type, or as inputs.
func (d *draft) readContract(v *value) []Input {
	if v.kind != mapValue {
		d.wrongType(v, "outputs of a job", "a map of names and types")
		return nil
	}
	var out []Input
	for i, k := range v.keys {
		item := v.items[i]
		if item.kind == listValue {
			d.wrongType(item, "output "+strconv.Quote(k.text), "a type or a declaration")
			continue
		}
		if item.kind == scalarValue {
			item = &value{
				kind: mapValue, line: item.line, column: item.column,
				keys: []*value{{text: "type", line: k.line, column: k.column}}, items: []*value{item},
			}
		}
		out = append(out, d.readInput(k, item))
	}
	return out
}

// references returns the references of the expressions in a value, with their
// places.
func references(u use) []place {
	var out []place
	var walk func(v *value)
	walk = func(v *value) {
		for _, item := range v.items {
			walk(item)
		}
		if v.kind != scalarValue || !u.condition && !strings.Contains(v.text, "${") {
			return
		}
		var refs []expr.Ref
		if u.condition {
			if c, err := expr.ParseCondition(v.text); err == nil {
				refs = c.Refs()
			}
		} else if t, err := expr.ParseTemplate(v.text); err == nil {
			refs = t.Refs()
		}
		for _, r := range refs {
			out = append(out, place{Ref: r, v: v})
		}
	}
	walk(u.v)
	return out
}

// place is a reference and the scalar that contains it.
type place struct {
	expr.Ref
	v *value
}
