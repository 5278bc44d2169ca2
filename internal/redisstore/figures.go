package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// Figures measures what stands in some partitions, by reads that cost little
// however much it is.
func (s *Store) Figures(ctx context.Context, partitions []int) (wire.Figures, error) {
	f := wire.Figures{Queues: map[string]wire.Depth{}}
	now, err := s.Now(ctx)
	if err != nil {
		return f, fmt.Errorf("measure: %w", err)
	}
	for _, p := range partitions {
		if err := s.measurePartition(ctx, p, &f); err != nil {
			return f, fmt.Errorf("measure partition %d: %w", p, err)
		}
		if err := s.measureQueues(ctx, p, now, &f); err != nil {
			return f, fmt.Errorf("measure the queues of partition %d: %w", p, err)
		}
	}
	return f, nil
}

func (s *Store) measurePartition(ctx context.Context, p int, f *wire.Figures) error {
	pipe := s.client.Pipeline()
	active, kept := pipe.ZCard(ctx, s.active(p)), pipe.ZCard(ctx, s.done(p))
	timers, events, dead := pipe.ZCard(ctx, s.timers(p)), pipe.XLen(ctx, s.events(p)), pipe.XLen(ctx, s.dead(p))
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	f.Active, f.Kept, f.Timers = f.Active+active.Val(), f.Kept+kept.Val(), f.Timers+timers.Val()
	f.Events, f.Dead = f.Events+events.Val(), f.Dead+dead.Val()
	return nil
}

// laneFigures is a lane of a queue that is being measured.
type laneFigures struct {
	queue, stream string
	length        *redis.IntCmd
	pending       *redis.XPendingCmd
	oldest        *redis.XMessageSliceCmd
}

// measureQueues counts tickets. All that stands after the last ticket that a
// worker has is waiting, so the first of these is the oldest.
func (s *Store) measureQueues(ctx context.Context, p int, now time.Time, f *wire.Figures) error {
	streams, err := s.Streams(ctx, p)
	if err != nil || len(streams) == 0 {
		return err
	}
	var all []*laneFigures
	pipe := s.client.Pipeline()
	for _, stream := range streams {
		at := &laneFigures{queue: stream.Queue, stream: s.tickets(p, stream)}
		at.length, at.pending = pipe.XLen(ctx, at.stream), pipe.XPending(ctx, at.stream, groupWorkers)
		all = append(all, at)
	}
	if err := exec(ctx, pipe); err != nil {
		return err
	}
	pipe = s.client.Pipeline()
	for _, at := range all {
		if held := heldOf(at.pending); at.length.Val() > held.Count {
			after := "-"
			if held.Count > 0 {
				after = "(" + held.Higher
			}
			at.oldest = pipe.XRangeN(ctx, at.stream, after, "+", 1)
		}
	}
	if err := exec(ctx, pipe); err != nil {
		return err
	}
	for _, at := range all {
		d, held := f.Queues[at.queue], heldOf(at.pending).Count
		d.InFlight += held
		d.Waiting += max(0, at.length.Val()-held)
		if at.oldest != nil && len(at.oldest.Val()) > 0 {
			ms, _, _ := strings.Cut(at.oldest.Val()[0].ID, "-")
			if since, err := strconv.ParseInt(ms, 10, 64); err == nil {
				d.Oldest = max(d.Oldest, now.Sub(time.UnixMilli(since)))
			}
		}
		f.Queues[at.queue] = d
	}
	return nil
}

// exec sends a pipeline in which a stream or a group may be missing.
func exec(ctx context.Context, pipe redis.Pipeliner) error {
	if pipe.Len() == 0 {
		return nil
	}
	cmds, err := pipe.Exec(ctx)
	if err == nil || IsRetryable(err) {
		return err
	}
	for _, c := range cmds {
		if err := c.Err(); err != nil && !isNoGroup(err) && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}
