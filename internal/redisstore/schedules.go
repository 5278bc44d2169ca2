package redisstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/orchis-run/orchis/internal/wire"
)

// Schedules returns what is remembered of schedules, by key.
func (s *Store) Schedules(ctx context.Context) (map[string]wire.Schedule, error) {
	m, err := s.client.HGetAll(ctx, s.schedules()).Result()
	if err != nil {
		return nil, fmt.Errorf("read the schedules: %w", err)
	}
	out := make(map[string]wire.Schedule, len(m))
	for key, raw := range m {
		var sched wire.Schedule
		if err := json.Unmarshal([]byte(raw), &sched); err != nil {
			return nil, fmt.Errorf("read schedule %s: %w", key, err)
		}
		out[key] = sched
	}
	return out, nil
}

// PutSchedule remembers a schedule.
func (s *Store) PutSchedule(ctx context.Context, sched wire.Schedule) error {
	raw, err := json.Marshal(sched)
	if err == nil {
		err = s.client.HSet(ctx, s.schedules(), sched.Key, raw).Err()
	}
	if err != nil {
		return fmt.Errorf("write schedule %s: %w", sched.Key, err)
	}
	return nil
}

// RemoveSchedule forgets a schedule.
func (s *Store) RemoveSchedule(ctx context.Context, key string) error {
	if err := s.client.HDel(ctx, s.schedules(), key).Err(); err != nil {
		return fmt.Errorf("forget schedule %s: %w", key, err)
	}
	return nil
}
