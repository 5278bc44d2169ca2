package flow

import (
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// concurrencyPart is a group and its limit: of a job, or of the definition.
func concurrencyPart() part[Concurrency] {
	p := newPart("concurrency", "", []key[Concurrency]{
		{"group", "The name of the group.", asTemplate(use{items: true}, func(c *Concurrency) **expr.Template { return &c.Group })},
		{"limit", "The number of slots.", asCount(1, func(c *Concurrency) *int { return &c.Limit })},
		{"onLimit", "What happens without a free slot.", asChoice(func(c *Concurrency) *string { return &c.OnLimit }, "queue", "skip", "fail", "cancelOldest")},
	})
	p.required = []string{"group"}
	p.start = Concurrency{Limit: 1, OnLimit: "queue"}
	p.check = func(d *draft, c *Concurrency, k, _ *value) {
		if c.Group == nil {
			d.errorAt(k, "E105", "concurrency requires a group", "add `group:`, a text or ${...}")
		}
	}
	return p
}

func rateLimitPart() part[RateLimit] {
	p := newPart("rateLimit", "", []key[RateLimit]{
		{"key", "The name of the bucket.", asTemplate(use{items: true}, func(r *RateLimit) **expr.Template { return &r.Key })},
		{"limit", "The number of tokens.", asCount(1, func(r *RateLimit) *int { return &r.Limit })},
		{"per", "The time in which the bucket fills.", as(ref("duration"), func(r *RateLimit) *time.Duration { return &r.Per }, (*draft).period)},
	})
	p.required = []string{"key", "limit"}
	p.start = RateLimit{Per: time.Second}
	p.check = func(d *draft, r *RateLimit, k, _ *value) {
		if r.Key == nil || r.Limit == 0 {
			d.errorAt(k, "E105", "rateLimit requires both key and limit", "as in `rateLimit: {key: api, limit: 10, per: 1s}`")
		}
	}
	return p
}

// period reads a duration that is longer than 0.
func (d *draft) period(to *time.Duration, k, v *value) {
	before := len(*d.out)
	if d.duration(to, k, v); *to <= 0 && len(*d.out) == before {
		d.wrongType(v, k.text, "longer than 0")
	}
}

// asArtifacts says how long the files of a job are kept.
func asArtifacts(p *part[parsedJob]) kind[parsedJob] {
	return kind[parsedJob]{schema: ref(p.name), read: func(d *draft, j *parsedJob, k, v *value) { p.read(d, v, k.text, j) }}
}

func artifactsPart() part[parsedJob] {
	return newPart("artifacts", "", []key[parsedJob]{
		{"keep", "How long after the end of the run.", asLifetime(func(j *parsedJob) *time.Duration { return &j.KeepArtifacts })},
	})
}
