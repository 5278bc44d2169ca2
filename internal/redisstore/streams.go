package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// read takes new entries of a group's stream. A group that is gone (an emptied
// Redis) is made anew.
func (s *Store) read(ctx context.Context, streams []string, group, consumer string, count int, block time.Duration) ([]redis.XStream, error) {
	args := &redis.XReadGroupArgs{Group: group, Consumer: consumer, Count: int64(count), Block: block}
	if block <= 0 {
		args.Block = -1
	}
	args.Streams = append(args.Streams, streams...)
	for range streams {
		args.Streams = append(args.Streams, ">")
	}
	got, err := s.client.XReadGroup(ctx, args).Result()
	if errors.Is(err, redis.Nil) || isUnblocked(err) {
		return nil, nil
	}
	if isNoGroup(err) {
		groups := make([][2]string, len(streams))
		for i, stream := range streams {
			groups[i] = [2]string{stream, group}
		}
		return nil, s.createGroups(ctx, groups)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", streams[0], err)
	}
	return got, nil
}

func (s *Store) readOne(ctx context.Context, stream, consumer string, count int, block time.Duration) ([]redis.XMessage, error) {
	got, err := s.read(ctx, []string{stream}, groupOrchestrators, consumer, count, block)
	if err != nil || len(got) == 0 {
		return nil, err
	}
	return got[0].Messages, nil
}

// claim takes over entries that were delivered to others at least idle ago,
// with the number of deliveries of each.
func (s *Store) claim(ctx context.Context, stream, consumer string, idle time.Duration, count int) ([]redis.XMessage, map[string]int64, error) {
	pending, err := s.client.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: stream, Group: groupOrchestrators, Idle: idle, Start: "-", End: "+", Count: int64(count),
	}).Result()
	if isNoGroup(err) || errors.Is(err, redis.Nil) || err == nil && len(pending) == 0 {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("look for entries left behind in %s: %w", stream, err)
	}
	ids := make([]string, len(pending))
	deliveries := make(map[string]int64, len(pending))
	for i, p := range pending {
		ids[i], deliveries[p.ID] = p.ID, p.RetryCount+1
	}
	got, err := s.client.XClaim(ctx, &redis.XClaimArgs{
		Stream: stream, Group: groupOrchestrators, Consumer: consumer, MinIdle: idle, Messages: ids,
	}).Result()
	if err != nil {
		return nil, nil, fmt.Errorf("take over entries of %s: %w", stream, err)
	}
	return got, deliveries, nil
}

// remove acknowledges and deletes entries.
func (s *Store) remove(ctx context.Context, stream, group string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	pipe := s.client.TxPipeline()
	pipe.XAck(ctx, stream, group, ids...)
	pipe.XDel(ctx, stream, ids...)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("delete entries of %s: %w", stream, err)
	}
	return nil
}

// Submit sends a submission and returns its entry id.
func (s *Store) Submit(ctx context.Context, sub wire.Submission) (string, error) {
	id, err := s.client.XAdd(ctx, &redis.XAddArgs{Stream: s.submit(), Values: sub.Fields()}).Result()
	if err != nil {
		return "", fmt.Errorf("send the submission: %w", err)
	}
	return id, nil
}

// ReadSubmissions returns new submissions. Those that are malformed are
// answered as rejected and left out.
func (s *Store) ReadSubmissions(ctx context.Context, consumer string, count int, block time.Duration) ([]wire.Submission, error) {
	got, err := s.readOne(ctx, s.submit(), consumer, count, block)
	if err != nil {
		return nil, err
	}
	return s.submissions(ctx, got, nil)
}

// ClaimSubmissions returns submissions that another orchestrator read at least
// idle ago and has not answered.
func (s *Store) ClaimSubmissions(ctx context.Context, consumer string, idle time.Duration, count int) ([]wire.Submission, error) {
	got, deliveries, err := s.claim(ctx, s.submit(), consumer, idle, count)
	if err != nil {
		return nil, err
	}
	return s.submissions(ctx, got, deliveries)
}

