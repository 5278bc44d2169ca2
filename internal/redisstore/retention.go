package redisstore

import (
	"context"
	_ "embed" // scripts
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// EndedRuns returns runs whose time is over: those without a retention of their
// own that ended before a time, those whose own has passed now, and the oldest
// of those beyond the newest keep, whatever their retention.
func (s *Store) EndedRuns(ctx context.Context, p int, now, before time.Time, keep, limit int) ([]string, error) {
	ids, err := s.byScore(ctx, s.retained(p), now, 0, limit)
	if err != nil || len(ids) > 0 {
		return ids, err
	}
	if ids, err = s.endedBefore(ctx, p, before, limit); err != nil || len(ids) > 0 {
		return ids, err
	}
	n, err := s.client.ZCard(ctx, s.done(p)).Result()
	if err != nil || n <= int64(keep) {
		return nil, err
	}
	return s.client.ZRange(ctx, s.done(p), 0, min(n-int64(keep), int64(limit))-1).Result()
}

// endedBefore returns the oldest runs that ended before a time and have no
// retention of their own.
func (s *Store) endedBefore(ctx context.Context, p int, before time.Time, limit int) ([]string, error) {
	var ids []string
	for from := "-inf"; len(ids) == 0; {
		some, err := s.client.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
			Key: s.done(p), ByScore: true, Start: from, Stop: strconv.FormatInt(before.UnixMilli(), 10), Count: measurePage,
		}).Result()
		if err != nil {
			return nil, fmt.Errorf("look for old runs: %w", err)
		}
		if len(some) == 0 {
			return nil, nil
		}
		names := make([]string, len(some))
		for i, z := range some {
			names[i], _ = z.Member.(string)
		}
		own, err := s.client.ZMScore(ctx, s.retained(p), names...).Result()
		if err != nil {
			return nil, fmt.Errorf("look for old runs: %w", err)
		}
		for i, id := range names {
			if own[i] == 0 && len(ids) < limit {
				ids = append(ids, id)
			}
		}
		last := some[len(some)-1].Score
		if last == some[0].Score && len(some) == measurePage {
			last++ // so many of one millisecond: the others are found when these have gone
		}
		next := strconv.FormatInt(int64(last), 10)
		if next == from || len(some) < measurePage {
			break
		}
		from = next
	}
	return ids, nil
}

// ownKeys are the keys that every run may have. Those of its tasks' log lines come
// beside them.
func (s *Store) ownKeys(p int, id string) []string {
	return []string{
		s.run(p, id), s.runTasks(p, id), s.runOutputs(p, id), s.runChanges(p, id), s.runForgotten(p, id), s.runBlobs(p, id),
		s.runSeeds(p, id), s.runArtifacts(p, id),
	}
}

// keysOfRun lists the keys that belong to a run alone.
func (s *Store) keysOfRun(ctx context.Context, p int, id string) ([]string, error) {
	tasks, err := s.taskNames(ctx, p, id)
	if err != nil {
		return nil, err
	}
	lines, err := s.written(ctx, id, tasks)
	return append(s.ownKeys(p, id), lines...), err
}

// measurePage is how many runs are looked at by one command.
const measurePage = 200

// FittingRuns returns how many of the newest ended runs fit into a number of
// bytes. A run is measured once; the sum is made anew each time, so that it
// cannot drift.
func (s *Store) FittingRuns(ctx context.Context, p int, budget int64) (int, error) {
	fits, used := 0, int64(0)
	for {
		ids, err := s.client.ZRevRange(ctx, s.done(p), int64(fits), int64(fits)+measurePage-1).Result()
		if err != nil {
			return 0, fmt.Errorf("measure ended runs: %w", err)
		}
		if len(ids) == 0 {
			return fits, nil
		}
		known, err := s.client.HMGet(ctx, s.doneBytes(p), ids...).Result()
		if err != nil {
			return 0, fmt.Errorf("measure ended runs: %w", err)
		}
		for i, id := range ids {
			text, _ := known[i].(string)
			size, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				if size, err = s.measureRun(ctx, p, id); err != nil {
					return 0, err
				}
			}
			if used += size; used > budget {
				return fits, nil
			}
			fits++
		}
	}
}

