package redisstore

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// One command must not keep others waiting, however large a run is: what grows
// with it is read in parts. Redis takes the number as a hint.
const (
	tasksPage   = 1000
	outputsPage = 250 // up to 64 KiB each
	logPage     = 100 // entries of up to a thousand changes
	namesPage   = 400 // records of which only the names are of use
)

// pairs puts the fields of a part of a hash into a map.
func pairs(to map[string]string, part []string) {
	for i := 0; i+1 < len(part); i += 2 {
		to[part[i]] = part[i+1]
	}
}

// hash reads a hash by parts of about count fields. Those that change
// meanwhile may be seen as before or after.
func (s *Store) hash(ctx context.Context, key string, count int64) (map[string]string, error) {
	all := map[string]string{}
	return all, s.restOfHash(ctx, key, 0, count, all)
}

// restOfHash goes on where an earlier part has ended.
func (s *Store) restOfHash(ctx context.Context, key string, cursor uint64, count int64, all map[string]string) error {
	for {
		part, next, err := s.client.HScan(ctx, key, cursor, "", count).Result()
		if err != nil {
			return err
		}
		pairs(all, part)
		if next == 0 {
			return nil
		}
		cursor = next
	}
}

// set reads a set by parts.
func (s *Store) set(ctx context.Context, key string) ([]string, error) {
	var all []string
	known := map[string]bool{}
	for cursor := uint64(0); ; {
		part, next, err := s.client.SScan(ctx, key, cursor, "", tasksPage).Result()
		if err != nil {
			return nil, err
		}
		for _, m := range part {
			if !known[m] {
				known[m] = true
				all = append(all, m)
			}
		}
		if next == 0 {
			return all, nil
		}
		cursor = next
	}
}

// unlink deletes keys, some at a time.
func (s *Store) unlink(ctx context.Context, keys []string) error {
	for len(keys) > 0 {
		n := min(len(keys), 500)
		if err := s.client.Unlink(ctx, keys[:n]...).Err(); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// parts are a run's record and its hashes.
type parts struct{ rec, tasks, outputs, seeds map[string]string }

// readParts reads a run's record and the beginning of each of its hashes in
// one transaction, which is all there is of most runs. The rest follows by
// parts; whole says that nothing changed meanwhile.
func (s *Store) readParts(ctx context.Context, p int, id string) (out *parts, whole bool, err error) {
	out = &parts{tasks: map[string]string{}, outputs: map[string]string{}, seeds: map[string]string{}}
	hashes := [3]struct {
		key   string
		count int64
		into  map[string]string
		first *redis.ScanCmd
	}{
		{key: s.runTasks(p, id), count: tasksPage, into: out.tasks},
		{key: s.runOutputs(p, id), count: outputsPage, into: out.outputs},
		{key: s.runSeeds(p, id), count: outputsPage, into: out.seeds},
	}
	pipe := s.client.TxPipeline()
	rec := pipe.HGetAll(ctx, s.run(p, id))
	for i := range hashes {
		hashes[i].first = pipe.HScan(ctx, hashes[i].key, 0, "", hashes[i].count)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, false, err
	}
	out.rec, whole = rec.Val(), true
	for i := range hashes {
		h := &hashes[i]
		part, cursor := h.first.Val()
		pairs(h.into, part)
		if cursor == 0 {
			continue
		}
		whole = false
		if err := s.restOfHash(ctx, h.key, cursor, h.count, h.into); err != nil {
			return nil, false, err
		}
	}
	if whole || len(out.rec) == 0 {
		return out, true, nil
	}
	version, err := s.client.HGet(ctx, s.run(p, id), "version").Result()
	if err != nil {
		return nil, false, fmt.Errorf("see whether it has changed: %w", err)
	}
	return out, version == out.rec["version"], nil
}
