package engine

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// CachePut asks for a result to be kept for other runs.
type CachePut struct {
	Task, Key, Handler string
	// Version is that of the handler which made the result.
	Version string
	Value   json.RawMessage
	TTL     time.Duration
}

// queryCache is the gate at which a job that caches asks whether its result is
// known already.
func (r *Run) queryCache(u *unit) bool {
	if u.node.step.def.Cache == nil || r.rec.NoCache || r.dryRun != nil || u.rec.First > 0 || u.rec.Failures > 0 {
		return true
	}
	key, bad := r.cacheKey(u)
	if bad != nil {
		return true // it will fail by that, or run without a cache
	}
	r.query(u, run.Wait{Kind: run.WaitCache, Key: key})
	return false
}

// applyCacheAnswer ends a unit whose result is known; any other goes on.
func (r *Run) applyCacheAnswer(u *unit, ev *Event) bool {
	if !ev.Granted || len(ev.Result) > r.limits.MaxResult {
		return true
	}
	if _, err := expr.Decode(ev.Result); err != nil {
		return true
	}
	r.takeResult(u, ev.Result, ev.From, ev.Reason)
	return false
}

// putCache has a result kept when the job caches.
func (r *Run) putCache(u *unit, result json.RawMessage) {
	def := u.node.step.def
	if def.Cache == nil {
		return
	}
	key, bad := r.cacheKey(u)
	if bad != nil {
		return
	}
	r.fx.CachePuts = append(r.fx.CachePuts, CachePut{Task: u.path(), Key: CacheKey(key, u.version), Handler: def.Handler, Version: u.version, Value: result, TTL: def.Cache.TTL})
}

// CacheKey names the result that a version of the handler makes. The key in an
// Ask knows no version: which one would do the task is for the orchestrator to
// find out.
func CacheKey(key, version string) string {
	if version == "" {
		return key
	}
	return longHash([]byte(key), []byte("version"), []byte(version))
}

// cacheKey names the result of a unit by what makes it: where it may be shared,
// the job, and its own key or its inputs.
func (r *Run) cacheKey(u *unit) (string, *run.Error) {
	def := u.node.step.def
	scope := ""
	switch def.Cache.Scope {
	case flow.CacheRecipe:
		scope = "recipe " + r.rec.Recipe
	case flow.CacheFlow:
		scope = "flow " + u.node.scope.plan.def.Name
	}
	if def.Cache.Key != nil {
		v, err := def.Cache.Key.Eval(r.view(u))
		if err != nil {
			return "", expressionError(inPart("cache.key", err))
		}
		raw, err := expr.Encode(v)
		if err != nil {
			return "", expressionError(inPart("cache.key", err))
		}
		return longHash([]byte(scope), u.node.step.identity, []byte("key"), raw), nil
	}
	var t Ticket
	if bad := r.resolve(u, &t); bad != nil {
		return "", bad
	}
	if len(t.Secrets) > 0 {
		return "", &run.Error{Code: run.CodeSecret, Message: fmt.Sprintf("the inputs of %s hold a secret, so its result is not cached", def.Name)}
	}
	u.rec.Digest = digest(u.node.step.identity, &t)
	return longHash([]byte(scope), u.node.step.identity, t.Inputs, t.Env), nil
}
