package flow

import (
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// draft is a definition being read, with the places of its parts.
type draft struct {
	*source
	lang *language
	o    Options
	flow *Flow
	root *value
	jobs []jobDraft
	// named are the names of the jobs that have been read.
	named    map[string]bool
	defaults *defaults
	hasPrio  bool
	// outer is the definition to which the jobs of a hook belong.
	outer *draft
	hooks []hookDraft
	// scheduled are the places of the schedules.
	scheduled []*value

	// parsing is the job in hand; uses are the expressions that were read since
	// it began.
	parsing parsedJob
	uses    []use

	// inputs, vars, jobsAt and flowsAt are read after all other keys.
	inputs, vars, jobsAt, flowsAt *value
}

// use is a value with expressions, and what these may read.
type use struct {
	v         *value
	condition bool // it is one expression without ${}
	items     bool // it may read iterate
	secrets   bool // it may read the secrets of the job
	defaults  bool // it comes from defaults
	self      bool // it may read self, a signal
}

// used notes a value with expressions.
func (d *draft) used(v *value, u use) {
	u.v = v
	d.uses = append(d.uses, u)
}

// topKey is a row of the table of a definition's keys.
type topKey struct {
	name, doc string
	kind      kind[draft]
	reads     moment
}

// moment is when the value of a key is computed, and so what it can read.
type moment int

const (
	noMoment moment = iota // it has no expressions
	atStart                // before any job runs
	atEnd                  // after all jobs
)

// topKeys is the table of the keys of a recipe or flow in their usual order:
// what it is, what goes in, what holds for all, the jobs, what comes out, and
// what follows.
func topKeys(l *language) []topKey {
	return []topKey{
		{name: "name", doc: "Shown to people; by default the name of the file.", kind: asText(func(d *draft) *string { return &d.flow.Name })},
		{name: "description", doc: "Shown to people.", kind: asText(func(d *draft) *string { return &d.flow.Description })},
		{name: "labels", doc: "Labels to search and group runs by.", kind: asTexts(func(d *draft) *map[string]string { return &d.flow.Labels })},
		{name: "schedule", doc: "Starts runs at fixed times.", kind: asSchedules(&l.schedule)},
		{name: "retention", doc: "How long runs are kept after they end.", kind: asPart(&l.retention, func(d *draft) **Retention { return &d.flow.Retention })},
		{name: "inputs", doc: "The inputs by name: a constant, or a declaration.", kind: later(declarations(), func(d *draft) **value { return &d.inputs })},
		{name: "vars", doc: "Values computed once at the start, from inputs and the vars above.", kind: later(typed("object"), func(d *draft) **value { return &d.vars }), reads: atStart},
		{name: "defaults", doc: "Values for all jobs below that do not set their own, in nested flows too.", kind: asDefaults(&l.defaults)},
		{name: "timeout", doc: "The time limit of the run or the nested flow.", kind: asDuration(func(d *draft) *time.Duration { return &d.flow.Timeout })},
		{name: "parallelism", doc: "The most tasks that are with workers at once.", kind: asCount(1, func(d *draft) *int { return &d.flow.Parallelism })},
		{name: "priority", doc: "The order of tickets: low, normal, high, or 0 to 9.", kind: asPriority(func(d *draft) *int { return &d.flow.Priority })},
		{name: "concurrency", doc: "The most runs at once, in a group that all runs share.", kind: asPart(&l.concurrency, func(d *draft) **Concurrency { return &d.flow.Concurrency }), reads: atStart},
		{name: "flows", doc: "The flows that a recipe starts: by name, or a list in which each waits for the one before.", kind: later(one(ref("steps"), listOf(one(ref("jobName"), ref("steps")))), func(d *draft) **value { return &d.flowsAt })},
		{name: "jobs", doc: "The jobs of a flow, by name.", kind: later(ref("jobs"), func(d *draft) **value { return &d.jobsAt })},
		{name: "outputs", doc: "The result; by default the outputs of all jobs.", kind: asTemplate(use{}, func(d *draft) **expr.Template { return &d.flow.Outputs }), reads: atEnd},
		{name: "onFailure", doc: "Jobs that run after a failure.", kind: asHook(OnFailureHook, "hook")},
		{name: "onSuccess", doc: "Jobs that run after a success.", kind: asHook(OnSuccessHook, "lateHook")},
		{name: "onCancel", doc: "Jobs that run after a cancel.", kind: asHook(OnCancelHook, "lateHook")},
		{name: "finally", doc: "Jobs that run at the end, whatever happened.", kind: asHook(FinallyHook, "lateHook")},
	}
}

// later is a value that is read after all other keys.
func later(s schema, at func(*draft) **value) kind[draft] {
	return as(s, at, func(_ *draft, to **value, _, v *value) { *to = v })
}

// define reads the top level of a recipe or flow.
func (d *draft) define(v *value) {
	f := d.flow
	d.root, f.Priority = v, -1
	d.lang.definition.read(d, v, "the definition", d)
	if v.kind != mapValue {
		return
	}
	if d.inputs != nil {
		f.Inputs = d.readInputs(d.inputs)
	}
	if d.vars != nil {
		d.readVars(d.vars)
	}
	switch {
	case d.flowsAt != nil && d.jobsAt != nil:
		d.errorAt(d.flowsAt, "E105", "a definition has either flows or jobs, not both", "put the jobs into a flow of their own")
	case d.flowsAt != nil:
		f.Kind = KindRecipe
		d.readFlows(d.flowsAt)
	case d.jobsAt != nil:
		f.Kind = KindFlow
		d.readJobs(d.jobsAt)
	default:
		d.errorAt(v, "E105", "there are neither jobs nor flows", "a flow has `jobs:`, a recipe `flows:`")
	}
}

func (d *draft) readVars(v *value) {
	if v.kind != mapValue {
		d.wrongType(v, "vars", "a map")
		return
	}
	for i, k := range v.keys {
		if !d.name(k, "a var") {
			continue
		}
		nv := Var{Name: k.text}
		d.template(&nv.Value, k, v.items[i])
		d.flow.Vars = append(d.flow.Vars, nv)
	}
}

func retentionPart() part[Retention] {
	return newPart("retention", "", []key[Retention]{
		{"success", "Runs that succeeded.", asLifetime(func(r *Retention) *time.Duration { return &r.Success })},
		{"failure", "Runs that failed or were cancelled.", asLifetime(func(r *Retention) *time.Duration { return &r.Failure })},
	})
}
