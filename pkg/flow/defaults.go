package flow

import "maps"

// defaults are what the jobs of a definition take over when they do not say it
// themselves: those of the definition, over those of the ones that call it.
type defaults struct {
	// job holds the values as a job would.
	job parsedJob
	// set are the keys that a definition says; the others are those of the
	// installation.
	set map[string]bool
}

// installed are the defaults of an installation, for definitions that say none.
func (l *language) installed(o Options) *defaults {
	df := &defaults{job: l.job.start}
	df.job.Retries.Max, df.job.Timeout = o.Retries, o.Timeout
	return df
}

// inside returns the defaults for a flow that the definition calls. What they
// read was checked where it stands.
func (df *defaults) inside() *defaults {
	twin := *df
	twin.job.envAt = nil
	return &twin
}

// asDefaults is the map of the keys that jobs take over.
func asDefaults(p *part[parsedJob]) kind[draft] {
	return kind[draft]{schema: ref("defaults"), read: func(d *draft, _ *draft, k, v *value) {
		df := &defaults{job: d.defaults.job, set: maps.Clone(d.defaults.set)}
		if df.set == nil {
			df.set = map[string]bool{}
		}
		p.read(d, v, k.text, &df.job)
		for _, said := range v.keys {
			df.set[said.text] = true
		}
		if df.job.Retries.Max < 0 {
			df.job.Retries.Max = d.o.Retries
		}
		d.defaults = df
	}}
}

// inherit fills in what the job does not say.
func (d *draft) inherit(j *parsedJob, form forms) {
	for i := range d.lang.jobs {
		row := &d.lang.jobs[i]
		if row.inherits&form != 0 && (row.merged || !j.has(row.name)) {
			row.kind.copy(j, &d.defaults.job)
		}
	}
	if j.Retries.Max < 0 { // a rule without max, or none
		j.Retries.Max = 0
		if form == handlerJob {
			j.Retries.Max = d.o.Retries
		}
	}
}