func (s *Store) submissions(ctx context.Context, got []redis.XMessage, deliveries map[string]int64) ([]wire.Submission, error) {
	var out []wire.Submission
	for _, m := range got {
		if done, err := s.answered(ctx, m.ID, deliveries[m.ID]); err != nil {
			return out, err
		} else if done {
			continue
		}
		sub, err := wire.ParseSubmission(m.ID, m.Values)
		if err != nil {
			a := wire.AnswerTo{Entry: m.ID, Inbox: sub.Inbox, Answer: wire.Answer{State: wire.Rejected, Error: err.Error()}}
			if err := s.AnswerSubmissions(ctx, []wire.AnswerTo{a}, wire.AnswerTTL); err != nil {
				return out, err
			}
			continue
		}
		sub.Deliveries = max(1, deliveries[m.ID])
		out = append(out, sub)
	}
	return out, nil
}

// SendControl sends an operator's wish.
func (s *Store) SendControl(ctx context.Context, c wire.Control) (string, error) {
	id, err := s.client.XAdd(ctx, &redis.XAddArgs{Stream: s.control(), Values: c.Fields()}).Result()
	if err != nil {
		return "", fmt.Errorf("send the wish to %s run %s: %w", c.Op, c.Run, err)
	}
	return id, nil
}

// ReadControl returns new wishes, and those that others left behind.
func (s *Store) ReadControl(ctx context.Context, consumer string, count int, block, idle time.Duration) ([]wire.Control, error) {
	got, _, err := s.claim(ctx, s.control(), consumer, idle, count)
	if err != nil {
		return nil, err
	}
	if len(got) == 0 {
		if got, err = s.readOne(ctx, s.control(), consumer, count, block); err != nil {
			return nil, err
		}
	}
	var out []wire.Control
	for _, m := range got {
		c, err := wire.ParseControl(m.ID, m.Values)
		if err != nil {
			a := wire.AnswerTo{Entry: m.ID, Inbox: c.Inbox, Answer: wire.Answer{State: wire.Rejected, Error: err.Error()}}
			if err := s.AnswerControl(ctx, a, wire.AnswerTTL); err != nil {
				return out, err
			}
			if err := s.AckControl(ctx, []string{m.ID}); err != nil {
				return out, err
			}
			continue
		}
		out = append(out, c)
	}
	return out, nil
}

// AckControl deletes wishes that were passed on.
func (s *Store) AckControl(ctx context.Context, entries []string) error {
	return s.remove(ctx, s.control(), groupOrchestrators, entries)
}

// ReadEvents returns the events of up to count new entries of a partition.
// Malformed ones become dead letters and are left out.
func (s *Store) ReadEvents(ctx context.Context, p int, consumer string, count int, block time.Duration) ([]wire.Event, error) {
	got, err := s.readOne(ctx, s.events(p), consumer, count, block)
	if err != nil {
		return nil, err
	}
	return s.parseEvents(ctx, p, got, nil)
}

// ClaimEvents returns events that another orchestrator read at least idle ago.
func (s *Store) ClaimEvents(ctx context.Context, p int, consumer string, idle time.Duration, count int) ([]wire.Event, error) {
	// mutant: claim-orphaned-events (replace idle by 1000*time.Hour)
	got, deliveries, err := s.claim(ctx, s.events(p), consumer, idle, count)
	if err != nil {
		return nil, err
	}
	return s.parseEvents(ctx, p, got, deliveries)
}

