package redisstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/pkg/run"
)

// untilMark begins the fields of an artifact that hold a time instead of a run.
const untilMark = "until:"

// KeepArtifacts keeps artifacts until a time, for whoever asks, whatever becomes
// of the runs that refer to them.
func (s *Store) KeepArtifacts(ctx context.Context, p int, who string, until time.Time, digests []string) error {
	if len(digests) == 0 {
		return nil
	}
	pipe := s.client.Pipeline()
	for _, d := range digests {
		pipe.HSet(ctx, s.artifact(p, d), untilMark+who, until.UnixMilli())
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("keep %d artifacts: %w", len(digests), err)
	}
	return nil
}

// HeldArtifacts tells which of some artifacts are to be kept. What holds the
// others no more is forgotten.
func (s *Store) HeldArtifacts(ctx context.Context, digests []string, now time.Time) (map[string]bool, error) {
	held := map[string]bool{}
	for p := range s.partitions {
		pipe := s.client.Pipeline()
		replies := make([]*redis.MapStringStringCmd, len(digests))
		for i, d := range digests {
			replies[i] = pipe.HGetAll(ctx, s.artifact(p, d))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("look at %d artifacts: %w", len(digests), err)
		}
		for i, reply := range replies {
			if len(reply.Val()) == 0 {
				continue
			}
			is, err := s.isHeld(ctx, p, reply.Val(), now)
			if err != nil {
				return nil, err
			}
			held[digests[i]] = held[digests[i]] || is
			if !is {
				if err := s.client.Unlink(ctx, s.artifact(p, digests[i])).Err(); err != nil {
					return nil, fmt.Errorf("forget artifact %s: %w", digests[i], err)
				}
			}
		}
	}
	return held, nil
}

// isHeld reports whether anything of one artifact still counts.
func (s *Store) isHeld(ctx context.Context, p int, by map[string]string, now time.Time) (bool, error) {
	for who, keep := range by {
		if strings.HasPrefix(who, untilMark) {
			if at, err := strconv.ParseInt(keep, 10, 64); err == nil && at > now.UnixMilli() {
				return true, nil
			}
			continue
		}
		is, err := s.client.HMGet(ctx, s.run(p, who), "state", "ended").Result()
		if err != nil {
			return false, fmt.Errorf("look at run %s: %w", who, err)
		}
		state, there := is[0].(string)
		if !there {
			continue
		}
		if keep == "" || !run.State(state).Final() {
			return true, nil // mutant: artifact-of-active-run (replace true by false)
		}
		text, _ := is[1].(string)
		ended, _ := strconv.ParseInt(text, 10, 64)
		if ms, err := strconv.ParseInt(keep, 10, 64); err != nil || ended+ms > now.UnixMilli() {
			return true, nil //nolint:nilerr // what cannot be read is kept
		}
	}
	return false, nil
}

// releaseArtifacts takes a run that is deleted from those that refer to its
// artifacts. What was to be kept for longer stays until then.
func (s *Store) releaseArtifacts(ctx context.Context, p int, id string) error {
	all, err := s.hash(ctx, s.runArtifacts(p, id), tasksPage)
	if err != nil {
		return fmt.Errorf("release the artifacts of run %s: %w", id, err)
	}
	if len(all) == 0 {
		return nil
	}
	text, err := s.client.HGet(ctx, s.run(p, id), "ended").Result()
	if err != nil {
		text = ""
	}
	ended, _ := strconv.ParseInt(text, 10, 64)
	pipe := s.client.Pipeline()
	for digest, keep := range all {
		pipe.HDel(ctx, s.artifact(p, digest), id)
		if ms, err := strconv.ParseInt(keep, 10, 64); err == nil && ended > 0 {
			pipe.HSet(ctx, s.artifact(p, digest), untilMark+id, ended+ms)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("release the artifacts of run %s: %w", id, err)
	}
	return nil
}

// Artifacts returns the artifacts that a run refers to.
func (s *Store) Artifacts(ctx context.Context, id string) ([]string, error) {
	all, err := s.hash(ctx, s.runArtifacts(s.PartitionOf(id), id), tasksPage)
	if err != nil {
		return nil, fmt.Errorf("read the artifacts of run %s: %w", id, err)
	}
	return slices.Collect(maps.Keys(all)), nil
}
