package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// ClaimKey lets a run have the key of its submission, unless another has it; it
// returns the one that does.
func (s *Store) ClaimKey(ctx context.Context, key, runID string, ttl time.Duration) (string, error) {
	for {
		_, err := s.client.SetArgs(ctx, s.once(key), runID, redis.SetArgs{Mode: "NX", TTL: ttl}).Result()
		if err == nil {
			return runID, nil
		}
		if !errors.Is(err, redis.Nil) {
			return "", fmt.Errorf("claim the key of a submission: %w", err)
		}
		owner, err := s.client.Get(ctx, s.once(key)).Result()
		if errors.Is(err, redis.Nil) {
			continue // it expired in between
		}
		if err != nil {
			return "", fmt.Errorf("claim the key of a submission: %w", err)
		}
		return owner, nil
	}
}

// ReleaseKey gives up a key of a submission that was rejected after all.
func (s *Store) ReleaseKey(ctx context.Context, key string) error {
	if err := s.client.Del(ctx, s.once(key)).Err(); err != nil {
		return fmt.Errorf("release the key of a submission: %w", err)
	}
	return nil
}
