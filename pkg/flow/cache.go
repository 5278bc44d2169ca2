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
			at := map[string]*value{}
			kept := func(f field) field { return func(k, v *value) { at[k.text] = v; f(k, v) } }
			scope, before := string(c.Scope), len(*d.out)
			d.read(v, "cache", map[string]field{
				"key": func(k, v *value) {
					jd.uses = append(jd.uses, use{v: v, items: true})
					d.template(&c.Key)(k, v)
				},
				"ttl": kept(d.duration(&c.TTL)), "scope": kept(d.text(&scope)),
			})
			c.Scope = CacheScope(scope)
			switch {
			case len(*d.out) > before:
			case c.Scope != CacheGlobal && c.Scope != CacheRecipe && c.Scope != CacheFlow:
				d.errorAt(at["scope"], "E104", fmt.Sprintf("the scope of cache must be recipe, flow or global, not %q", scope), "")
			case c.TTL < time.Second:
				d.errorAt(at["ttl"], "E104", "the ttl of cache must be at least 1s", "")
			}
			j.Cache = c
			jd.cache = k
			return
		}
		on := false
		d.boolean(&on)(k, v)
		if jd.noCache = !on; on {
			j.Cache, jd.cache = c, k
		}
	}
}

// defaultCache reads the cache of all jobs below that may have one. A key names
// one job's results only.
func (d *draft) defaultCache() field {
	return func(k, v *value) {
		var j Job
		var jd jobDraft
		before := len(*d.out)
		d.cache(&j, &jd)(k, v)
		if j.Cache != nil && j.Cache.Key != nil && len(*d.out) == before {
			d.errorAt(v, "E105", "the cache of defaults has no key", "give the key to each job")
			return
		}
		d.defaults.cache = j.Cache
	}
}

// mayCache refuses caches that could not work or would tell secrets.
func (d *draft) mayCache(j *Job, jd *jobDraft) {
	switch {
	case j.Cache == nil:
		if c := d.defaults.cache; c != nil && !jd.noCache && jd.calls == nil && j.Handler != "" && j.Handler != "transform" && len(j.Secrets) == 0 {
			j.Cache = c
		}
	case jd.calls != nil:
		d.errorAt(jd.cache, "E105", fmt.Sprintf("job %q starts a flow, which has no result of its own to cache", j.Name), "give `cache` to the jobs of that flow")
	case j.Handler == "" || j.Handler == "transform":
		d.errorAt(jd.cache, "E105", fmt.Sprintf("job %q has no handler whose result could be cached", j.Name), "remove `cache`")
	case len(j.Secrets) > 0 && j.Cache.Key == nil:
		d.errorAt(jd.cache, "E105", fmt.Sprintf("job %q uses secrets, so its inputs cannot name a cached result", j.Name), "give it a key of its own, as in `cache: {key: [\"${inputs.url}\"]}`")
	}
}
