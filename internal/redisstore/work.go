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

// What workers need: plain commands only, so that any language can do it.

// ReadTickets takes up to count tickets: those of the high lane first, then
// normal, then low. With none there it waits for one, at most for block.
func (s *Store) ReadTickets(ctx context.Context, p int, queues []string, consumer string, count int, block time.Duration) ([]wire.Ticket, error) {
	var out []wire.Ticket
	for _, l := range lanes() {
		for _, q := range queues {
			if len(out) >= count {
				return s.fillTickets(ctx, p, out)
			}
			got, err := s.read(ctx, []string{s.tickets(p, q, l)}, groupWorkers, consumer, count-len(out), 0)
			if err != nil {
				return out, err
			}
			if out, err = s.parseTickets(ctx, p, got, out); err != nil {
				return out, err
			}
		}
	}
	if len(out) > 0 || block <= 0 {
		return s.fillTickets(ctx, p, out)
	}
	return s.AwaitTickets(ctx, p, queues, consumer, block)
}

// AwaitTickets waits for a ticket in any lane, at most for block. Tickets that
// come at the same time come together: one of each lane of each queue at most.
func (s *Store) AwaitTickets(ctx context.Context, p int, queues []string, consumer string, block time.Duration) ([]wire.Ticket, error) {
	var all []string
	for _, l := range lanes() {
		for _, q := range queues {
			all = append(all, s.tickets(p, q, l))
		}
	}
	got, err := s.read(ctx, all, groupWorkers, consumer, 1, block)
	if err != nil {
		return nil, err
	}
	out, err := s.parseTickets(ctx, p, got, nil)
	if err != nil {
		return out, err
	}
	return s.fillTickets(ctx, p, out)
}

func (s *Store) parseTickets(ctx context.Context, p int, got []redis.XStream, out []wire.Ticket) ([]wire.Ticket, error) {
	for _, stream := range got {
		queue, priority := s.laneOf(p, stream.Stream)
		out = slices.Grow(out, len(stream.Messages))
		for _, m := range stream.Messages {
			if m.Values == nil { // deleted since
				continue
			}
			t, err := wire.ParseTicket(m.ID, m.Values)
			if err != nil {
				if err := s.bury(ctx, p, stream.Stream, groupWorkers, m.ID, deadTicket(&t, err)); err != nil {
					return out, err
				}
				continue
			}
			t.Partition, t.Queue, t.Priority = p, queue, priority
			out = append(out, t)
		}
	}
	return out, nil
}

// laneOf reads queue and priority from the name of a stream.
func (s *Store) laneOf(p int, stream string) (string, wire.Priority) {
	name := strings.TrimPrefix(stream, s.base(p)+"tickets:")
	if queue, priority, ok := strings.Cut(name, ":"); ok {
		return queue, wire.Priority(priority)
	}
	return name, wire.Normal
}

// OwnTickets returns the tickets that were delivered to this consumer and are
// still open: what it held when it died.
func (s *Store) OwnTickets(ctx context.Context, p int, queues []string, consumer string) ([]wire.Ticket, error) {
	var out []wire.Ticket
	for _, q := range queues {
		for _, l := range lanes() {
			stream := s.tickets(p, q, l)
			got, err := s.client.XReadGroup(ctx, &redis.XReadGroupArgs{
				Group: groupWorkers, Consumer: consumer, Streams: []string{stream, "0"}, Block: -1,
			}).Result()
			if isNoGroup(err) || errors.Is(err, redis.Nil) {
				continue
			}
			if err != nil {
				return out, fmt.Errorf("read own tickets of %s: %w", stream, err)
			}
			if out, err = s.parseTickets(ctx, p, got, out); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

func groupTickets(s *Store, tickets []wire.Ticket) map[string][]string {
	streams := make(map[string][]string)
	for i := range tickets {
		stream := s.ticketStream(&tickets[i])
		streams[stream] = append(streams[stream], tickets[i].ID)
	}
	return streams
}

// ticketStream is where a ticket stands.
func (s *Store) ticketStream(t *wire.Ticket) string {
	return s.tickets(t.Partition, t.Queue, t.Priority)
}

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
	for _, t := range tickets {
		if held[s.tickets(t.Partition, t.Queue, t.Priority)+t.ID] {
			kept = append(kept, t)
		}
	}
	return kept, nil
}

// AddTicket puts an entry of any kind into the normal lane of a queue: for the
// tests of workers.
func (s *Store) AddTicket(ctx context.Context, p int, queue string, fields []any) (id string, err error) {
	id, err = s.client.XAdd(ctx, &redis.XAddArgs{Stream: s.tickets(p, queue, wire.Normal), Values: fields}).Result()
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

// RemoveWorker deletes a worker's entry, and its name from the groups of
// queues in which it holds nothing.
func (s *Store) RemoveWorker(ctx context.Context, name string, queues []string) error {
	for p := range s.partitions {
		for _, q := range queues {
			for _, l := range lanes() {
				stream := s.tickets(p, q, l)
				open, err := s.client.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: stream, Group: groupWorkers, Start: "-", End: "+", Count: 1, Consumer: name}).Result()
				if err == nil && len(open) == 0 {
					_ = s.client.XGroupDelConsumer(ctx, stream, groupWorkers, name).Err()
				}
			}
		}
	}
	if err := s.client.HDel(ctx, s.workers(), name).Err(); err != nil {
		return fmt.Errorf("remove worker %s: %w", name, err)
	}
	return nil
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
