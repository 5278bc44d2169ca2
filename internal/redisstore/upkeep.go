package redisstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// Queues returns the queues that ever had a ticket in a partition.
func (s *Store) Queues(ctx context.Context, p int) ([]string, error) {
	names, err := s.client.SMembers(ctx, s.queues(p)).Result()
	if err != nil {
		return nil, fmt.Errorf("read the queues: %w", err)
	}
	return names, nil
}

// PendingTickets returns tickets of a lane whose worker has not been heard of
// for minIdle.
func (s *Store) PendingTickets(ctx context.Context, p int, queue string, l wire.Priority, minIdle time.Duration, count int) ([]wire.Pending, error) {
	got, err := s.client.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: s.tickets(p, queue, l), Group: groupWorkers, Idle: minIdle, Start: "-", End: "+", Count: int64(count),
	}).Result()
	if isNoGroup(err) || errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what workers hold of queue %s: %w", queue, err)
	}
	var out []wire.Pending
	for _, x := range got {
		out = append(out, wire.Pending{ID: x.ID, Consumer: x.Consumer, Idle: x.Idle})
	}
	return out, nil
}

// ScanTickets returns tickets of a lane after an entry ("" is the beginning),
// whether or not a worker has them.
func (s *Store) ScanTickets(ctx context.Context, p int, queue string, l wire.Priority, after string, count int) ([]wire.Ticket, error) {
	from := "-"
	if after != "" {
		from = "(" + after
	}
	got, err := s.client.XRangeN(ctx, s.tickets(p, queue, l), from, "+", int64(count)).Result()
	if err != nil {
		return nil, fmt.Errorf("read the tickets of queue %s: %w", queue, err)
	}
	return s.parseTickets(ctx, p, []redis.XStream{{Stream: s.tickets(p, queue, l), Messages: got}}, nil)
}

// Ticket returns one ticket; wire.ErrNotFound when it is gone.
func (s *Store) Ticket(ctx context.Context, p int, queue string, l wire.Priority, id string) (wire.Ticket, error) {
	got, err := s.client.XRangeN(ctx, s.tickets(p, queue, l), id, id, 1).Result()
	if err != nil {
		return wire.Ticket{}, fmt.Errorf("read ticket %s of queue %s: %w", id, queue, err)
	}
	if len(got) == 0 {
		return wire.Ticket{}, wire.ErrNotFound
	}
	t, err := wire.ParseTicket(id, got[0].Values)
	t.Partition, t.Queue, t.Priority = p, queue, l
	return t, err
}

// DropTickets deletes tickets.
func (s *Store) DropTickets(ctx context.Context, p int, refs []wire.TicketRef) error {
	for _, r := range refs {
		if err := s.remove(ctx, s.tickets(p, r.Queue, r.Priority), groupWorkers, []string{r.ID}); err != nil {
			return err
		}
	}
	return nil
}

// ActiveRuns returns runs without progress since a time, the longest first,
// after so many of them.
func (s *Store) ActiveRuns(ctx context.Context, p int, before time.Time, after, limit int) ([]string, error) {
	return s.byScore(ctx, s.active(p), before, after, limit)
}

func (s *Store) byScore(ctx context.Context, key string, before time.Time, after, limit int) ([]string, error) {
	ids, err := s.client.ZRangeArgs(ctx, redis.ZRangeArgs{Key: key, ByScore: true, Start: "-inf", Stop: before.UnixMilli(), Offset: int64(after), Count: int64(limit)}).Result()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return ids, nil
}

// QueueStat tells of one lane of a queue.
type QueueStat struct {
	Queue    string        `json:"queue"`
	Priority wire.Priority `json:"priority"`
	// Waiting tickets are with no worker, InFlight ones are.
	Waiting  int64 `json:"waiting"`
	InFlight int64 `json:"inFlight"`
}

// QueueStats returns the lanes that hold tickets, and the normal lane of every
// queue.
func (s *Store) QueueStats(ctx context.Context) ([]QueueStat, error) {
	total := make(map[string]*QueueStat)
	for p := range s.partitions {
		names, err := s.Queues(ctx, p)
		if err != nil {
			return nil, err
		}
		for _, q := range names {
			for _, l := range lanes() {
				n, err := s.client.XLen(ctx, s.tickets(p, q, l)).Result()
				if err != nil {
					return nil, fmt.Errorf("measure queue %s: %w", q, err)
				}
				held := int64(0)
				if pending, err := s.client.XPending(ctx, s.tickets(p, q, l), groupWorkers).Result(); err == nil {
					held = pending.Count
				}
				stat := total[q+" "+string(l)]
				if stat == nil {
					stat = &QueueStat{Queue: q, Priority: l}
					total[q+" "+string(l)] = stat
				}
				stat.Waiting += max(0, n-held)
				stat.InFlight += held
			}
		}
	}
	var out []QueueStat
	for _, k := range slices.Sorted(maps.Keys(total)) {
		if st := total[k]; st.Priority == wire.Normal || st.Waiting+st.InFlight > 0 {
			out = append(out, *st)
		}
	}
	return out, nil
}
