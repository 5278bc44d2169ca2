package flow

import "time"

// concurrency reads a group and its limit; of a job, or of the definition.
func (d *draft) concurrency(to **Concurrency, jd *jobDraft) field {
	return func(k, v *value) {
		c := &Concurrency{Limit: 1, OnLimit: "queue"}
		*to = c
		before := len(*d.out)
		d.read(v, k.text, map[string]field{
			"group": func(k, v *value) {
				if jd != nil {
					jd.uses = append(jd.uses, use{v: v, items: true})
				}
				d.template(&c.Group)(k, v)
			},
			"limit": d.count(&c.Limit, 1),
			"onLimit": func(k, v *value) {
				switch v.text {
				case "queue", "skip", "fail", "cancelOldest":
					c.OnLimit = v.text
				default:
					d.wrongType(v, k.text, "queue, skip, fail or cancelOldest")
				}
			},
		})
		if c.Group == nil && len(*d.out) == before {
			d.errorAt(k, "E105", "concurrency does not say of which group", "add `group:`, a text or ${...}")
		}
	}
}

func (d *draft) rateLimit(j *Job, jd *jobDraft) field {
	return func(k, v *value) {
		r := &RateLimit{Per: time.Second}
		j.RateLimit = r
		start := len(*d.out)
		d.read(v, k.text, map[string]field{
			"key": func(k, v *value) {
				jd.uses = append(jd.uses, use{v: v, items: true})
				d.template(&r.Key)(k, v)
			},
			"limit": d.count(&r.Limit, 1),
			"per": func(k, v *value) {
				before := len(*d.out)
				if d.duration(&r.Per)(k, v); r.Per <= 0 && len(*d.out) == before {
					d.wrongType(v, k.text, "longer than nothing")
				}
			},
		})
		if len(*d.out) == start && (r.Key == nil || r.Limit == 0) {
			d.errorAt(k, "E105", "rateLimit wants both key and limit", "as in `rateLimit: {key: api, limit: 10, per: 1s}`")
		}
	}
}
