package flow

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// draft is a flow being read, with the places of its parts.
type draft struct {
	*source
	flow     *Flow
	root     *value
	jobs     []jobDraft
	named    map[string]bool // jobs by name
	inputs   *value
	defaults defaults
	hasPrio  bool
	// outer is the definition to which the jobs of a hook belong.
	outer *draft
	hooks []hookDraft
	// scheduled are the places of the schedules.
	scheduled []*value
	readers   [2]*jobReader // of a flow's jobs, of a recipe's
}

type jobDraft struct {
	name  *value
	body  *value
	deps  map[string]*value
	calls *value // the name or path of the nested flow
	byWay string // flow or workflowPath
	uses  []use
	isSet map[string]bool
	cache *value // its key
	// noCache is what `cache: false` says.
	noCache bool
}

// use is a value with expressions, and what may be read in it.
type use struct {
	v         *value
	condition bool
	items     bool // iterate
	secrets   bool
	defaults  bool // it is not the job's own
	self      bool // self is a signal
}

// defaults are the job fields that a definition sets for all jobs below it.
type defaults struct {
	retries      *Retries
	timeout      *time.Duration
	queueTimeout *time.Duration
	heartbeat    *time.Duration
	queue        string
	priority     *int
	env          map[string]*expr.Template
	envValue     *value
	cache        *Cache
}

// define reads the top level of a recipe or flow.
func (d *draft) define(v *value, o Options) {
	f := d.flow
	d.root = v
	var flows, jobs, vars *value
	hold := func(to **value) field { return func(_, v *value) { *to = v } }
	f.Priority = -1
	known := map[string]field{
		"name": d.text(&f.Name), "description": d.text(&f.Description), "labels": d.texts(&f.Labels),
		"inputs": hold(&d.inputs), "vars": hold(&vars), "flows": hold(&flows), "jobs": hold(&jobs),
		"outputs": d.template(&f.Outputs), "timeout": d.duration(&f.Timeout),
		"parallelism": d.count(&f.Parallelism, 1), "priority": d.priority(&f.Priority),
		"defaults": d.readDefaults(o), "concurrency": d.concurrency(&f.Concurrency, nil),
		"schedule": d.schedules(), "retention": d.retention(f),
	}
	for _, on := range HookKinds() {
		known[string(on)] = func(k, v *value) { d.hooks = append(d.hooks, hookDraft{on: on, name: k, body: v, job: -1}) }
	}
	for _, k := range v.keys {
		if strings.HasPrefix(k.text, "x-") {
			known[k.text] = func(_, _ *value) {}
		}
	}
	d.read(v, "the definition", known)
	if v.kind != mapValue {
		return
	}
	if d.inputs != nil {
		f.Inputs = d.readInputs(d.inputs)
	}
	if vars != nil {
		d.readVars(vars)
	}
	switch {
	case flows != nil && jobs != nil:
		d.errorAt(flows, "E105", "a definition has either flows or jobs, not both", "put the jobs into a flow of their own")
	case flows != nil:
		f.Kind = KindRecipe
		d.readFlows(flows, o)
	case jobs != nil:
		f.Kind = KindFlow
		d.readJobs(jobs, o)
	default:
		d.errorAt(v, "E105", "there are neither jobs nor flows", "a flow has `jobs:`, a recipe `flows:`")
	}
}

// retention reads how long runs are kept.
func (d *draft) retention(f *Flow) field {
	return func(_, v *value) {
		r := &Retention{}
		d.read(v, "retention", map[string]field{"success": d.life(&r.Success), "failure": d.life(&r.Failure)})
		f.Retention = r
	}
}

// artifacts reads how long the files of a job are kept.
func (d *draft) artifacts(j *Job) field {
	return func(_, v *value) {
		d.read(v, "artifacts", map[string]field{"keep": d.life(&j.KeepArtifacts)})
	}
}

