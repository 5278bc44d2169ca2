package flow

import (
	"fmt"
	"slices"

	"github.com/orchis-run/orchis/internal/expr"
)

// asSecrets is a list of the secrets that a job may use.
func asSecrets() kind[parsedJob] {
	return as(listOf(ref("scalar")), func(j *parsedJob) *[]string { return &j.Secrets }, func(d *draft, to *[]string, k, v *value) {
		before := len(*d.out)
		d.words(to, k, v)
		if len(*d.out) > before {
			return
		}
		for i, name := range *to {
			if !expr.IsSecretName(name) {
				d.errorAt(v.items[i], "E106", fmt.Sprintf("%q is not a valid name for a secret", name), "use letters, digits and _, begin with a letter or _, at most 64 characters")
			}
		}
	})
}

// checkSecret reports a secret in a place where no worker fills it in, or one that
// the job does not declare.
func (d *draft) checkSecret(ref place, j *Job, u use) {
	name := ref.Path[1]
	switch {
	case u.defaults: // reported in defaults
	case !u.secrets:
		d.refError(ref, "secrets can be read only in the inputs and the env of a job", "")
	case j.Handler == "":
		d.refError(ref, "a secret cannot be passed to a flow", "declare it in the job that uses it: secrets: ["+name+"]")
	case j.Handler == "transform":
		d.refError(ref, "transform runs in the orchestrator, which has no secrets", "")
	case !slices.Contains(j.Secrets, name):
		hint := fmt.Sprintf("add `secrets: [%s]` to the job", name)
		if near := didYouMean(name, j.Secrets); near != "" {
			hint = near
		}
		d.refError(ref, fmt.Sprintf("job %q does not declare the secret %q", j.Name, name), hint)
	}
}

// noSecrets refuses secrets in a value that is shared by many jobs.
func (d *draft) noSecrets(v *value) {
	for _, ref := range references(use{v: v}) {
		if ref.Path[0] == "secrets" {
			d.refError(ref, "defaults cannot contain secrets", "put it in the env of the jobs that use it")
		}
	}
}
