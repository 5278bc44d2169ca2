package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// Load returns a run as it stands; its definition is read apart.
func (s *Store) Load(ctx context.Context, runID string) (*wire.Stored, error) {
	p := s.PartitionOf(runID)
	got, err := s.whole(ctx, p, runID)
	if err != nil {
		return nil, fmt.Errorf("load run %s: %w", runID, err)
	}
	if len(got.rec) == 0 {
		return nil, wire.ErrNotFound
	}
	if err := s.fillOutputs(ctx, p, got.outputs); err != nil {
		return nil, fmt.Errorf("load run %s: %w", runID, err)
	}
	taken, err := s.readSeeds(ctx, p, got.seeds)
	if err != nil {
		return nil, fmt.Errorf("load run %s: %w", runID, err)
	}
	return &wire.Stored{Run: got.rec, Tasks: got.tasks, Outputs: got.outputs, Seeds: taken}, nil
}

// whole reads a run of one moment.
func (s *Store) whole(ctx context.Context, p int, id string) (*parts, error) {
	for range 50 {
		got, whole, err := s.readParts(ctx, p, id)
		if err != nil || whole {
			return got, err
		}
	}
	return nil, errors.New("it keeps being changed while it is read")
}

// Definition returns a frozen definition.
func (s *Store) Definition(ctx context.Context, p int, digest string) ([]byte, error) {
	raw, err := s.client.Get(ctx, s.definition(p, digest)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, wire.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read definition %s: %w", digest, err)
	}
	if raw, err = unpack(raw); err != nil {
		return nil, fmt.Errorf("read definition %s: %w", digest, err)
	}
	return raw, nil
}

// Run returns the record of a run.
func (s *Store) Run(ctx context.Context, runID string) (run.Run, error) {
	p := s.PartitionOf(runID)
	m, err := s.client.HGetAll(ctx, s.run(p, runID)).Result()
	if err != nil {
		return run.Run{}, fmt.Errorf("read run %s: %w", runID, err)
	}
	if len(m) == 0 {
		return run.Run{}, wire.ErrNotFound
	}
	return run.Parse(runID, p, m)
}

// Tasks returns the records of a run's tasks by path.
func (s *Store) Tasks(ctx context.Context, runID string) ([]run.Task, error) {
	m, err := s.hash(ctx, s.runTasks(s.PartitionOf(runID), runID), tasksPage)
	if err != nil {
		return nil, fmt.Errorf("read the tasks of run %s: %w", runID, err)
	}
	var out []run.Task
	for _, id := range slices.Sorted(maps.Keys(m)) {
		t, err := run.ParseTask(id, m[id])
		if err != nil {
			return nil, err
		}
		t.Result = nil // see Outputs
		out = append(out, t)
	}
	return out, nil
}

// Outputs returns the results of a run's tasks: small ones are in the records of
// the tasks, others in a hash of their own.
func (s *Store) Outputs(ctx context.Context, runID string) (map[string]json.RawMessage, error) {
	p := s.PartitionOf(runID)
	tasks, err := s.hash(ctx, s.runTasks(p, runID), tasksPage)
	if err != nil {
		return nil, fmt.Errorf("read the tasks of run %s: %w", runID, err)
	}
	m, err := s.hash(ctx, s.runOutputs(p, runID), outputsPage)
	if err != nil {
		return nil, fmt.Errorf("read the results of run %s: %w", runID, err)
	}
	if err := s.fillOutputs(ctx, p, m); err != nil {
		return nil, fmt.Errorf("read the results of run %s: %w", runID, err)
	}
	out := make(map[string]json.RawMessage, len(m))
	for task, raw := range m {
		out[task] = json.RawMessage(raw)
	}
	for id, text := range tasks {
		t, err := run.ParseTask(id, text)
		if err != nil {
			return nil, err
		}
		if t.Result != nil {
			out[id] = t.Result
		}
	}
	return out, nil
}

// ListQuery says which runs are wanted.
type ListQuery struct {
	States []run.State
	Recipe string
	// Labels are some that the runs have.
	Labels map[string]string
	// Since and Before bound the time of their creation, in ms; 0 does not.
	Since, Before int64
	Limit         int
}

