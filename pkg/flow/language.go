package flow

import (
	"slices"
	"strings"
)

// language holds a table of keys for each part of a definition. The parser, the
// JSON Schemas, the formatter, the defaults and the checks of a job's keys are
// loops over these tables. A new key is one row of a table, a field of the model,
// and a line in docs/recipes.md.
//
// Invariant: a language does not change after newLanguage, so that loaders of many
// goroutines may share it.
type language struct {
	definition part[draft]
	top        []topKey // the rows of definition
	// job, step and defaults are made from the rows of jobs, in their order: job has
	// all of them, step those that flows of a recipe may have, and defaults those
	// that jobs can inherit.
	job, step, defaults part[parsedJob]
	jobs                []jobKey

	approval    part[Approval]
	artifacts   part[parsedJob]
	cache       part[Cache]
	concurrency part[Concurrency]
	contract    part[Contract]
	delay       part[parsedJob]
	input       part[declaration]
	numbers     part[Range]
	rateLimit   part[RateLimit]
	retention   part[Retention]
	retries     part[Retries]
	schedule    part[Schedule]
	waitFor     part[WaitFor]
}

func newLanguage() *language {
	l := &language{
		approval: approvalPart(), artifacts: artifactsPart(), cache: cachePart(),
		concurrency: concurrencyPart(), contract: contractPart(), delay: delayPart(), input: inputPart(), numbers: rangePart(),
		rateLimit: rateLimitPart(), retention: retentionPart(), retries: retriesPart(), schedule: schedulePart(), waitFor: waitForPart(),
	}
	l.setJobKeys(jobKeys(l))
	l.setTopKeys(topKeys(l))
	return l
}

// setJobKeys sets the table of a job's keys and the parts made from it.
func (l *language) setJobKeys(rows []jobKey) {
	l.jobs = rows
	var job, step, defaults []key[parsedJob]
	for _, r := range rows {
		k := key[parsedJob]{r.name, r.doc, r.kind}
		job = append(job, k)
		if r.on&recipeStep != 0 {
			step = append(step, k)
		}
		if r.inherits != 0 {
			if r.asDefault.read != nil {
				k.kind = r.asDefault
			}
			defaults = append(defaults, k)
		}
	}
	l.job = newPart("job", "A job: the work of a handler, a nested flow, or something to wait for.", job)
	l.job.start.Job = Job{Priority: -1, FailFast: true, Queue: "default", Retries: defaultRetries(-1)}
	l.step = newPart("step", "A flow that a recipe starts.", step)
	l.step.start = l.job.start
	l.defaults = newPart("defaults", "", defaults)
}

// setTopKeys sets the table of a definition's keys and the part made from it.
func (l *language) setTopKeys(rows []topKey) {
	l.top = rows
	var keys []key[draft]
	for _, r := range rows {
		keys = append(keys, key[draft]{r.name, r.doc, r.kind})
	}
	l.definition = newPart("definition", "", keys)
	l.definition.extensions = true
}

// parts describes the parts of a definition that have keys of their own.
func (l *language) parts() []partInfo {
	return []partInfo{
		l.definition.info(), l.job.info(), l.step.info(), l.defaults.info(), l.approval.info(), l.artifacts.info(), l.cache.info(),
		l.concurrency.info(), l.delay.info(), l.input.info(), l.numbers.info(), l.rateLimit.info(), l.retention.info(),
		l.retries.info(), l.schedule.info(), l.waitFor.info(),
	}
}

// key is one key of a part. T is the struct that the keys of the part fill in.
type key[T any] struct {
	name string
	doc  string // a sentence for editors
	kind kind[T]
}

// part is a map in a definition with a fixed set of keys. The formatter writes the
// keys in the order of the table.
type part[T any] struct {
	name string
	doc  string
	keys []key[T]
	// index finds the keys by name.
	index map[string]int
	// extensions allows keys that begin with x-, which are ignored.
	extensions bool
	// start is the value before any key is read: the defaults.
	start T
	// required lists the keys that the schema requires. check is called when all
	// keys were valid, and reports missing ones and contradictions.
	required []string
	check    func(d *draft, to *T, k, v *value)
}

func newPart[T any](name, doc string, keys []key[T]) part[T] {
	p := part[T]{name: name, doc: doc, keys: keys, index: make(map[string]int, len(keys))}
	for i, k := range keys {
		p.index[k.name] = i
	}
	return p
}

// read reads the keys of a map into a T and reports every key it does not know.
func (p *part[T]) read(d *draft, v *value, what string, to *T) {
	if !d.isMap(v, what) {
		return
	}
	for i, k := range v.keys {
		if at, known := p.index[k.text]; known {
			p.keys[at].kind.read(d, to, k, v.items[i])
			continue
		}
		if p.extensions && strings.HasPrefix(k.text, "x-") {
			continue
		}
		if d.full() {
			return
		}
		d.unknownKey(k, what, p.names())
	}
}

// fill resets to to p.start and reads into it the value v of the key k.
func (p *part[T]) fill(d *draft, to *T, k, v *value) {
	before := len(*d.out)
	*to = p.start
	p.read(d, v, k.text, to)
	if p.check != nil && len(*d.out) == before {
		p.check(d, to, k, v)
	}
}

// names returns the names of the keys in their usual order.
func (p *part[T]) names() []string {
	names := make([]string, len(p.keys))
	for i := range p.keys {
		names[i] = p.keys[i].name
	}
	return names
}

// without returns a copy of the part that lacks one key.
func (p *part[T]) without(name string) *part[T] {
	keys := slices.DeleteFunc(slices.Clone(p.keys), func(k key[T]) bool { return k.name == name })
	less := newPart(p.name, p.doc, keys)
	less.start, less.check, less.required, less.extensions = p.start, p.check, p.required, p.extensions
	return &less
}

// partInfo describes a part independently of the type that its keys fill in.
type partInfo struct {
	name, doc string
	keys      []keyInfo
	required  []string
}

type keyInfo struct {
	name, doc string
	schema    schema
}

func (p *part[T]) info() partInfo {
	info := partInfo{name: p.name, doc: p.doc, required: p.required}
	for _, k := range p.keys {
		info.keys = append(info.keys, keyInfo{k.name, k.doc, k.kind.schema})
	}
	return info
}
