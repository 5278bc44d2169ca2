package flow

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// delay reads a duration, or a time: {until: ...}. Both may be expressions.
func (d *draft) delay(j *Job, jd *jobDraft) field {
	return func(k, v *value) {
		jd.uses = append(jd.uses, use{v: v})
		if v.kind == mapValue {
			before := len(*d.out)
			d.read(v, k.text, map[string]field{"until": d.template(&j.Until)})
			if len(*d.out) > before {
				return
			}
			if j.Until == nil {
				d.errorAt(v, "E105", "delay wants a duration or until", "as in `delay: 15m` or `delay: {until: \"2026-12-24T18:00:00Z\"}`")
			} else if c, fixed := j.Until.Constant(); fixed {
				if _, err := ParseTime(c); err != nil {
					d.wrongType(v.items[0], "until", "a time such as 2026-12-24T18:00:00Z")
				}
			}
			return
		}
		if s, ok := v.scalar.(string); ok && strings.Contains(s, "${") {
			d.template(&j.Delay)(k, v)
			return
		}
		var fixed time.Duration
		before := len(*d.out)
		if d.duration(&fixed)(k, v); len(*d.out) == before {
			d.template(&j.Delay)(k, v)
		}
	}
}

// ParseDelay reads the value of a delay: 90s, 1h30m, 2d, or a number of
// milliseconds.
func ParseDelay(v any) (time.Duration, error) {
	switch v := v.(type) {
	case int:
		if v >= 0 && v < 1<<42 {
			return time.Duration(v) * time.Millisecond, nil
		}
	case float64:
		if v >= 0 && v < 1<<42 {
			return time.Duration(v * float64(time.Millisecond)), nil
		}
	case string:
		if d, err := parseDuration(v); err == nil && d >= 0 {
			return d, nil
		}
		return 0, fmt.Errorf("%q is no duration such as 90s or 1h30m", v)
	}
	return 0, fmt.Errorf("%s is no duration such as 90s or 1h30m", expr.KindOf(v))
}

// ParseTime reads a time or a date; without a zone it is UTC.
func ParseTime(v any) (time.Time, error) {
	text, ok := v.(string)
	if !ok {
		return time.Time{}, fmt.Errorf("%s is no time such as 2026-12-24T18:00:00Z", expr.KindOf(v))
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time such as 2026-12-24T18:00:00Z", text)
}

func (d *draft) approval(j *Job, jd *jobDraft) field {
	return func(k, v *value) {
		a := &Approval{}
		j.Approval = a
		d.read(v, k.text, map[string]field{
			"message": func(k, v *value) { jd.uses = append(jd.uses, use{v: v, items: true}); d.template(&a.Message)(k, v) },
			"by":      d.names(&a.By), "timeout": d.duration(&a.Timeout),
			"inputs": func(_, v *value) { a.Inputs = d.readInputs(v) },
			"onTimeout": func(k, v *value) {
				if v.text != "approve" && v.text != "reject" {
					d.wrongType(v, k.text, "approve or reject")
				}
				a.Approve = v.text == "approve"
			},
		})
		for i := range a.Inputs {
			if slices.Contains([]string{"approved", "by", "at", "comment"}, a.Inputs[i].Name) {
				d.errorAt(k, "E106", fmt.Sprintf("%q is an output of every approval and no name for an input of one", a.Inputs[i].Name), "")
			}
		}
	}
}

// names reads a text or a list of texts.
func (s *source) names(to *[]string) field {
	return func(k, v *value) {
		if text, ok := v.scalar.(string); ok && v.kind == scalarValue {
			*to = []string{text}
			return
		}
		s.words(to)(k, v)
	}
}

func (d *draft) waitFor(j *Job, jd *jobDraft) field {
	return func(k, v *value) {
		w := &WaitFor{}
		j.WaitFor = w
		before := len(*d.out)
		used := func(f field, u use) field {
			return func(k, v *value) { u.v = v; jd.uses = append(jd.uses, u); f(k, v) }
		}
		d.read(v, k.text, map[string]field{
			"signal": used(d.template(&w.Signal), use{items: true}), "timeout": d.duration(&w.Timeout),
			"match":   used(d.condition(&w.Match), use{condition: true, items: true, self: true}),
			"default": used(d.template(&w.Default), use{items: true}),
		})
		if w.Signal == nil && len(*d.out) == before {
			d.errorAt(k, "E105", "waitFor does not say for which signal", "add `signal:`")
		}
	}
}

// onlyWaits refuses what means nothing in a job that no worker does.
func (d *draft) onlyWaits(j *Job, jd *jobDraft) {
	what := "delay"
	switch {
	case j.Approval != nil && j.WaitFor != nil:
		d.errorAt(jd.name, "E105", fmt.Sprintf("job %q has both approval and waitFor", j.Name), "make two jobs of it")
		return
	case j.Approval != nil:
		what = "approval"
	case j.WaitFor != nil:
		what = "waitFor"
	}
	if j.Handler != "" || jd.calls != nil {
		d.errorAt(jd.name, "E105", fmt.Sprintf("job %q has both %s and something to do", j.Name, what), "make two jobs of it")
		return
	}
	refused := []string{"inputs", "env", "secrets", "queue", "queueTimeout", "heartbeatTimeout", "retries", "timeout", "outputs", "concurrency", "rateLimit"}
	if what == "delay" {
		refused = append(refused, "iterate")
	}
	for _, k := range jd.body.keys {
		if slices.Contains(refused, k.text) {
			hint := ""
			if k.text == "timeout" && what != "delay" {
				hint = "put it inside " + what
			}
			d.errorAt(k, "E105", fmt.Sprintf("%q means nothing in a job that is but %s", k.text, article(what)), hint)
		}
	}
}
