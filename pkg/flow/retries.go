package flow

import "time"

// retriesPart is the rule for retries. Without max the number of retries is -1
// until the form of the job is known.
func retriesPart() part[Retries] {
	p := newPart("retries", "A rule for retries.", []key[Retries]{
		{"max", "The number of retries.", asCount(0, func(r *Retries) *int { return &r.Max })},
		{"backoff", "How the delay grows.", asChoice(func(r *Retries) *string { return &r.Backoff }, "exponential", "linear", "fixed")},
		{"delay", "The first delay.", asDuration(func(r *Retries) *time.Duration { return &r.Delay })},
		{"maxDelay", "The longest delay.", asDuration(func(r *Retries) *time.Duration { return &r.MaxDelay })},
		{"factor", "The factor by which the delay grows.", asReal(1, 100, func(r *Retries) *float64 { return &r.Factor })},
		{"jitter", "The share of the delay that is random.", asReal(0, 1, func(r *Retries) *float64 { return &r.Jitter })},
		{"on", "The only error codes that are retried.", asWords(func(r *Retries) *[]string { return &r.On })},
		{"notOn", "Error codes that are never retried.", asWords(func(r *Retries) *[]string { return &r.NotOn })},
		{"within", "The time after the first start in which a retry may begin.", asDuration(func(r *Retries) *time.Duration { return &r.Within })},
		{"onLost", "How many times the worker may be lost.", asCount(0, func(r *Retries) *int { return &r.OnLost })},
	})
	p.start = defaultRetries(-1)
	p.check = func(d *draft, r *Retries, _, v *value) {
		if r.Delay <= r.MaxDelay {
			return
		}
		if at := v.get("maxDelay"); at != nil {
			d.errorAt(at, "E104", "maxDelay is shorter than delay", "")
		}
		r.MaxDelay = r.Delay
	}
	return p
}

func defaultRetries(most int) Retries {
	return Retries{Max: most, Backoff: "exponential", Delay: time.Second, MaxDelay: 5 * time.Minute, Factor: 2, Jitter: 0.2, OnLost: 3}
}

// asRetries is a number of retries, or a rule for them.
func asRetries[T any](p *part[Retries], at func(*T) *Retries) kind[T] {
	return as(one(least(0), ref(p.name)), at, func(d *draft, to *Retries, k, v *value) {
		if v.kind != mapValue {
			*to = p.start
			d.count(&to.Max, 0, k, v)
			return
		}
		p.fill(d, to, k, v)
	})
}
