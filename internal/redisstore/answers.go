package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// answered deletes a submission that another orchestrator answered before it
// died, and reports whether there was an answer.
func (s *Store) answered(ctx context.Context, entry string, deliveries int64) (bool, error) {
	if deliveries < 2 {
		return false, nil
	}
	if _, err := s.Answer(ctx, entry); err != nil {
		if errors.Is(err, wire.ErrNotFound) {
			err = nil
		}
		return false, err
	}
	return true, s.remove(ctx, s.submit(), groupOrchestrators, []string{entry})
}

// AnswerSubmissions records the answers to submissions, deletes the submissions
// and puts messages into the inboxes of the clients that wait. On a single Redis
// this is one transaction. On a Cluster the keys are on different nodes: a
// submission that was answered and not deleted is met again and deleted then.
func (s *Store) AnswerSubmissions(ctx context.Context, answers []wire.AnswerTo, ttl time.Duration) error {
	ids := make([]string, len(answers))
	pipe := s.client.TxPipeline()
	for i, a := range answers {
		ids[i] = a.Entry
		fields := []any{"state", a.State}
		if a.Run != "" {
			fields = append(fields, "run", a.Run)
		}
		if a.Error != "" {
			fields = append(fields, "error", a.Error)
		}
		pipe.HSet(ctx, s.answer(a.Entry), fields...)
		pipe.Expire(ctx, s.answer(a.Entry), ttl)
		if !s.clustered() { // a transaction on a Cluster is of one slot
			continue
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("answer %d submissions: %w", len(answers), err)
		}
	}
	messages := wire.MessagesOf(answers)
	if s.clustered() {
		_ = s.Notify(ctx, messages) // the answers are there: a client finds them
		return s.remove(ctx, s.submit(), groupOrchestrators, ids)
	}
	pipe.XAck(ctx, s.submit(), groupOrchestrators, ids...)
	pipe.XDel(ctx, s.submit(), ids...)
	if err := s.execWith(ctx, pipe, messages); err != nil {
		return fmt.Errorf("answer %d submissions: %w", len(answers), err)
	}
	return nil
}

// Answer returns the answer to a submission; wire.ErrNotFound while there is
// none.
func (s *Store) Answer(ctx context.Context, entry string) (wire.Answer, error) {
	return s.readAnswer(ctx, s.answer(entry), "the answer to submission "+entry)
}

// AnswerControl records the answer to a control request, and puts a message
// into the inbox of the client that waits for it.
func (s *Store) AnswerControl(ctx context.Context, a wire.AnswerTo, ttl time.Duration) error {
	pipe := s.client.TxPipeline()
	pipe.HSet(ctx, s.reply(a.Entry), "state", a.State, "run", a.Run, "error", a.Error)
	pipe.Expire(ctx, s.reply(a.Entry), ttl)
	var messages map[string][]wire.Message
	if wire.IsInbox(a.Inbox) {
		messages = map[string][]wire.Message{a.Inbox: {wire.ControlMessage(&a)}}
	}
	if s.clustered() {
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("answer control request %s: %w", a.Entry, err)
		}
		_ = s.Notify(ctx, messages) // the answer is there: the client finds it
		return nil
	}
	if err := s.execWith(ctx, pipe, messages); err != nil {
		return fmt.Errorf("answer control request %s: %w", a.Entry, err)
	}
	return nil
}

// ControlAnswer returns the answer to a control request; wire.ErrNotFound while
// there is none.
func (s *Store) ControlAnswer(ctx context.Context, entry string) (wire.Answer, error) {
	return s.readAnswer(ctx, s.reply(entry), "the answer to control request "+entry)
}

func (s *Store) readAnswer(ctx context.Context, key, what string) (wire.Answer, error) {
	m, err := s.client.HGetAll(ctx, key).Result()
	if err != nil {
		return wire.Answer{}, fmt.Errorf("read %s: %w", what, err)
	}
	a, there := parseAnswer(m)
	if !there {
		return wire.Answer{}, wire.ErrNotFound
	}
	return a, nil
}

// parseAnswer reads the fields of an answer, and reports whether there is one.
func parseAnswer(m map[string]string) (wire.Answer, bool) {
	return wire.Answer{State: m["state"], Run: m["run"], Error: m["error"]}, m["state"] != ""
}

// An inbox keeps about inboxLength entries, for inboxTTL after the last one: a
// client that waits reads them at once, and one that has gone reads none.
const (
	inboxLength = 1000
	inboxTTL    = time.Minute
)

// Notify puts messages into inboxes, by their ids. A client that gets none finds
// out by itself, a little later.
func (s *Store) Notify(ctx context.Context, messages map[string][]wire.Message) error {
	if len(messages) == 0 {
		return nil
	}
	pipe := s.client.Pipeline()
	s.addMessages(ctx, pipe, messages)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("notify %d clients: %w", len(messages), err)
	}
	return nil
}

func (s *Store) addMessages(ctx context.Context, pipe redis.Pipeliner, messages map[string][]wire.Message) {
	for id, some := range messages {
		pipe.XAdd(ctx, &redis.XAddArgs{Stream: s.inbox(id), MaxLen: inboxLength, Approx: true, Values: []any{"messages", wire.EncodeMessages(some)}})
		pipe.Expire(ctx, s.inbox(id), inboxTTL)
	}
}

// execWith executes a pipeline, and in the same round trip puts messages into
// inboxes. A message that is refused, by a key of another type for example, is
// no error.
func (s *Store) execWith(ctx context.Context, pipe redis.Pipeliner, messages map[string][]wire.Message) error {
	required := pipe.Len()
	s.addMessages(ctx, pipe, messages)
	cmds, err := pipe.Exec(ctx)
	if err == nil {
		return nil
	}
	for _, cmd := range cmds[:min(required, len(cmds))] {
		if cmd.Err() != nil {
			return cause(cmds, err)
		}
	}
	return nil
}

// ReadInbox returns the messages of an inbox after an entry, and the entry that
// was read last. It waits up to block when there are none.
func (s *Store) ReadInbox(ctx context.Context, id, after string, block time.Duration) ([]wire.Message, string, error) {
	got, err := s.client.XRead(ctx, &redis.XReadArgs{Streams: []string{s.inbox(id), after}, Count: 100, Block: block}).Result()
	if errors.Is(err, redis.Nil) || isUnblocked(err) {
		return nil, after, nil
	}
	if err != nil {
		return nil, after, fmt.Errorf("read the inbox %s: %w", id, err)
	}
	var out []wire.Message
	for _, stream := range got {
		for _, entry := range stream.Messages {
			after = entry.ID
			some, err := wire.ParseMessages(entry.Values)
			if err != nil {
				continue // whoever waits for one of them finds out by itself
			}
			out = append(out, some...)
		}
	}
	return out, after, nil
}