// life is a duration for which something is kept.
func (d *draft) life(to *time.Duration) field {
	return func(k, v *value) {
		before := len(*d.out)
		d.duration(to)(k, v)
		if *to < time.Minute && len(*d.out) == before {
			d.errorAt(v, "E104", fmt.Sprintf("%s must be at least 1m", k.text), "")
		}
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
		d.template(&nv.Value)(k, v.items[i])
		d.flow.Vars = append(d.flow.Vars, nv)
	}
}

func (d *draft) readDefaults(o Options) field {
	return func(_, v *value) {
		df := &d.defaults
		var r Retries
		var timeout, queueTimeout, heartbeat time.Duration
		var priority int
		d.read(v, "defaults", map[string]field{
			"retries":          func(k, v *value) { r = defaultRetries(o.Retries); d.retries(&r)(k, v); df.retries = &r },
			"timeout":          func(k, v *value) { d.duration(&timeout)(k, v); df.timeout = &timeout },
			"queueTimeout":     func(k, v *value) { d.duration(&queueTimeout)(k, v); df.queueTimeout = &queueTimeout },
			"heartbeatTimeout": func(k, v *value) { d.duration(&heartbeat)(k, v); df.heartbeat = &heartbeat },
			"queue":            d.queue(&df.queue),
			"cache":            d.defaultCache(),
			"priority":         func(k, v *value) { d.priority(&priority)(k, v); df.priority = &priority },
			"env":              func(k, v *value) { df.envValue = v; d.env(&df.env)(k, v); d.noSecrets(v) },
		})
	}
}

var envForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (d *draft) env(to *map[string]*expr.Template) field {
	return func(k, v *value) {
		if v.kind != mapValue {
			d.wrongType(v, k.text, "a map of names and values")
			return
		}
		*to = make(map[string]*expr.Template, len(v.keys))
		for i, key := range v.keys {
			if !envForm.MatchString(key.text) {
				d.errorAt(key, "E106", fmt.Sprintf("%q is no name for an environment variable", key.text), "")
				continue
			}
			if v.items[i].kind != scalarValue {
				d.wrongType(v.items[i], "env."+key.text, "a text")
				continue
			}
			var t *expr.Template
			d.template(&t)(key, v.items[i])
			(*to)[key.text] = t
		}
	}
}

func (d *draft) queue(to *string) field {
	return func(k, v *value) {
		d.text(to)(k, v)
		if *to != "" && (!nameForm.MatchString(*to) || len(*to) > 64) {
			d.errorAt(v, "E106", fmt.Sprintf("%.80q is no name for a queue", *to), "names hold letters, digits, - and _, begin with a letter or _, and have at most 64 letters")
		}
	}
}

func defaultRetries(most int) Retries {
	return Retries{Max: most, Backoff: "exponential", Delay: time.Second, MaxDelay: 5 * time.Minute, Factor: 2, Jitter: 0.2, OnLost: 3}
}

func (d *draft) retries(r *Retries) field {
	return func(k, v *value) {
		if v.kind != mapValue {
			d.count(&r.Max, 0)(k, v)
			return
		}
		d.read(v, "retries", map[string]field{
			"max": d.count(&r.Max, 0), "delay": d.duration(&r.Delay), "maxDelay": d.duration(&r.MaxDelay),
			"factor": d.real(&r.Factor, 1, 100), "jitter": d.real(&r.Jitter, 0, 1),
			"on": d.words(&r.On), "notOn": d.words(&r.NotOn), "within": d.duration(&r.Within), "onLost": d.count(&r.OnLost, 0),
			"backoff": func(k, v *value) {
				d.text(&r.Backoff)(k, v)
				if !slices.Contains([]string{"exponential", "linear", "fixed"}, r.Backoff) {
					d.wrongType(v, "backoff", "exponential, linear or fixed")
				}
			},
		})
		if r.Delay <= r.MaxDelay {
			return
		}
		for i, key := range v.keys {
			if key.text == "maxDelay" {
				d.errorAt(v.items[i], "E104", "maxDelay is shorter than delay", "")
			}
		}
		r.MaxDelay = r.Delay
	}
}
