package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// Workers need plain commands only, so that any language can do it.

// Take says how many tickets to claim from a stream, at most.
type Take struct {
	Stream wire.Stream
	Count  int
}

// ClaimTickets claims tickets without waiting, in one round trip. It never
// claims more than the sum of the counts.
func (s *Store) ClaimTickets(ctx context.Context, p int, consumer string, takes []Take) ([]wire.Ticket, error) {
	if len(takes) == 1 {
		return s.claimFrom(ctx, p, consumer, []wire.Stream{takes[0].Stream}, takes[0].Count, 0)
	}
	pipe := s.client.Pipeline()
	replies := make([]*redis.XStreamSliceCmd, len(takes))
	for i, take := range takes {
		replies[i] = pipe.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: groupWorkers, Consumer: consumer, Streams: []string{s.tickets(p, take.Stream), ">"}, Count: int64(take.Count), Block: -1,
		})
	}
	_, _ = pipe.Exec(ctx) // the replies hold the errors
	var out []wire.Ticket
	var missing []wire.Stream
	var failed error // the first error
	note := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	for i, take := range takes {
		got, err := replies[i].Result()
		switch {
		case errors.Is(err, redis.Nil):
			continue
		case isNoGroup(err):
			missing = append(missing, take.Stream)
			continue
		case err != nil:
			note(fmt.Errorf("claim tickets of %s: %w", take.Stream, err))
			continue
		}
		out, err = s.parseTickets(ctx, p, take.Stream, got[0].Messages, out)
		note(err)
	}
	if len(missing) > 0 { // Redis came back empty
		note(s.EnsureStreams(ctx, missing))
	}
	out, err := s.fillTickets(ctx, p, out)
	note(err)
	return out, failed
}

// AwaitTickets waits for tickets in any of the streams, at most for block. It
// claims up to count of each stream that has some when the wait ends, which is
// mostly one stream.
func (s *Store) AwaitTickets(ctx context.Context, p int, consumer string, streams []wire.Stream, count int, block time.Duration) ([]wire.Ticket, error) {
	return s.claimFrom(ctx, p, consumer, streams, count, block)
}

// claimFrom claims up to count tickets of each stream by one command, which
// waits for the first when block is positive.
func (s *Store) claimFrom(ctx context.Context, p int, consumer string, streams []wire.Stream, count int, block time.Duration) ([]wire.Ticket, error) {
	keys := make([]string, len(streams))
	for i, stream := range streams {
		keys[i] = s.tickets(p, stream)
	}
	got, err := s.read(ctx, keys, groupWorkers, consumer, count, block)
	if err != nil {
		return nil, err
	}
	out, err := s.parseStreams(ctx, p, got)
	if err != nil {
		return out, err
	}
	return s.fillTickets(ctx, p, out)
}

// ReadTickets claims up to count tickets of some queues, one lane after the
// other; tests claim by it. With none there it waits, at most for block.
func (s *Store) ReadTickets(ctx context.Context, p int, queues []string, consumer string, count int, block time.Duration) ([]wire.Ticket, error) {
	var out []wire.Ticket
	for _, stream := range wire.LanesOf(queues...) {
		if len(out) >= count {
			return out, nil
		}
		got, err := s.ClaimTickets(ctx, p, consumer, []Take{{Stream: stream, Count: count - len(out)}})
		if out = append(out, got...); err != nil {
			return out, err
		}
	}
	if len(out) > 0 || block <= 0 {
		return out, nil
	}
	return s.AwaitTickets(ctx, p, consumer, wire.LanesOf(queues...), 1, block)
}

