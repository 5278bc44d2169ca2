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
				d.errorAt(v.items[i], "E106", fmt.Sprintf("%q is no name for a secret", name), "names hold letters, digits and _, begin with a letter or _, and are at most 64 long")
			}
		}
	})
}

// checkSecret reports a secret that stands where no worker would put it in, or
// that the job does not name among its secrets.
func (d *draft) checkSecret(ref place, j *Job, u use) {
	name := ref.Path[1]
	switch {
	case u.defaults: // reported where they are read
	case !u.secrets:
		d.refError(ref, "secrets can be read only in the inputs and the env of a job", "")
	case j.Handler == "":
		d.refError(ref, "a flow cannot be given a secret", "name it in the job that needs it: secrets: ["+name+"]")
	case j.Handler == "transform":
		d.refError(ref, "transform is done by the orchestrator, which knows no secrets", "")
	case !slices.Contains(j.Secrets, name):
		hint := fmt.Sprintf("add `secrets: [%s]` to the job", name)
		if near := didYouMean(name, j.Secrets); near != "" {
			hint = near
		}
		d.refError(ref, fmt.Sprintf("job %q does not name the secret %q", j.Name, name), hint)
	}
}

// noSecrets refuses secrets in a value that is shared by many jobs.
func (d *draft) noSecrets(v *value) {
	for _, ref := range references(use{v: v}) {
		if ref.Path[0] == "secrets" {
			d.refError(ref, "defaults cannot hold secrets", "put it in the env of the jobs that need it")
		}
	}
}
