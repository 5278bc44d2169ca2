package flow

import (
	"fmt"
	"maps"
	"regexp"

	"github.com/orchis-run/orchis/internal/expr"
)

var envForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// asEnv is a map of variables. A job also inherits the variables of the defaults
// that it does not set.
func asEnv() kind[parsedJob] {
	return kind[parsedJob]{
		schema: mapOf(ref("scalar")),
		read: func(d *draft, j *parsedJob, k, v *value) {
			d.used(v, use{items: true, secrets: true})
			d.env(&j.Env, k, v)
		},
		copy: func(to, from *parsedJob) {
			if len(from.Env) == 0 {
				return
			}
			all := maps.Clone(from.Env)
			maps.Copy(all, to.Env)
			to.Env = all
			if from.envAt != nil {
				to.uses = append(to.uses, use{v: from.envAt, items: true, defaults: true})
			}
		},
	}
}

// asDefaultEnv is the env of all jobs below, which holds no secrets.
func asDefaultEnv() kind[parsedJob] {
	return kind[parsedJob]{schema: mapOf(ref("scalar")), read: func(d *draft, j *parsedJob, k, v *value) {
		j.envAt = v
		d.env(&j.Env, k, v)
		d.noSecrets(v)
	}}
}

func (d *draft) env(to *map[string]*expr.Template, k, v *value) {
	if v.kind != mapValue {
		d.wrongType(v, k.text, "a map of names and values")
		return
	}
	*to = make(map[string]*expr.Template, len(v.keys))
	for i, key := range v.keys {
		if !envForm.MatchString(key.text) {
			d.errorAt(key, "E106", fmt.Sprintf("%q is not a valid name for an environment variable", key.text), "")
			continue
		}
		if v.items[i].kind != scalarValue {
			d.wrongType(v.items[i], "env."+key.text, "a text")
			continue
		}
		var t *expr.Template
		d.template(&t, key, v.items[i])
		(*to)[key.text] = t
	}
}
