package flow

import (
	"strconv"
	"strings"

	"github.com/orchis-run/orchis/internal/expr"
)

// asIterate is a list, a map, a range, or an expression.
func asIterate(p *part[Range]) kind[parsedJob] {
	return kind[parsedJob]{
		schema: one(typed("array"), ref(p.name), ref("elements"), schema{"type": "string", "pattern": `^\s*\$\{`}),
		read: func(d *draft, j *parsedJob, k, v *value) {
			if v.kind == mapValue && isRange(v) {
				j.Range = new(Range)
				p.fill(d, j.Range, k, v)
				return
			}
			d.used(v, use{})
			if s, ok := v.scalar.(string); v.kind == scalarValue && (!ok || !strings.HasPrefix(strings.TrimSpace(s), "${")) {
				d.wrongType(v, k.text, "a list, a map or ${...}")
				return
			}
			d.template(&j.Iterate, k, v)
		},
	}
}

func rangePart() part[Range] {
	p := newPart("range", "The numbers of a range, both ends included.", []key[Range]{
		{"from", "The first number.", asTemplate(use{}, func(r *Range) **expr.Template { return &r.From })},
		{"to", "The last number.", asTemplate(use{}, func(r *Range) **expr.Template { return &r.To })},
		{"step", "The step; by default 1.", asTemplate(use{}, func(r *Range) **expr.Template { return &r.Step })},
	})
	p.required = []string{"from", "to"}
	p.check = func(d *draft, r *Range, _, v *value) {
		if r.From == nil || r.To == nil {
			d.errorAt(v, "E105", "iterate requires both from and to", "as in `{from: 0, to: 9}`")
		}
	}
	return p
}

// isRange reports whether a map is {from, to, step} and not a map of items.
func isRange(v *value) bool {
	for _, k := range v.keys {
		if k.text != "from" && k.text != "to" && k.text != "step" {
			return false
		}
	}
	return len(v.keys) > 0
}

// asMaxFailures is a number of failures, or a share of the tasks.
func asMaxFailures() kind[parsedJob] {
	return kind[parsedJob]{
		schema: one(least(0), schema{"type": "string", "pattern": `^[0-9.]+%$`}),
		read: func(d *draft, j *parsedJob, k, v *value) {
			if s, ok := v.scalar.(string); ok && v.kind == scalarValue && strings.HasSuffix(s, "%") {
				f, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
				if err == nil && f >= 0 && f <= 100 {
					j.MaxFailuresPct = f
					return
				}
			} else if n, ok := v.scalar.(int); ok && v.kind == scalarValue && n >= 0 {
				j.MaxFailures = n
				return
			}
			d.wrongType(v, k.text, `a whole number, or a share such as "5%"`)
		},
	}
}
