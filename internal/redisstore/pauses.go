package redisstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/orchis-run/orchis/internal/wire"
)

// PauseQueue keeps workers from claiming tickets of a queue, ResumeQueue lets
// them again. PausedQueues returns the paused queues, by name.
func (s *Store) PauseQueue(ctx context.Context, queue string, p wire.Paused) error {
	return s.pause(ctx, s.paused(), queue, p)
}

// ResumeQueue undoes PauseQueue.
func (s *Store) ResumeQueue(ctx context.Context, queue string) error {
	return s.resume(ctx, s.paused(), queue)
}

// PausedQueues returns the queues that are paused, by name.
func (s *Store) PausedQueues(ctx context.Context) (map[string]wire.Paused, error) {
	return s.allPaused(ctx, s.paused())
}

// PauseSchedule keeps a schedule from starting runs, ResumeSchedule lets it
// again. PausedSchedules returns the paused schedules, by key.
func (s *Store) PauseSchedule(ctx context.Context, key string, p wire.Paused) error {
	return s.pause(ctx, s.pausedSchedules(), key, p)
}

// ResumeSchedule undoes PauseSchedule.
func (s *Store) ResumeSchedule(ctx context.Context, key string) error {
	return s.resume(ctx, s.pausedSchedules(), key)
}

// PausedSchedules returns the schedules that are paused, by key.
func (s *Store) PausedSchedules(ctx context.Context) (map[string]wire.Paused, error) {
	return s.allPaused(ctx, s.pausedSchedules())
}

func (s *Store) pause(ctx context.Context, key, name string, p wire.Paused) error {
	raw, err := json.Marshal(p)
	if err == nil {
		err = s.client.HSet(ctx, key, name, raw).Err()
	}
	if err != nil {
		return fmt.Errorf("pause %s: %w", name, err)
	}
	return nil
}

func (s *Store) resume(ctx context.Context, key, name string) error {
	if err := s.client.HDel(ctx, key, name).Err(); err != nil {
		return fmt.Errorf("resume %s: %w", name, err)
	}
	return nil
}

func (s *Store) allPaused(ctx context.Context, key string) (map[string]wire.Paused, error) {
	m, err := s.client.HGetAll(ctx, key).Result()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	out := make(map[string]wire.Paused, len(m))
	for name, raw := range m {
		var p wire.Paused
		if err := json.Unmarshal([]byte(raw), &p); err != nil {
			p.Reason = raw // written by hand
		}
		out[name] = p
	}
	return out, nil
}

// PutLimits stores the limits of the installation (JSON), Limits returns them;
// nil when no orchestrator has stored any.
func (s *Store) PutLimits(ctx context.Context, limits []byte) error {
	if err := s.client.HSet(ctx, s.meta(), "limits", limits).Err(); err != nil {
		return fmt.Errorf("store the limits: %w", err)
	}
	return nil
}

// Limits returns what PutLimits stored.
func (s *Store) Limits(ctx context.Context) ([]byte, error) {
	m, err := s.client.HGetAll(ctx, s.meta()).Result() // a reader may do no more with this key
	if err != nil {
		return nil, fmt.Errorf("read the limits: %w", err)
	}
	if m["limits"] == "" {
		return nil, nil
	}
	return []byte(m["limits"]), nil
}