// ListRuns returns the runs of the first pages of the list, in the order of
// their creation: the newest come first.
func (s *Store) ListRuns(ctx context.Context, q ListQuery) ([]run.Run, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	var out []run.Run
	for cursor := ""; ; {
		q.Limit = limit - len(out)
		page, err := s.PageRuns(ctx, q, cursor)
		if err != nil {
			return nil, err
		}
		out = append(out, page.Runs...)
		if cursor = page.Next; cursor == "" || len(out) >= limit {
			break
		}
	}
	slices.SortStableFunc(out, func(a, b run.Run) int { return int(b.Created - a.Created) })
	return out, nil
}

func (s *Store) records(ctx context.Context, p int, ids []string) ([]run.Run, error) {
	pipe := s.client.Pipeline()
	replies := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		replies[i] = pipe.HGetAll(ctx, s.run(p, id))
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read %d runs: %w", len(ids), err)
	}
	var out []run.Run
	for i, reply := range replies {
		if len(reply.Val()) == 0 {
			continue
		}
		r, err := run.Parse(ids[i], p, reply.Val())
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// DueTimers returns timers that are due, and when the next one after these is;
// zero when there is none.
func (s *Store) DueTimers(ctx context.Context, p int, now time.Time, limit int) ([]wire.Timer, time.Time, error) {
	all, err := s.client.ZRangeWithScores(ctx, s.timers(p), 0, int64(limit)).Result()
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read the timers: %w", err)
	}
	var due []wire.Timer
	for _, z := range all {
		name, _ := z.Member.(string)
		at := int64(z.Score)
		if at > now.UnixMilli() {
			return due, time.UnixMilli(at), nil
		}
		if t, ok := parseMember(name, at); ok {
			due = append(due, t)
		} else if err := s.client.ZRem(ctx, s.timers(p), name).Err(); err != nil {
			return due, time.Time{}, fmt.Errorf("remove a timer: %w", err)
		}
	}
	return due, time.Time{}, nil
}

// RemoveTimers deletes timers that mean nothing any more.
func (s *Store) RemoveTimers(ctx context.Context, p int, timers []wire.Timer) error {
	names := make([]any, len(timers))
	for i, t := range timers {
		names[i] = member(t)
	}
	if err := s.client.ZRem(ctx, s.timers(p), names...).Err(); err != nil {
		return fmt.Errorf("remove timers: %w", err)
	}
	return nil
}

// Own takes or renews the ownership of a partition for a time.
func (s *Store) Own(ctx context.Context, p int, owner string, ttl time.Duration) (bool, error) {
	_, err := s.client.SetArgs(ctx, s.owner(p), owner, redis.SetArgs{Mode: "NX", TTL: ttl}).Result()
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, redis.Nil) {
		return false, fmt.Errorf("take partition %d: %w", p, err)
	}
	is, err := s.client.Get(ctx, s.owner(p)).Result()
	if errors.Is(err, redis.Nil) || err == nil && is != owner {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("take partition %d: %w", p, err)
	}
	if err := s.client.PExpire(ctx, s.owner(p), ttl).Err(); err != nil {
		return false, fmt.Errorf("renew partition %d: %w", p, err)
	}
	return true, nil
}

// Owner returns the orchestrator that looks after a partition; "" for none.
func (s *Store) Owner(ctx context.Context, p int) (string, error) {
	name, err := s.client.Get(ctx, s.owner(p)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("read who owns partition %d: %w", p, err)
	}
	return name, nil
}

// Disown gives a partition back.
func (s *Store) Disown(ctx context.Context, p int, owner string) error {
	is, err := s.client.Get(ctx, s.owner(p)).Result()
	if errors.Is(err, redis.Nil) || err == nil && is != owner {
		return nil
	}
	if err == nil {
		err = s.client.Del(ctx, s.owner(p)).Err()
	}
	if err != nil {
		return fmt.Errorf("give back partition %d: %w", p, err)
	}
	return nil
}

// Version is the number of commits of a run; 0 when there is no such run.
func (s *Store) Version(ctx context.Context, id string) (int64, error) {
	n, err := s.client.HGet(ctx, s.run(s.PartitionOf(id), id), "version").Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("read the version of run %s: %w", id, err)
	}
	return n, nil
}
