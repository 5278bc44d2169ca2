package flow

import (
	"fmt"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// Cache allows other runs to reuse the results of a job.
type Cache struct {
	// Key identifies a result in place of the inputs; nil means the inputs.
	Key *expr.Template `json:"key,omitempty"`
	// TTL is how long a result is kept.
	TTL time.Duration `json:"ttl"`
	// Scope is who shares the results.
	Scope CacheScope `json:"scope"`
}

// CacheScope says who shares the results of a job.
type CacheScope string

// The scopes of a cache.
const (
	CacheGlobal CacheScope = "global" // all jobs that have the same handler and inputs
	CacheRecipe CacheScope = "recipe" // runs of the same recipe
	CacheFlow   CacheScope = "flow"   // jobs of the same flow, in any recipe
)

// cacheTTL is how long results are kept by default.
const cacheTTL = 7 * 24 * time.Hour

func cachePart() part[Cache] {
	p := newPart("cache", "", []key[Cache]{
		{"key", "Identifies the result, in place of the inputs.", asTemplate(use{items: true}, func(c *Cache) **expr.Template { return &c.Key })},
		{"ttl", "How long the result is kept.", asDuration(func(c *Cache) *time.Duration { return &c.TTL })},
		{"scope", "Who shares the result.", asChoice(func(c *Cache) *CacheScope { return &c.Scope }, "recipe", "flow", "global")},
	})
	p.start = Cache{TTL: cacheTTL, Scope: CacheGlobal}
	p.check = func(d *draft, c *Cache, _, v *value) {
		if c.TTL < time.Second {
			d.errorAt(v.get("ttl"), "E104", "the ttl of cache must be at least 1s", "")
		}
	}
	return p
}

// asCache is true, false, or a map of the keys of a cache.
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

// asDefaultCache is the cache of all jobs below that may have one. It has no key,
// since a key identifies the results of one job.
func asDefaultCache(p *part[Cache]) kind[parsedJob] {
	k := asCache(p, "defaultCache")
	read := k.read
	k.read = func(d *draft, j *parsedJob, k, v *value) {
		before := len(*d.out)
		read(d, j, k, v)
		if j.Cache != nil && j.Cache.Key != nil && len(*d.out) == before {
			d.errorAt(v, "E105", "the cache of defaults cannot have a key", "set the key in each job")
		}
	}
	return k
}

// mayCache refuses caches that cannot work or that would reveal secrets.
func (d *draft) mayCache(j *parsedJob) {
	switch {
	case j.Cache == nil:
	case j.Handler == "transform":
		d.errorAt(j.body.key("cache"), "E105", fmt.Sprintf("job %q has no handler whose result can be cached", j.Name), "remove `cache`")
	case len(j.Secrets) > 0 && j.Cache.Key == nil:
		d.errorAt(j.body.key("cache"), "E105", fmt.Sprintf("job %q uses secrets, so its inputs cannot identify a cached result", j.Name), "give it a key of its own, as in `cache: {key: [\"${inputs.url}\"]}`")
	}
}