// WaitingStreams returns those of the streams that hold tickets which no worker
// has claimed. It claims nothing.
func (s *Store) WaitingStreams(ctx context.Context, p int, streams []wire.Stream) ([]wire.Stream, error) {
	var filled []wire.Stream
	err := inChunks(streams, 1, func(chunk []wire.Stream) error {
		pipe := s.client.Pipeline()
		lengths := make([]*redis.IntCmd, len(chunk))
		for i, stream := range chunk {
			lengths[i] = pipe.XLen(ctx, s.tickets(p, stream))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("look for tickets: %w", err)
		}
		for i, stream := range chunk {
			if lengths[i].Val() > 0 {
				filled = append(filled, stream)
			}
		}
		return nil
	})
	if err != nil || len(filled) == 0 {
		return nil, err
	}
	var waiting []wire.Stream
	err = s.measure(ctx, p, filled, func(stream wire.Stream, length, held int64) {
		if length > held {
			waiting = append(waiting, stream)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("look for tickets: %w", err)
	}
	return waiting, nil
}

func (s *Store) parseStreams(ctx context.Context, p int, got []redis.XStream) ([]wire.Ticket, error) {
	var out []wire.Ticket
	for i := range got {
		stream, err := wire.ParseStream(strings.TrimPrefix(got[i].Stream, s.base(p)))
		if err != nil {
			return out, err
		}
		if out, err = s.parseTickets(ctx, p, stream, got[i].Messages, out); err != nil {
			return out, err
		}
	}
	return out, nil
}

// parseTickets adds the tickets of a stream to out. Malformed ones become dead
// letters.
func (s *Store) parseTickets(ctx context.Context, p int, stream wire.Stream, messages []redis.XMessage, out []wire.Ticket) ([]wire.Ticket, error) {
	out = slices.Grow(out, len(messages))
	for _, m := range messages {
		if m.Values == nil { // deleted since
			continue
		}
		t, err := wire.ParseTicket(m.ID, m.Values)
		if err != nil {
			if err := s.bury(ctx, p, s.tickets(p, stream), groupWorkers, m.ID, deadTicket(&t, err)); err != nil {
				return out, err
			}
			continue
		}
		t.Place(p, stream)
		out = append(out, t)
	}
	return out, nil
}

// OwnTickets returns the open tickets of streams that were delivered to this
// consumer: what it held when it died. The streams' groups must exist.
func (s *Store) OwnTickets(ctx context.Context, p int, streams []wire.Stream, consumer string) ([]wire.Ticket, error) {
	var out []wire.Ticket
	err := inChunks(streams, 1, func(chunk []wire.Stream) error {
		args := &redis.XReadGroupArgs{Group: groupWorkers, Consumer: consumer, Block: -1}
		for _, stream := range chunk {
			args.Streams = append(args.Streams, s.tickets(p, stream))
		}
		for range chunk {
			args.Streams = append(args.Streams, "0")
		}
		got, err := s.client.XReadGroup(ctx, args).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("read the tickets that %s held: %w", consumer, err)
		}
		some, err := s.parseStreams(ctx, p, got)
		out = append(out, some...)
		return err
	})
	return out, err
}

func groupTickets(s *Store, tickets []wire.Ticket) map[string][]string {
	streams := make(map[string][]string)
	for i := range tickets {
		stream := s.ticketStream(&tickets[i])
		streams[stream] = append(streams[stream], tickets[i].ID)
	}
	return streams
}

// ticketStream is the key of the stream that a ticket is in.
func (s *Store) ticketStream(t *wire.Ticket) string { return s.tickets(t.Partition, t.Stream()) }

// Heartbeat says that the tickets are still in work. It returns those that are
// still this worker's to do; work on the others must stop.
func (s *Store) Heartbeat(ctx context.Context, consumer string, tickets []wire.Ticket) ([]wire.Ticket, error) {
	pipe := s.client.Pipeline()
	replies := make(map[string]*redis.StringSliceCmd)
	for stream, ids := range groupTickets(s, tickets) {
		replies[stream] = pipe.XClaimJustID(ctx, &redis.XClaimArgs{
			Stream: stream, Group: groupWorkers, Consumer: consumer, MinIdle: 0, Messages: ids,
		})
	}
	if _, err := pipe.Exec(ctx); err != nil && !isNoGroup(err) {
		return nil, fmt.Errorf("send a heartbeat: %w", err)
	}
	held := make(map[string]bool)
	for stream, reply := range replies {
		for _, id := range reply.Val() {
			held[stream+id] = true
		}
	}
	var kept []wire.Ticket
	for i := range tickets {
		if held[s.ticketStream(&tickets[i])+tickets[i].ID] {
			kept = append(kept, tickets[i])
		}
	}
	return kept, nil
}

// AddTicket puts an entry of any kind into the normal lane of a queue: for the
// tests of workers.
func (s *Store) AddTicket(ctx context.Context, p int, queue string, fields []any) (id string, err error) {
	id, err = s.client.XAdd(ctx, &redis.XAddArgs{Stream: s.tickets(p, wire.Stream{Queue: queue}), Values: fields}).Result()
	if err != nil {
		return "", fmt.Errorf("add a ticket: %w", err)
	}
	return id, nil
}

// Completion is a ticket that is done with, and what to report of it.
type Completion struct {
	Ticket wire.Ticket
	Event  wire.Event
}

// Complete reports and removes tickets of one partition that a consumer holds,
// all or none. Sending it twice is harmless: the second report is stale.
func (s *Store) Complete(ctx context.Context, p int, consumer string, done []Completion) error {
	pipe := s.client.TxPipeline()
	streams := map[string][]string{}
	pack := wire.EventPacker{Sender: consumer}
	add := func(events []byte) {
		if events != nil {
			_ = pipe.Do(ctx, append([]any{"XADD", s.events(p), "*"}, wire.EventFields(consumer, events)...)...)
		}
	}
	for i := range done {
		ev := &done[i].Event
		if len(ev.Result) > inlineResult {
			digest, err := s.putBlob(ctx, p, ev.Result)
			if err != nil {
				return err
			}
			small := *ev
			small.Result, small.Blob = nil, digest
			ev = &small
		}
		add(pack.Add(ev))
		stream := s.ticketStream(&done[i].Ticket)
		streams[stream] = append(streams[stream], done[i].Ticket.ID)
	}
	add(pack.Close())
	for stream, ids := range streams {
		pipe.XAck(ctx, stream, groupWorkers, ids...)
		pipe.XDel(ctx, stream, ids...) // mutant: completed-ticket-deleted (skip)
	}
	if _, err := pipe.Exec(ctx); err != nil && !isNoGroup(err) {
		return fmt.Errorf("report %d completions: %w", len(done), err)
	}
	return nil
}

func (s *Store) follow(ctx context.Context, stream, after string, count int, block time.Duration) ([]redis.XMessage, error) {
	if after == "" {
		after = "0"
	}
	args := &redis.XReadArgs{Streams: []string{stream, after}, Count: int64(count), Block: block}
	if block <= 0 {
		args.Block = -1
	}
	got, err := s.client.XRead(ctx, args).Result()
	if errors.Is(err, redis.Nil) || err == nil && len(got) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", stream, err)
	}
	return got[0].Messages, nil
}

