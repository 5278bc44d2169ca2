package explain

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/wire"
)

// lookAtGroups reads the groups that tasks wait for.
func (f *facts) lookAtGroups(ctx context.Context, store *redisstore.Store, waits []engine.Wait) error {
	f.groups = map[string]wire.Group{}
	for i := range waits {
		w := &waits[i]
		if _, there := f.groups[w.Key]; there || w.Kind != engine.ForGroup {
			continue
		}
		g, err := store.Group(ctx, w.Key)
		if err != nil {
			return err
		}
		f.groups[w.Key] = g
	}
	return nil
}

// group says why a task has no slot, or no token.
func (f *facts) group(w *engine.Wait) string {
	switch w.Kind {
	case engine.ForRate:
		if w.Due > 0 {
			return fmt.Sprintf("the rate limit %s lets it start in %s", w.Key, f.in(w.Due))
		}
		return fmt.Sprintf("waits for a token of the rate limit %s", w.Key)
	case engine.ForAnswer:
		return "waits for the orchestrator to look something up, since " + f.ago(w.Since)
	}
	g := f.groups[w.Key]
	text := fmt.Sprintf("waits for a slot of group %s, since %s", w.Key, f.ago(w.Since))
	if time.UnixMilli(g.Until).After(f.now) {
		text += "; a job asked for a pause, which ends in " + f.in(g.Until)
	}
	var holders []string
	for i, m := range g.Holders {
		if i == 5 {
			holders = append(holders, fmt.Sprintf("and %d more", len(g.Holders)-5))
			break
		}
		holders = append(holders, strings.TrimSpace("run "+m.Run+" "+m.Task)+" for "+f.ago(m.Since))
	}
	if len(holders) > 0 {
		text += fmt.Sprintf("; %d of %d slots are taken by %s", len(g.Holders), max(g.Limit, w.Limit), strings.Join(holders, ", "))
	}
	if len(g.Waiters) > 1 {
		text += fmt.Sprintf("; %d wait", len(g.Waiters))
	}
	return text
}
