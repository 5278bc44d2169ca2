package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

const (
	maxLines = 50_000 // of one task, whatever its attempts keep
	linesTTL = 7 * 24 * time.Hour
	// linesPage is how many streams of lines one command, or one pipeline, reads
	// where each may reply with a line of 16 KiB.
	linesPage = 250
)

// AppendLines adds lines that an attempt at a task wrote, deletes those entries
// that it wants to keep no longer, and returns the ids of the new ones.
func (s *Store) AppendLines(ctx context.Context, runID, task string, lines []wire.Line, drop []string) ([]string, error) {
	p := s.PartitionOf(runID)
	key := s.runLines(p, runID, task)
	pipe := s.client.Pipeline()
	if len(drop) > 0 {
		pipe.XDel(ctx, key, drop...)
	}
	added := make([]*redis.StringCmd, len(lines))
	for i, l := range lines {
		values := []any{"attempt", l.Attempt, "source", l.Source, "text", l.Text, "at", l.At}
		if l.Number > 0 {
			values = append(values, "n", l.Number)
		}
		added[i] = pipe.XAdd(ctx, &redis.XAddArgs{Stream: key, MaxLen: maxLines, Approx: true, Values: values})
	}
	pipe.Expire(ctx, key, linesTTL)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("write log lines of run %s: %w", runID, err)
	}
	ids := make([]string, len(added))
	for i, cmd := range added {
		ids[i] = cmd.Val()
	}
	return ids, nil
}

// Lines returns lines of a task after an entry ("" is the beginning), waiting
// for block when there are none.
func (s *Store) Lines(ctx context.Context, runID, task, after string, count int, block time.Duration) ([]wire.Line, error) {
	got, err := s.follow(ctx, s.runLines(s.PartitionOf(runID), runID, task), after, count, block)
	if err != nil {
		return nil, err
	}
	return parseLines(task, got), nil
}

// LastLines returns the newest lines of a task, the oldest of them first.
func (s *Store) LastLines(ctx context.Context, runID, task string, count int) ([]wire.Line, error) {
	got, err := s.client.XRevRangeN(ctx, s.runLines(s.PartitionOf(runID), runID, task), "+", "-", int64(count)).Result()
	if err != nil {
		return nil, fmt.Errorf("read log lines of run %s: %w", runID, err)
	}
	slices.Reverse(got)
	return parseLines(task, got), nil
}

func parseLines(task string, got []redis.XMessage) []wire.Line {
	var out []wire.Line
	for _, m := range got {
		l := wire.Line{ID: m.ID, Task: task}
		l.Source, _ = m.Values["source"].(string)
		l.Text, _ = m.Values["text"].(string)
		_, _ = fmt.Sscan(fmt.Sprint(m.Values["attempt"]), &l.Attempt)
		_, _ = fmt.Sscan(fmt.Sprint(m.Values["at"]), &l.At)
		_, _ = fmt.Sscan(fmt.Sprint(m.Values["n"]), &l.Number)
		out = append(out, l)
	}
	return out
}

// TailLines returns the newest lines of several tasks, of each the oldest of
// them first. It sends one command for each task, many at a time: first find out
// with MoreLines which tasks have lines.
func (s *Store) TailLines(ctx context.Context, runID string, tasks []string, count int) ([]wire.Line, error) {
	p := s.PartitionOf(runID)
	var out []wire.Line
	for some := range slices.Chunk(tasks, linesPage) {
		pipe := s.client.Pipeline()
		replies := make([]*redis.XMessageSliceCmd, len(some))
		for i, task := range some {
			replies[i] = pipe.XRevRangeN(ctx, s.runLines(p, runID, task), "+", "-", int64(count))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("read log lines of run %s: %w", runID, err)
		}
		for i, task := range some {
			got := replies[i].Val()
			slices.Reverse(got)
			out = append(out, parseLines(task, got)...)
		}
	}
	return out, nil
}

// MoreLines returns, of several tasks, the lines after an entry of each ("" is
// the beginning), waiting for block when there are none; at most count of each
// task. It sends one command; tasks without lines cost little.
func (s *Store) MoreLines(ctx context.Context, runID string, after map[string]string, count int, block time.Duration) (map[string][]wire.Line, error) {
	if len(after) == 0 {
		return nil, nil
	}
	p := s.PartitionOf(runID)
	tasks := slices.Sorted(maps.Keys(after))
	streams := make([]string, 0, 2*len(tasks))
	byKey := make(map[string]string, len(tasks))
	for _, task := range tasks {
		key := s.runLines(p, runID, task)
		byKey[key] = task
		streams = append(streams, key)
	}
	for _, task := range tasks {
		streams = append(streams, cmp.Or(after[task], "0"))
	}
	args := &redis.XReadArgs{Streams: streams, Count: int64(count), Block: block}
	if block <= 0 {
		args.Block = -1
	}
	got, err := s.client.XRead(ctx, args).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read log lines of run %s: %w", runID, err)
	}
	out := make(map[string][]wire.Line, len(got))
	for _, stream := range got {
		task := byKey[stream.Stream]
		out[task] = parseLines(task, stream.Messages)
	}
	return out, nil
}

// ForgottenTasks returns the tasks of a run whose records were deleted because
// their flow was retried. Such a task may have lines, and may have a record again.
func (s *Store) ForgottenTasks(ctx context.Context, runID string) ([]string, error) {
	tasks, err := s.set(ctx, s.runForgotten(s.PartitionOf(runID), runID))
	if err != nil {
		return nil, fmt.Errorf("read which tasks of run %s were forgotten: %w", runID, err)
	}
	return tasks, nil
}

// taskNames returns the tasks of a run that have a record, or had one. Only these
// can have lines: a task gets its record with its first ticket.
func (s *Store) taskNames(ctx context.Context, p int, id string) ([]string, error) {
	names, err := s.set(ctx, s.runForgotten(p, id))
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(names))
	for _, name := range names {
		known[name] = true
	}
	for cursor := uint64(0); ; {
		part, next, err := s.client.HScan(ctx, s.runTasks(p, id), cursor, "", namesPage).Result()
		if err != nil {
			return nil, err
		}
		for i := 0; i < len(part); i += 2 {
			if !known[part[i]] {
				known[part[i]] = true
				names = append(names, part[i])
			}
		}
		if next == 0 {
			return names, nil
		}
		cursor = next
	}
}

// written returns the keys of the line streams of a run that have entries.
func (s *Store) written(ctx context.Context, id string, tasks []string) ([]string, error) {
	p := s.PartitionOf(id)
	var keys []string
	for some := range slices.Chunk(tasks, linesPage) {
		after := make(map[string]string, len(some))
		for _, task := range some {
			after[task] = ""
		}
		got, err := s.MoreLines(ctx, id, after, 1, 0)
		if err != nil {
			return nil, err
		}
		for task := range got {
			keys = append(keys, s.runLines(p, id, task))
		}
	}
	return keys, nil
}