// measureRun asks Redis how many bytes the keys of a run take, and notes it.
func (s *Store) measureRun(ctx context.Context, p int, id string) (int64, error) {
	keys, err := s.keysOfRun(ctx, p, id)
	if err != nil {
		return 0, fmt.Errorf("measure run %s: %w", id, err)
	}
	blobs, err := s.set(ctx, s.runBlobs(p, id))
	if err != nil {
		return 0, fmt.Errorf("measure run %s: %w", id, err)
	}
	for _, b := range blobs {
		keys = append(keys, s.blob(p, b))
	}
	pipe := s.client.Pipeline()
	replies := make([]*redis.IntCmd, len(keys))
	for i, key := range keys {
		replies[i] = pipe.MemoryUsage(ctx, key, 5)
	}
	_, _ = pipe.Exec(ctx) // the replies hold the errors
	total := int64(0)
	for _, reply := range replies {
		n, err := reply.Result()
		if IsRetryable(err) {
			return 0, fmt.Errorf("measure run %s: %w", id, err)
		}
		if err != nil && !errors.Is(err, redis.Nil) { // not known here, or not allowed
			if total, err = s.guessRun(ctx, p, id); err != nil {
				return 0, err
			}
			break
		}
		total += n
	}
	if err := s.client.HSet(ctx, s.doneBytes(p), id, total).Err(); err != nil {
		return 0, fmt.Errorf("measure run %s: %w", id, err)
	}
	return total, nil
}

// guessRun adds up the lengths of what a run's hashes hold, where Redis does
// not tell how much memory a key takes.
func (s *Store) guessRun(ctx context.Context, p int, id string) (int64, error) {
	total := int64(0)
	for _, key := range []string{s.run(p, id), s.runTasks(p, id), s.runOutputs(p, id)} {
		m, err := s.hash(ctx, key, outputsPage)
		if err != nil {
			return 0, fmt.Errorf("measure run %s: %w", id, err)
		}
		for field, value := range m {
			total += int64(len(field) + len(value) + 64)
		}
	}
	return total, nil
}

//go:embed scripts/forget.lua
var forgetSource string

// ForgetConsumers removes from the groups of a partition's streams (and from
// those of submissions and control) consumers that were silent for a time and
// hold nothing.
func (s *Store) ForgetConsumers(ctx context.Context, p int, silent time.Duration) error {
	groups := [][2]string{{s.events(p), groupOrchestrators}}
	if p == 0 {
		groups = append(groups, [2]string{s.submit(), groupOrchestrators}, [2]string{s.control(), groupOrchestrators})
	}
	streams, err := s.Streams(ctx, p)
	if err != nil {
		return err
	}
	for _, stream := range streams {
		groups = append(groups, [2]string{s.tickets(p, stream), groupWorkers})
	}
	forget := redis.NewScript(forgetSource)
	for chunk := range slices.Chunk(groups, pipelined) {
		pipe := s.client.Pipeline()
		replies := make([]*redis.XInfoConsumersCmd, len(chunk))
		for i, g := range chunk {
			replies[i] = pipe.XInfoConsumers(ctx, g[0], g[1])
		}
		if _, err := pipe.Exec(ctx); IsRetryable(err) {
			return fmt.Errorf("look at the consumers of a partition: %w", err)
		}
		for i, g := range chunk {
			for _, c := range replies[i].Val() { // none without a group
				if c.Pending > 0 || c.Idle < silent {
					continue
				}
				if err := forget.Run(ctx, s.client, []string{g[0]}, g[1], c.Name).Err(); err != nil {
					return fmt.Errorf("forget consumer %s of %s: %w", c.Name, g[0], err)
				}
			}
		}
	}
	return nil
}

// ForgetWorkers removes workers from the registry that were not seen since.
func (s *Store) ForgetWorkers(ctx context.Context, before time.Time) error {
	all, err := s.Workers(ctx)
	if err != nil {
		return err
	}
	for _, w := range all {
		if w.Seen >= before.UnixMilli() {
			continue
		}
		if err := s.client.HDel(ctx, s.workers(), w.Name).Err(); err != nil {
			return fmt.Errorf("forget worker %s: %w", w.Name, err)
		}
	}
	return nil
}

// Memory is what the fullest node uses and may use, in bytes; most is 0 where
// Redis has no bound.
func (s *Store) Memory(ctx context.Context) (used, most int64, err error) {
	nodes, err := s.masters(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("ask Redis for its memory: %w", err)
	}
	for _, n := range nodes {
		u, _ := strconv.ParseInt(n.info["used_memory"], 10, 64)
		m, _ := strconv.ParseInt(n.info["maxmemory"], 10, 64)
		if m > 0 && (most == 0 || u*most > used*m) {
			used, most = u, m
		}
		if most == 0 {
			used = max(used, u)
		}
	}
	return used, most, nil
}