func (s *Store) parseEvents(ctx context.Context, p int, got []redis.XMessage, deliveries map[string]int64) ([]wire.Event, error) {
	var out []wire.Event
	for _, m := range got {
		events, bad, err := wire.ParseEvents(m.ID, m.Values)
		if err != nil {
			bad = []wire.BadEvent{{Err: err}}
		}
		if err := s.buryEvents(ctx, p, m.ID, bad, len(events) == 0); err != nil {
			return out, err
		}
		for k := range events {
			if err := s.fillEvent(ctx, p, &events[k]); err != nil {
				return out, err
			}
			events[k].Entry.Deliveries = max(1, deliveries[m.ID])
		}
		if out == nil {
			out = events
		} else {
			out = append(out, events...)
		}
	}
	return out, nil
}

// buryEvents makes dead letters of events that cannot be read, and deletes their
// entry when nothing else is in it.
func (s *Store) buryEvents(ctx context.Context, p int, entry string, bad []wire.BadEvent, whole bool) error {
	for i, b := range bad {
		letter := []any{"run", b.Run, "task", b.Task, "error", b.Err.Error()}
		if whole && i == len(bad)-1 {
			return s.bury(ctx, p, s.events(p), groupOrchestrators, entry, letter)
		}
		if err := s.client.XAdd(ctx, s.deadLetter(p, s.events(p), entry, letter)).Err(); err != nil {
			return fmt.Errorf("bury an event of entry %s: %w", entry, err)
		}
	}
	return nil
}

// bury moves an entry that cannot be read to the dead letters.
func (s *Store) bury(ctx context.Context, p int, stream, group, entry string, letter []any) error {
	pipe := s.client.TxPipeline()
	pipe.XAdd(ctx, s.deadLetter(p, stream, entry, letter))
	pipe.XAck(ctx, stream, group, entry)
	pipe.XDel(ctx, stream, entry)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("bury entry %s of %s: %w", entry, stream, err)
	}
	return nil
}

// deadLetter is the entry of a dead letter. Empty fields, and names that are too
// long to be ours, are left out.
func (s *Store) deadLetter(p int, stream, entry string, letter []any) *redis.XAddArgs {
	values := []any{"stream", stream, "entry", entry}
	for i := 0; i+1 < len(letter); i += 2 {
		if text, _ := letter[i+1].(string); text != "" && (letter[i] == "error" || len(text) <= 256) {
			values = append(values, letter[i], text)
		}
	}
	return &redis.XAddArgs{Stream: s.dead(p), MaxLen: 10000, Approx: true, Values: values}
}

// deadTicket describes a ticket for a dead letter.
func deadTicket(t *wire.Ticket, why error) []any {
	return []any{"run", t.Run, "task", t.Task, "handler", t.Handler, "error", why.Error()}
}

// RefuseTicket moves a ticket that must not be worked on to the dead letters.
func (s *Store) RefuseTicket(ctx context.Context, t wire.Ticket, why error) error {
	return s.bury(ctx, t.Partition, s.ticketStream(&t), groupWorkers, t.ID, deadTicket(&t, why))
}

// SendEvents adds events to a partition's stream, an entry each: the commit that
// applies one also acknowledges its entry.
func (s *Store) SendEvents(ctx context.Context, p int, events []wire.Event) error {
	pipe := s.client.TxPipeline()
	for _, ev := range events {
		if len(ev.Result) > inlineResult {
			digest, err := s.putBlob(ctx, p, ev.Result)
			if err != nil {
				return err
			}
			ev.Result, ev.Blob = nil, digest
		}
		pipe.Do(ctx, s.addEvent(p, &ev)...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("send events: %w", err)
	}
	return nil
}

// addEvent is the command that adds one event of an orchestrator.
func (s *Store) addEvent(p int, ev *wire.Event) []any {
	var pack wire.EventPacker
	_ = pack.Add(ev) // the first event always fits
	return append([]any{"XADD", s.events(p), "*"}, wire.EventFields("", pack.Close())...)
}

// AckEvents deletes events that need no change.
func (s *Store) AckEvents(ctx context.Context, p int, ids []string) error {
	return s.remove(ctx, s.events(p), groupOrchestrators, ids)
}
