package flow

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// asDelay is a duration, or a time: {until: ...}. Both may be expressions.
func asDelay(p *part[parsedJob]) kind[parsedJob] {
	return kind[parsedJob]{
		schema: one(ref("duration"), schema{"type": "string", "pattern": `\$\{`}, ref(p.name)),
		read: func(d *draft, j *parsedJob, k, v *value) {
			if v.kind == mapValue {
				before := len(*d.out)
				if p.read(d, v, k.text, j); len(*d.out) == before {
					p.check(d, j, k, v)
				}
				return
			}
			d.used(v, use{})
			if s, ok := v.scalar.(string); ok && strings.Contains(s, "${") {
				d.template(&j.Delay, k, v)
				return
			}
			var fixed time.Duration
			before := len(*d.out)
			if d.duration(&fixed, k, v); len(*d.out) == before {
				d.template(&j.Delay, k, v)
			}
		},
	}
}

func delayPart() part[parsedJob] {
	until := asTemplate(use{}, func(j *parsedJob) **expr.Template { return &j.Until })
	until.schema = typed("string")
	p := newPart("delay", "", []key[parsedJob]{{"until", "A time.", until}})
	p.required = []string{"until"}
	p.check = func(d *draft, j *parsedJob, _, v *value) {
		if j.Until == nil {
			d.errorAt(v, "E105", "delay requires a duration or until", "as in `delay: 15m` or `delay: {until: \"2026-12-24T18:00:00Z\"}`")
		} else if c, fixed := j.Until.Constant(); fixed {
			if _, err := ParseTime(c); err != nil {
				d.wrongType(v.items[0], "until", "a time such as 2026-12-24T18:00:00Z")
			}
		}
	}
	return p
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
		return 0, fmt.Errorf("%q is not a duration such as 90s or 1h30m", v)
	}
	return 0, fmt.Errorf("%s is not a duration such as 90s or 1h30m", expr.KindOf(v))
}

// ParseTime reads a time or a date; without a zone it is UTC.
func ParseTime(v any) (time.Time, error) {
	text, ok := v.(string)
	if !ok {
		return time.Time{}, fmt.Errorf("%s is not a time such as 2026-12-24T18:00:00Z", expr.KindOf(v))
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 2026-12-24T18:00:00Z", text)
}

func approvalPart() part[Approval] {
	p := newPart("approval", "", []key[Approval]{
		{"message", "The question to decide.", asTemplate(use{items: true}, func(a *Approval) **expr.Template { return &a.Message })},
		{"by", "Who may answer; by default anyone.", asNames(func(a *Approval) *[]string { return &a.By })},
		{"inputs", "The inputs that an approval gives.", asInputs(func(a *Approval) *[]Input { return &a.Inputs })},
		{"timeout", "How long it waits.", asDuration(func(a *Approval) *time.Duration { return &a.Timeout })},
		{"onTimeout", "The answer when the timeout is over.", as(words("approve", "reject"), func(a *Approval) *bool { return &a.Approve }, (*draft).verdict)},
	})
	p.check = func(d *draft, a *Approval, k, _ *value) {
		for i := range a.Inputs {
			if slices.Contains([]string{"approved", "by", "at", "comment"}, a.Inputs[i].Name) {
				d.errorAt(k, "E106", fmt.Sprintf("%q is an output of every approval and cannot name an input", a.Inputs[i].Name), "")
			}
		}
	}
	return p
}

// verdict reads approve or reject.
func (d *draft) verdict(approve *bool, k, v *value) {
	var word string
	d.choice(&word, []string{"approve", "reject"}, k, v)
	*approve = word == "approve"
}

func waitForPart() part[WaitFor] {
	p := newPart("waitFor", "", []key[WaitFor]{
		{"signal", "The name of the signal.", asTemplate(use{items: true}, func(w *WaitFor) **expr.Template { return &w.Signal })},
		{"match", "An expression in which self is the signal; other signals are left for other jobs.", asCondition(use{items: true, self: true}, func(w *WaitFor) **expr.Condition { return &w.Match })},
		{"timeout", "How long it waits.", asDuration(func(w *WaitFor) *time.Duration { return &w.Timeout })},
		{"default", "The result when no signal arrives in time.", asTemplate(use{items: true}, func(w *WaitFor) **expr.Template { return &w.Default })},
	})
	p.required = []string{"signal"}
	p.check = func(d *draft, w *WaitFor, k, _ *value) {
		if w.Signal == nil {
			d.errorAt(k, "E105", "waitFor requires a signal", "add `signal:`")
		}
	}
	return p
}
