package orchestrator

import (
	"context"
	"fmt"
	"time"

	"github.com/orchis-run/orchis/internal/wire"
)

// versionsFor is how long it is believed what workers say of their handlers.
const versionsFor = time.Second

// versions is what the workers say of their handlers.
type versions struct {
	at time.Time
	// of has the versions by handler; disputed handlers have several.
	of       map[string]string
	disputed map[string]bool
}

// versionOf is the version of a handler, which workers register. Without known
// they do not agree, as during a deploy: nobody can say which one will do it.
// Workers that were not heard of lately count when there are no others.
func (o *Orchestrator) versionOf(ctx context.Context, handler string) (version string, known bool, err error) {
	o.mu.Lock()
	v := o.versions
	o.mu.Unlock()
	if now := o.clock(); now.Sub(v.at) >= versionsFor {
		all, err := o.store.Workers(ctx)
		if err != nil {
			return "", false, fmt.Errorf("find the version of handler %s: %w", handler, err)
		}
		v = gatherVersions(all, o.now())
		v.at = now
		o.mu.Lock()
		o.versions = v
		o.mu.Unlock()
	}
	return v.of[handler], !v.disputed[handler], nil
}

func gatherVersions(all []wire.Worker, now time.Time) versions {
	v := versions{of: map[string]string{}, disputed: map[string]bool{}}
	alive := map[string]bool{}
	for _, wanted := range []bool{true, false} {
		for i := range all {
			if all[i].Alive(now) != wanted {
				continue
			}
			for _, h := range all[i].Handlers {
				if !wanted && alive[h.Name] {
					continue
				}
				if other, there := v.of[h.Name]; there && other != h.Version {
					v.disputed[h.Name] = true
				}
				v.of[h.Name] = h.Version
				alive[h.Name] = alive[h.Name] || wanted
			}
		}
	}
	return v
}
