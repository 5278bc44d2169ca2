package flow

import "maps"

// defaults are the values that jobs inherit when they do not set their own: those
// of the definition, over those of the definitions that call it.
type defaults struct {
	// job holds the values, as a job does.
	job parsedJob
	// set are the keys that a definition sets. All other values are defaults of
	// the installation.
	set map[string]bool
}

// installed returns the defaults of the installation.
func (l *language) installed(o Options) *defaults {
	df := &defaults{job: l.job.start}
	df.job.Retries.Max, df.job.Timeout = o.Retries, o.Timeout
	return df
}

// inside returns the defaults for a flow that the definition calls. Their
// expressions have been checked in the file that sets them.
func (df *defaults) inside() *defaults {
	twin := *df
	twin.job.envAt = nil
	return &twin
}

// asDefaults is the map of the keys that jobs inherit.
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

// inherit fills in the values that the job does not set.
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
