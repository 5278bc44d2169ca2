package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// SubmitAll sends submissions in one round trip and returns their entry ids, or
// the error of each.
func (s *Store) SubmitAll(ctx context.Context, subs []wire.Submission) ([]string, []error) {
	pipe := s.client.Pipeline()
	replies := make([]*redis.StringCmd, len(subs))
	for i := range subs {
		replies[i] = pipe.XAdd(ctx, &redis.XAddArgs{Stream: s.submit(), Values: subs[i].Fields()})
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	ids, errs := make([]string, len(subs)), make([]error, len(subs))
	for i, reply := range replies {
		if ids[i] = reply.Val(); reply.Err() != nil {
			errs[i] = fmt.Errorf("send the submission: %w", reply.Err())
		}
	}
	return ids, errs
}

// Pending names things that a client waits for.
type Pending struct {
	Submissions, Controls []string // entry ids without an answer so far
	Runs                  []string // that had not ended
	// Look is one of Runs whose record is looked at, since a run that was deleted
	// does not end.
	Look string
}

// Outcomes says which of the things that a client waits for have happened.
type Outcomes struct {
	Submissions, Controls map[string]wire.Answer
	Ended                 []string // runs
	Missing               string   // the run that was looked at, if there is none
}

// Outcomes looks for the answers to submissions and control requests and for the
// ends of runs in one round trip. It takes one command for each answer, one for
// the runs of a partition, and one for the run to look at.
func (s *Store) Outcomes(ctx context.Context, p Pending) (Outcomes, error) {
	out := Outcomes{Submissions: map[string]wire.Answer{}, Controls: map[string]wire.Answer{}}
	pipe := s.client.Pipeline()
	answers := map[*redis.MapStringStringCmd]func(wire.Answer){}
	for _, entry := range p.Submissions {
		answers[pipe.HGetAll(ctx, s.answer(entry))] = func(a wire.Answer) { out.Submissions[entry] = a }
	}
	for _, entry := range p.Controls {
		answers[pipe.HGetAll(ctx, s.reply(entry))] = func(a wire.Answer) { out.Controls[entry] = a }
	}
	byPartition := s.byPartition(p.Runs)
	ends := map[int]*redis.FloatSliceCmd{}
	for n, ids := range byPartition {
		ends[n] = pipe.ZMScore(ctx, s.done(n), ids...)
	}
	var look *redis.StringCmd
	if p.Look != "" {
		look = pipe.HGet(ctx, s.run(s.PartitionOf(p.Look), p.Look), "state")
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return Outcomes{}, fmt.Errorf("look for answers: %w", err)
	}
	for reply, found := range answers {
		if a, there := parseAnswer(reply.Val()); there {
			found(a)
		}
	}
	for n, scores := range ends {
		for i, score := range scores.Val() {
			if score != 0 {
				out.Ended = append(out.Ended, byPartition[n][i])
			}
		}
	}
	switch {
	case look == nil:
	case errors.Is(look.Err(), redis.Nil):
		out.Missing = p.Look
	case run.State(look.Val()).Final() && !slices.Contains(out.Ended, p.Look):
		out.Ended = append(out.Ended, p.Look)
	}
	return out, nil
}

// byPartition sorts runs by their partition.
func (s *Store) byPartition(ids []string) map[int][]string {
	out := map[int][]string{}
	for _, id := range ids {
		p := s.PartitionOf(id)
		out[p] = append(out[p], id)
	}
	return out
}

// Runs returns the records of runs, by their ids, in one round trip for each
// partition. Those that do not exist are left out.
func (s *Store) Runs(ctx context.Context, ids []string) (map[string]run.Run, error) {
	out := make(map[string]run.Run, len(ids))
	for p, some := range s.byPartition(ids) {
		found, err := s.records(ctx, p, some)
		if err != nil {
			return out, err
		}
		for i := range found {
			out[found[i].ID] = found[i]
		}
	}
	return out, nil
}
