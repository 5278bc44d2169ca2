package daemon

import (
	"slices"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/internal/config"
	"github.com/orchis-run/orchis/internal/redisstore"
)

// hidden are the settings whose values nobody is shown.
var hidden = []string{"ORCHIS_SIGNING_KEY", "ORCHIS_API_TOKEN"}

// InEffect lists the settings with their values and where each comes from:
// environment, .env or default. Secrets are hidden.
func InEffect(s *config.Settings) []api.Setting {
	values := config.Values(*s)
	all := config.Describe()
	out := make([]api.Setting, len(all))
	for i, d := range all {
		v := values[d.Name]
		switch {
		case v == "":
		case d.Name == "REDIS_URL":
			v = redisstore.Masked(v)
		case slices.Contains(hidden, d.Name):
			v = "(hidden)"
		}
		out[i] = api.Setting{Name: d.Name, Value: v, From: s.Source(d.Name), Why: d.Why}
	}
	return out
}
