package flow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// iterateKeys are those that mean nothing without iterate.
func iterateKeys() []string {
	return []string{"iteratePick", "parallelism", "failFast", "maxFailures", "batch"}
}

// needIterate refuses keys that mean nothing without iterate.
func (d *draft) needIterate(j *Job, jd *jobDraft) {
	if j.Iterate != nil || j.Range != nil || jd.isSet["iterate"] {
		return
	}
	for i, k := range jd.body.keys {
		if slices.Contains(iterateKeys(), k.text) {
			d.errorAt(jd.body.keys[i], "E105", fmt.Sprintf("%q goes with iterate, which job %q does not have", k.text, j.Name), "")
		}
	}
}

func (d *draft) iterate(j *Job) field {
	return func(k, v *value) {
		if v.kind == scalarValue {
			if s, ok := v.scalar.(string); !ok || !strings.HasPrefix(strings.TrimSpace(s), "${") {
				d.wrongType(v, k.text, "a list, a map or ${...}")
				return
			}
		}
		if v.kind == mapValue && isRange(v) {
			r := &Range{}
			before := len(*d.out)
			d.read(v, "iterate", map[string]field{
				"from": d.template(&r.From), "to": d.template(&r.To), "step": d.template(&r.Step),
			})
			j.Range = r
			if len(*d.out) == before && (r.From == nil || r.To == nil) {
				d.errorAt(v, "E105", "iterate wants both from and to", "as in `{from: 0, to: 9}`")
			}
			return
		}
		d.template(&j.Iterate)(k, v)
	}
}

// isRange tells {from, to, step} from a map of items.
func isRange(v *value) bool {
	for _, k := range v.keys {
		if k.text != "from" && k.text != "to" && k.text != "step" {
			return false
		}
	}
	return len(v.keys) > 0
}

func (d *draft) maxFailures(j *Job) field {
	return func(k, v *value) {
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
	}
}
