package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// Streams returns the ticket streams of a partition: all lanes of the queues,
// and of the handlers of queues, that had a ticket.
func (s *Store) Streams(ctx context.Context, p int) ([]wire.Stream, error) {
	routes, err := s.client.SMembers(ctx, s.queues(p)).Result()
	if err != nil {
		return nil, fmt.Errorf("read the queues: %w", err)
	}
	var all []wire.Stream
	for _, route := range routes {
		if stream, err := wire.ParseRoute(route); err == nil {
			all = append(all, stream.Lanes()...)
		}
	}
	return all, nil
}

// pipelined is about how many commands go to Redis in one round trip.
const pipelined = 1000

// inChunks calls do with parts of streams that are small enough for a round
// trip of so many commands a stream each.
func inChunks(streams []wire.Stream, commands int, do func([]wire.Stream) error) error {
	for chunk := range slices.Chunk(streams, pipelined/commands) {
		if err := do(chunk); err != nil {
			return err
		}
	}
	return nil
}

// PendingTickets returns tickets of streams whose worker was silent for
// minIdle, at most count of each stream.
func (s *Store) PendingTickets(ctx context.Context, p int, streams []wire.Stream, minIdle time.Duration, count int) ([]wire.Pending, error) {
	var out []wire.Pending
	err := inChunks(streams, 1, func(chunk []wire.Stream) error {
		pipe := s.client.Pipeline()
		replies := make([]*redis.XPendingExtCmd, len(chunk))
		for i, stream := range chunk {
			replies[i] = pipe.XPendingExt(ctx, &redis.XPendingExtArgs{
				Stream: s.tickets(p, stream), Group: groupWorkers, Idle: minIdle, Start: "-", End: "+", Count: int64(count),
			})
		}
		if err := exec(ctx, pipe); err != nil {
			return fmt.Errorf("read the tickets that workers hold: %w", err)
		}
		for i, reply := range replies {
			for _, x := range reply.Val() {
				out = append(out, wire.Pending{TicketRef: wire.TicketRef{Stream: chunk[i], ID: x.ID}, Consumer: x.Consumer, Idle: x.Idle})
			}
		}
		return nil
	})
	return out, err
}

// ScanTickets returns tickets of a stream after an entry ("" is the beginning),
// whether or not a worker has them.
func (s *Store) ScanTickets(ctx context.Context, p int, stream wire.Stream, after string, count int) ([]wire.Ticket, error) {
	from := "-"
	if after != "" {
		from = "(" + after
	}
	got, err := s.client.XRangeN(ctx, s.tickets(p, stream), from, "+", int64(count)).Result()
	if err != nil {
		return nil, fmt.Errorf("read the tickets of %s: %w", stream, err)
	}
	return s.parseTickets(ctx, p, stream, got, nil)
}

// Ticket returns one ticket; wire.ErrNotFound when it no longer exists.
func (s *Store) Ticket(ctx context.Context, p int, ref wire.TicketRef) (wire.Ticket, error) {
	got, err := s.client.XRangeN(ctx, s.tickets(p, ref.Stream), ref.ID, ref.ID, 1).Result()
	if err != nil {
		return wire.Ticket{}, fmt.Errorf("read ticket %s of %s: %w", ref.ID, ref.Stream, err)
	}
	if len(got) == 0 {
		return wire.Ticket{}, wire.ErrNotFound
	}
	t, err := wire.ParseTicket(ref.ID, got[0].Values)
	t.Place(p, ref.Stream)
	return t, err
}

// DropTickets deletes tickets.
func (s *Store) DropTickets(ctx context.Context, p int, refs []wire.TicketRef) error {
	for _, r := range refs {
		if err := s.remove(ctx, s.tickets(p, r.Stream), groupWorkers, []string{r.ID}); err != nil {
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

// QueueStat is how many tickets a stream holds, over all partitions.
type QueueStat struct {
	Queue    string        `json:"queue"`
	Priority wire.Priority `json:"priority"`
	// Handler is set for a stream that only workers with this handler read.
	Handler string `json:"handler,omitempty"`
	// No worker has claimed the Waiting tickets; workers hold the InFlight ones.
	Waiting  int64 `json:"waiting"`
	InFlight int64 `json:"inFlight"`
}

// QueueStats returns the streams that hold tickets, and the normal lane of every
// queue.
func (s *Store) QueueStats(ctx context.Context) ([]QueueStat, error) {
	total := make(map[wire.Stream]QueueStat)
	for p := range s.partitions {
		streams, err := s.Streams(ctx, p)
		if err != nil {
			return nil, err
		}
		err = s.measure(ctx, p, streams, func(stream wire.Stream, length, held int64) {
			st := total[stream]
			st.Queue, st.Priority, st.Handler = stream.Queue, stream.Priority, stream.Handler
			st.Waiting += max(0, length-held)
			st.InFlight += held
			total[stream] = st
		})
		if err != nil {
			return nil, fmt.Errorf("measure the queues: %w", err)
		}
	}
	var out []QueueStat
	for _, st := range total {
		if st.Priority == wire.Normal && st.Handler == "" || st.Waiting+st.InFlight > 0 {
			out = append(out, st)
		}
	}
	slices.SortFunc(out, func(a, b QueueStat) int {
		return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Handler, b.Handler), cmp.Compare(a.Priority, b.Priority))
	})
	return out, nil
}

// measure calls do with the number of tickets in each stream, and how many of
// them workers hold.
func (s *Store) measure(ctx context.Context, p int, streams []wire.Stream, do func(stream wire.Stream, length, held int64)) error {
	return inChunks(streams, 2, func(chunk []wire.Stream) error {
		pipe := s.client.Pipeline()
		lengths, pending := make([]*redis.IntCmd, len(chunk)), make([]*redis.XPendingCmd, len(chunk))
		for i, stream := range chunk {
			lengths[i], pending[i] = pipe.XLen(ctx, s.tickets(p, stream)), pipe.XPending(ctx, s.tickets(p, stream), groupWorkers)
		}
		if err := exec(ctx, pipe); err != nil {
			return err
		}
		for i, stream := range chunk {
			do(stream, lengths[i].Val(), heldOf(pending[i]).Count)
		}
		return nil
	})
}

// heldOf is what workers hold of a stream: nothing when no worker has read it.
func heldOf(reply *redis.XPendingCmd) redis.XPending {
	if held := reply.Val(); held != nil {
		return *held
	}
	return redis.XPending{}
}
