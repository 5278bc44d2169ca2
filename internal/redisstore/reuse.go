package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// seedsStay is longer than a run may take; the seeds of a run go with it.
const seedsStay = 30 * 24 * time.Hour

// SaveSeeds keeps what a run may take over from an earlier one. It comes before
// the run itself, and doing it again is harmless.
func (s *Store) SaveSeeds(ctx context.Context, id string, seeds map[string]wire.Seed) error {
	p := s.PartitionOf(id)
	key := s.runSeeds(p, id)
	pipe := s.client.Pipeline()
	for task, seed := range seeds {
		if len(seed.Result) > inlineResult {
			digest, err := s.putBlob(ctx, p, seed.Result)
			if err != nil {
				return fmt.Errorf("keep what run %s takes over: %w", id, err)
			}
			pipe.SAdd(ctx, s.blob(p, digest)+":runs", id)
			pipe.Persist(ctx, s.blob(p, digest))
			pipe.SAdd(ctx, s.runBlobs(p, id), digest)
			seed.Result, seed.Blob = nil, digest
		}
		text, err := wire.Plain(seed)
		if err != nil {
			return err
		}
		pipe.HSet(ctx, key, task, text)
		if pipe.Len() > 500 {
			if _, err := pipe.Exec(ctx); err != nil {
				return fmt.Errorf("keep what run %s takes over: %w", id, err)
			}
		}
	}
	pipe.Expire(ctx, key, seedsStay)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("keep what run %s takes over: %w", id, err)
	}
	return nil
}

// readSeeds reads the seeds of a run. One whose large result is gone is left
// out: its task runs again.
func (s *Store) readSeeds(ctx context.Context, p int, all map[string]string) (map[string]wire.Seed, error) {
	if len(all) == 0 {
		return nil, nil
	}
	out := make(map[string]wire.Seed, len(all))
	for task, text := range all {
		var seed wire.Seed
		if err := json.Unmarshal([]byte(text), &seed); err != nil {
			return nil, fmt.Errorf("read what is taken over for task %s: %w", task, err)
		}
		if seed.Blob != "" {
			value, err := s.getBlob(ctx, p, seed.Blob)
			if errors.Is(err, wire.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			seed.Result, seed.Blob = value, ""
		}
		out[task] = seed
	}
	return out, nil
}

// CacheGet returns a result that is kept; wire.ErrNotFound when there is none.
func (s *Store) CacheGet(ctx context.Context, key string) (wire.Cached, error) {
	var c wire.Cached
	text, err := s.client.Get(ctx, s.cached(key)).Bytes()
	if errors.Is(err, redis.Nil) {
		return c, wire.ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, fmt.Errorf("look up the cached result %.16s: %w", key, err)
	}
	return c, nil
}

// CachePut keeps a result until c.Expires; now is the time by the clock of
// Redis.
func (s *Store) CachePut(ctx context.Context, c wire.Cached, now time.Time) error {
	text, err := wire.Plain(c)
	if err != nil {
		return err
	}
	ttl := time.Duration(c.Expires-now.UnixMilli()) * time.Millisecond
	if ttl < time.Second {
		return nil
	}
	if err := s.client.Set(ctx, s.cached(c.Key), text, ttl).Err(); err != nil {
		return fmt.Errorf("keep the result %.16s: %w", c.Key, err)
	}
	return nil
}

// CacheKeys lists the keys of the results that are kept.
func (s *Store) CacheKeys(ctx context.Context) ([]string, error) {
	var mu sync.Mutex
	var keys []string
	prefix := s.cached("")
	scan := func(ctx context.Context, c *redis.Client) error {
		it := c.Scan(ctx, 0, escapePattern(prefix)+"*", 500).Iterator()
		for it.Next(ctx) {
			mu.Lock()
			keys = append(keys, strings.TrimPrefix(it.Val(), prefix))
			mu.Unlock()
		}
		return it.Err()
	}
	var err error
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, scan)
	case *redis.Client:
		err = scan(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("list the cached results: %w", err)
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil // a scan may name a key twice
}

// CachePurge deletes results that are kept, and returns how many there were.
func (s *Store) CachePurge(ctx context.Context, keys []string) (int64, error) {
	var n int64
	for _, key := range keys { // they lie in slots of their own
		one, err := s.client.Unlink(ctx, s.cached(key)).Result()
		if err != nil {
			return n, fmt.Errorf("delete the cached result %.16s: %w", key, err)
		}
		n += one
	}
	return n, nil
}

// escapePattern has a text stand for itself in a pattern.
func escapePattern(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}