// PutWorker writes a worker's entry in the registry; Seen is set here.
func (s *Store) PutWorker(ctx context.Context, w wire.Worker) error {
	now, err := s.Now(ctx)
	if err != nil {
		return fmt.Errorf("register the worker: %w", err)
	}
	w.Seen = now.UnixMilli()
	raw, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("register the worker: %w", err)
	}
	if err := s.client.HSet(ctx, s.workers(), w.Name, raw).Err(); err != nil {
		return fmt.Errorf("register the worker: %w", err)
	}
	return nil
}

// RemoveWorker deletes a worker's entry, and its name from the groups of streams
// in which it holds nothing.
func (s *Store) RemoveWorker(ctx context.Context, name string, streams []wire.Stream) error {
	for p := range s.partitions {
		_ = inChunks(streams, 1, func(chunk []wire.Stream) error { return s.leaveGroups(ctx, p, name, chunk) })
	}
	if err := s.client.HDel(ctx, s.workers(), name).Err(); err != nil {
		return fmt.Errorf("remove worker %s: %w", name, err)
	}
	return nil
}

// leaveGroups removes a consumer that reads no more from the groups in which it
// holds nothing.
func (s *Store) leaveGroups(ctx context.Context, p int, name string, streams []wire.Stream) error {
	pipe := s.client.Pipeline()
	held := make([]*redis.XPendingExtCmd, len(streams))
	for i, stream := range streams {
		held[i] = pipe.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: s.tickets(p, stream), Group: groupWorkers, Start: "-", End: "+", Count: 1, Consumer: name})
	}
	if _, err := pipe.Exec(ctx); IsRetryable(err) {
		return err
	}
	pipe = s.client.Pipeline()
	for i, stream := range streams {
		if open, err := held[i].Result(); err == nil && len(open) == 0 {
			pipe.XGroupDelConsumer(ctx, s.tickets(p, stream), groupWorkers, name)
		}
	}
	if pipe.Len() == 0 {
		return nil
	}
	_, err := pipe.Exec(ctx)
	return err
}

// Workers returns the registry.
func (s *Store) Workers(ctx context.Context) ([]wire.Worker, error) {
	m, err := s.client.HGetAll(ctx, s.workers()).Result()
	if err != nil {
		return nil, fmt.Errorf("read the workers: %w", err)
	}
	var out []wire.Worker
	for _, name := range slices.Sorted(maps.Keys(m)) {
		var w wire.Worker
		if err := json.Unmarshal([]byte(m[name]), &w); err == nil {
			out = append(out, w)
		}
	}
	return out, nil
}
