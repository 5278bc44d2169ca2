package flow

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/orchis-run/orchis/internal/expr"
)

func (d *draft) readJobs(v *value, o Options) {
	if v.kind != mapValue {
		d.wrongType(v, "jobs", "a map of jobs")
		return
	}
	if len(v.keys) > o.MaxTasks {
		d.errorAt(v, "E003", fmt.Sprintf("the flow has %d jobs, more than the limit of %d", len(v.keys), o.MaxTasks), "")
		return
	}
	d.flow.Jobs, d.jobs = slices.Grow(d.flow.Jobs, len(v.keys)), slices.Grow(d.jobs, len(v.keys))
	for i, k := range v.keys {
		if d.name(k, "a job") {
			d.readJob(k, v.items[i], false, "", o)
		}
	}
}

// readFlows reads the flows of a recipe: a map, or a list in which each waits
// for the one before it.
func (d *draft) readFlows(v *value, o Options) {
	switch v.kind {
	case mapValue:
		for i, k := range v.keys {
			if d.name(k, "a job") {
				d.readJob(k, v.items[i], true, "", o)
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
			if body.kind == scalarValue && body.scalar == nil {
				body = &value{kind: mapValue, line: k.line, column: k.column}
			}
		} else if item.kind != scalarValue || item.scalar == nil {
			d.errorAt(item, "E104", "each of flows must be a name, or a name with its settings", "as in `- extract` or `- extract: {inputs: ...}`")
			continue
		}
		if d.name(k, "a job") {
			d.readJob(k, body, true, previous, o)
			previous = k.text
		}
	}
}

func (d *draft) readJob(k, v *value, inRecipe bool, previous string, o Options) {
	if d.named[k.text] {
		d.errorAt(k, "E101", fmt.Sprintf("there are two flows named %q", k.text), "rename one of them and give it `flow:`")
		return
	}
	d.named[k.text] = true
	if v.kind == scalarValue && v.scalar == nil && inRecipe {
		v = &value{kind: mapValue, line: k.line, column: k.column}
	}
	rd := d.jobReader(inRecipe)
	j, jd := &rd.job, &rd.draft
	*j = Job{Name: k.text, Priority: -1, FailFast: true, Retries: defaultRetries(-1)}
	*jd = jobDraft{name: k, body: v}
	before := len(*d.out)
	d.read(v, "job "+strconv.Quote(k.text), rd.fields)
	switch {
	case jd.calls != nil && j.Handler != "" && j.Handler != "runWorkflow":
		d.errorAt(k, "E105", fmt.Sprintf("job %q has both job and flow", k.text), "keep one of the two")
	case j.Handler == "runWorkflow" && jd.calls == nil:
		d.errorAt(k, "E105", fmt.Sprintf("job %q runs a workflow and does not say which", k.text), "add `workflowPath:`")
	case jd.byWay == "workflowPath" && j.Handler != "runWorkflow":
		d.errorAt(jd.calls, "E105", "workflowPath goes with `job: runWorkflow`", "write `flow:` instead")
	case jd.isSet["approval"] || jd.isSet["waitFor"]:
		d.onlyWaits(j, jd)
	case jd.calls == nil && inRecipe:
		jd.calls, jd.byWay = k, "flow"
	case jd.calls == nil && j.Handler == "" && jd.isSet["delay"]:
		d.onlyWaits(j, jd)
	case jd.calls == nil && j.Handler == "" && len(*d.out) == before && v.kind == mapValue:
		d.errorAt(k, "E105", fmt.Sprintf("job %q does not say what to do", k.text), "add `job:` with a handler, or `flow:`")
	}
	if jd.calls != nil {
		j.Handler = ""
	}
	if previous != "" && !jd.isSet["dependsOn"] {
		j.Deps = []Dep{{Job: previous}}
		jd.dependsOn(previous, k)
	}
	d.mayCache(j, jd)
	if j.KeepArtifacts > 0 && (jd.calls != nil || j.Handler == "") {
		d.errorAt(k, "E105", fmt.Sprintf("job %q has no handler that could make artifacts", j.Name), "give `artifacts` to the jobs of the flow")
	}
	d.needIterate(j, jd)
	d.noPaste(j, v)
	d.inherit(j, jd, o)
	d.flow.Jobs = append(d.flow.Jobs, *j)
	d.jobs = append(d.jobs, *jd)
}

// inherit fills in what the job does not say, from the defaults and options.
func (d *draft) inherit(j *Job, jd *jobDraft, o Options) {
	df := &d.defaults
	if jd.calls != nil || j.Handler == "" {
		if j.Retries.Max < 0 {
			j.Retries.Max = 0
		}
		d.noSecretsFor(j, jd)
	} else {
		if !jd.isSet["retries"] && df.retries != nil {
			j.Retries = *df.retries
		}
		if j.Retries.Max < 0 {
			j.Retries.Max = o.Retries
		}
		if !jd.isSet["timeout"] {
			j.Timeout = o.Timeout
			if df.timeout != nil {
				j.Timeout = *df.timeout
			}
		}
		if !jd.isSet["queueTimeout"] && df.queueTimeout != nil {
			j.QueueTimeout = *df.queueTimeout
		}
		if !jd.isSet["heartbeatTimeout"] && df.heartbeat != nil {
			j.HeartbeatTimeout = *df.heartbeat
		}
	}
	if j.Queue == "" {
		j.Queue = df.queue
	}
	if j.Queue == "" {
		j.Queue = "default"
	}
	if j.Priority < 0 && df.priority != nil {
		j.Priority = *df.priority
	}
	if len(df.env) > 0 && j.Handler != "" {
		all := maps.Clone(df.env)
		maps.Copy(all, j.Env)
		j.Env = all
		if df.envValue != nil {
			jd.uses = append(jd.uses, use{v: df.envValue, items: true, defaults: true})
		}
	}
}

// jobReader reads one job after another: what a job may say is put together
// once for all jobs of a definition.
type jobReader struct {
	job    Job
	draft  jobDraft
	fields map[string]field
}

func (d *draft) jobReader(inRecipe bool) *jobReader {
	at := 0
	if inRecipe {
		at = 1
	}
	if d.readers[at] == nil {
		rd := &jobReader{}
		rd.fields = d.jobFields(&rd.job, &rd.draft, inRecipe)
		d.readers[at] = rd
	}
	return d.readers[at]
}

// dependsOn notes where it stands that the job waits for another.
func (jd *jobDraft) dependsOn(name string, at *value) {
	if jd.deps == nil {
		jd.deps = map[string]*value{}
	}
	jd.deps[name] = at
}

// jobFields is what a job may say.
func (d *draft) jobFields(j *Job, jd *jobDraft, inRecipe bool) map[string]field {
	used := func(f field, u use) field {
		return func(k, v *value) {
			u.v = v
			jd.uses = append(jd.uses, u)
			f(k, v)
		}
	}
	set := func(f field) field {
		return func(k, v *value) {
			if jd.isSet == nil {
				jd.isSet = map[string]bool{}
			}
			jd.isSet[k.text] = true
			f(k, v)
		}
	}
	calls := func(k, v *value) {
		if _, ok := v.scalar.(string); v.kind != scalarValue || !ok || v.text == "" {
			d.wrongType(v, k.text, "the name or the path of a flow")
			return
		}
		jd.calls, jd.byWay = v, k.text
	}
	fields := map[string]field{
		"flow": calls, "dependsOn": set(d.dependsOn(j, jd)), "inputs": used(d.template(&j.Inputs), use{items: true, secrets: true}),
		"if": used(d.condition(&j.If), use{condition: true}), "iterate": set(used(d.iterate(j), use{})),
		"batch":       d.count(&j.Batch, 1),
		"concurrency": d.concurrency(&j.Concurrency, jd),
		"delay":       set(d.delay(j, jd)),
		"approval":    set(d.approval(j, jd)),
		"waitFor":     set(d.waitFor(j, jd)),
		"onFailure":   d.jobHook(),
		"iteratePick": d.text(&j.IteratePick), "parallelism": d.count(&j.Parallelism, 1),
		"failFast": d.boolean(&j.FailFast), "maxFailures": d.maxFailures(j),
		"retries": set(d.retries(&j.Retries)), "timeout": set(d.duration(&j.Timeout)),
		"continueOnError": d.boolean(&j.ContinueOnError), "priority": d.priority(&j.Priority),
		"description": d.text(&j.Description), "labels": d.texts(&j.Labels),
		"outputs": func(_, v *value) { j.Outputs = d.readContract(v) },
	}
	if inRecipe {
		return fields
	}
	maps.Copy(fields, map[string]field{
		"rateLimit": d.rateLimit(j, jd),
		"job":       d.handler(j), "workflowPath": calls, "queue": d.queue(&j.Queue),
		"queueTimeout":     set(d.duration(&j.QueueTimeout)),
		"heartbeatTimeout": set(d.duration(&j.HeartbeatTimeout)),
		"cache":            d.cache(j, jd),
		"artifacts":        d.artifacts(j),
		"env":              used(d.env(&j.Env), use{items: true, secrets: true}),
		"secrets":          d.secrets(j),
	})
	return fields
}

func (d *draft) handler(j *Job) field {
	return func(k, v *value) {
		d.text(&j.Handler)(k, v)
		if j.Handler == "" && v.scalar == "" {
			d.errorAt(v, "E104", "job must name a handler", "")
		}
		if j.Handler != "" && !handlerForm.MatchString(j.Handler) {
			d.errorAt(v, "E106", fmt.Sprintf("%.80q is no name for a handler", j.Handler), "names hold letters, digits and . _ : -, begin with a letter, a digit or _, and have at most 128 letters")
		}
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

func (d *draft) dependsOn(j *Job, jd *jobDraft) field {
	add := func(at *value, name string, on DepOn) {
		if _, twice := jd.deps[name]; twice {
			d.errorAt(at, "E201", fmt.Sprintf("job %q depends twice on %q", j.Name, name), "remove one of the two")
			return
		}
		jd.dependsOn(name, at)
		j.Deps = append(j.Deps, Dep{Job: name, On: on})
	}
	return func(k, v *value) {
		switch v.kind {
		case listValue:
			for _, item := range v.items {
				if s, ok := item.scalar.(string); ok && item.kind == scalarValue {
					add(item, s, OnReady)
					continue
				}
				d.wrongType(item, "each of dependsOn", "the name of a job")
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
}

// references returns what the expressions of a value read, with their places.
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

// place is a reference and the scalar it stands in.
type place struct {
	expr.Ref
	v *value
}
