package redisstore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/orchis-run/orchis/internal/wire"
)

// PutOrchestrator writes the entry of an orchestrator in the registry. It sets
// Seen, and Started when that is zero, and returns the entry as written.
func (s *Store) PutOrchestrator(ctx context.Context, o wire.Orchestrator) (wire.Orchestrator, error) {
	now, err := s.Now(ctx)
	if err != nil {
		return o, fmt.Errorf("register the orchestrator: %w", err)
	}
	o.Seen = now.UnixMilli()
	if o.Started == 0 {
		o.Started = o.Seen
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return o, fmt.Errorf("register the orchestrator: %w", err)
	}
	if err := s.client.HSet(ctx, s.orchestrators(), o.Name, raw).Err(); err != nil {
		return o, fmt.Errorf("register the orchestrator: %w", err)
	}
	return o, nil
}

// Orchestrators returns the registry of orchestrators in the order of their
// names.
func (s *Store) Orchestrators(ctx context.Context) ([]wire.Orchestrator, error) {
	m, err := s.client.HGetAll(ctx, s.orchestrators()).Result()
	if err != nil {
		return nil, fmt.Errorf("read the orchestrators: %w", err)
	}
	var out []wire.Orchestrator
	for _, name := range slices.Sorted(maps.Keys(m)) {
		var o wire.Orchestrator
		if err := json.Unmarshal([]byte(m[name]), &o); err == nil {
			out = append(out, o)
		}
	}
	return out, nil
}

// ForgetOrchestrators removes the entries of orchestrators that were last seen
// before a time. The newest entry always stays: it says since when no
// orchestrator has been there.
func (s *Store) ForgetOrchestrators(ctx context.Context, before time.Time) error {
	all, err := s.Orchestrators(ctx)
	if err != nil {
		return err
	}
	newest := int64(0)
	for i := range all {
		newest = max(newest, all[i].Seen)
	}
	for i := range all {
		if all[i].Seen >= min(before.UnixMilli(), newest) {
			continue
		}
		if err := s.client.HDel(ctx, s.orchestrators(), all[i].Name).Err(); err != nil {
			return fmt.Errorf("forget orchestrator %s: %w", all[i].Name, err)
		}
	}
	return nil
}
