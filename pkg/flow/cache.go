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

func cachePart() part[Cache] {
	p := newPart("cache", "", []key[Cache]{
		{"key", "What names the result, in place of the inputs.", asTemplate(use{items: true}, func(c *Cache) **expr.Template { return &c.Key })},
		{"ttl", "How long the result is kept.", asDuration(func(c *Cache) *time.Duration { return &c.TTL })},
		{"scope", "Who shares it.", asChoice(func(c *Cache) *CacheScope { return &c.Scope }, "recipe", "flow", "global")},
	})
	p.start = Cache{TTL: cacheTTL, Scope: CacheGlobal}
	p.check = func(d *draft, c *Cache, _, v *value) {
		if c.TTL < time.Second {
			d.errorAt(v.get("ttl"), "E104", "the ttl of cache must be at least 1s", "")
		}
	}
	return p
}

// asCache is true, false, or what a cache says.
func asCache(p *part[Cache], name string) kind[parsedJob] {
	return kind[parsedJob]{
		schema: one(typed("boolean"), ref(name)),
		read: func(d *draft, j *parsedJob, k, v *value) {
			c, on := p.start, false
			if j.Cache = nil; v.kind == mapValue {
				p.fill(d, &c, k, v)
				on = true
			} else {
				d.boolean(&on, k, v)
			}
			if on {
				j.Cache = &c
			}
		},
		copy: func(to, from *parsedJob) {
			if to.Handler != "transform" && len(to.Secrets) == 0 {
				to.Cache = from.Cache
			}
		},
	}
}

// asDefaultCache is the cache of all jobs below that may have one. A key names
// the results of one job only.
func asDefaultCache(p *part[Cache]) kind[parsedJob] {
	k := asCache(p, "defaultCache")
	read := k.read
	k.read = func(d *draft, j *parsedJob, k, v *value) {
		before := len(*d.out)
		read(d, j, k, v)
		if j.Cache != nil && j.Cache.Key != nil && len(*d.out) == before {
			d.errorAt(v, "E105", "the cache of defaults has no key", "give the key to each job")
		}
	}
	return k
}

// mayCache refuses caches that could not work or would tell secrets.
func (d *draft) mayCache(j *parsedJob) {
	switch {
	case j.Cache == nil:
	case j.Handler == "transform":
		d.errorAt(j.body.key("cache"), "E105", fmt.Sprintf("job %q has no handler whose result could be cached", j.Name), "remove `cache`")
	case len(j.Secrets) > 0 && j.Cache.Key == nil:
		d.errorAt(j.body.key("cache"), "E105", fmt.Sprintf("job %q uses secrets, so its inputs cannot name a cached result", j.Name), "give it a key of its own, as in `cache: {key: [\"${inputs.url}\"]}`")
	}
}
