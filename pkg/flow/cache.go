package flow

import (
	"fmt"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// Cache says that the results of a job may be used again by other runs.
type Cache struct {
	// Key takes the place of the inputs in what names a result; nil is the
	// inputs.
	Key *expr.Template `json:"key,omitempty"`
	// TTL is how long a result is kept.
	TTL time.Duration `json:"ttl"`
	// Scope says who shares results: runs of the same recipe, jobs of the same
	// flow, or all.
	Scope CacheScope `json:"scope"`
}

// CacheScope says who shares the results of a job.
type CacheScope string

// The scopes of a cache.
const (
	CacheGlobal CacheScope = "global" // all jobs that have the same handler and inputs
	CacheRecipe CacheScope = "recipe" // runs of the same recipe
	CacheFlow   CacheScope = "flow"   // jobs of the same flow, in whatever recipe
)

// cacheTTL is how long results are kept when a job does not say.
const cacheTTL = 7 * 24 * time.Hour

// cache reads `cache: true`, or its parts.
func (d *draft) cache(j *Job, jd *jobDraft) field {
	return func(k, v *value) {
		c := &Cache{TTL: cacheTTL, Scope: CacheGlobal}
		if v.kind == mapValue {
			scope := string(c.Scope)
			d.read(v, "cache", map[string]field{
				"key": func(k, v *value) {
					jd.uses = append(jd.uses, use{v: v, items: true})
					d.template(&c.Key)(k, v)
				},
				"ttl": d.duration(&c.TTL), "scope": d.text(&scope),
			})
			c.Scope = CacheScope(scope)
			switch {
			case c.Scope != CacheGlobal && c.Scope != CacheRecipe && c.Scope != CacheFlow:
				d.errorAt(v, "E104", fmt.Sprintf("the scope of cache must be recipe, flow or global, not %q", scope), "")
			case c.TTL < time.Second:
				d.errorAt(v, "E104", "the ttl of cache must be at least 1s", "")
			}
			j.Cache = c
			jd.cache = k
			return
		}
		on := false
		if d.boolean(&on)(k, v); on {
			j.Cache, jd.cache = c, k
		}
	}
}

// mayCache refuses caches that could not work or would tell secrets.
func (d *draft) mayCache(j *Job, jd *jobDraft) {
	switch {
	case j.Cache == nil:
	case jd.calls != nil:
		d.errorAt(jd.cache, "E105", fmt.Sprintf("job %q starts a flow, which has no result of its own to cache", j.Name), "give `cache` to the jobs of that flow")
	case j.Handler == "" || j.Handler == "transform":
		d.errorAt(jd.cache, "E105", fmt.Sprintf("job %q has no handler whose result could be cached", j.Name), "remove `cache`")
	case len(j.Secrets) > 0 && j.Cache.Key == nil:
		d.errorAt(jd.cache, "E105", fmt.Sprintf("job %q uses secrets, so its inputs cannot name a cached result", j.Name), "give it a key of its own, as in `cache: {key: [\"${inputs.url}\"]}`")
	}
}
