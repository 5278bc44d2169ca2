package redisstore

import (
	"context"
	"crypto/sha256"
	_ "embed" // scripts
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

//go:embed scripts/group.lua
var groupSource string

//go:embed scripts/rate.lua
var rateSource string

// groupKeys are those of a group, in a slot of their own: the sorted set of the
// holders by the time they got their slot, that of those who wait, and a hash.
// They go with the last of them.
func (s *Store) groupKeys(name string) []string {
	sum := sha256.Sum256([]byte(name))
	base := s.prefix + ":{g" + hex.EncodeToString(sum[:8]) + "}:group"
	return []string{base + ":holders", base + ":waiters", base}
}

// rate is a string: when the bucket of a rate limit is full. It expires then.
func (s *Store) rate(name string) string {
	sum := sha256.Sum256([]byte(name))
	return s.prefix + ":rate:" + hex.EncodeToString(sum[:8])
}

// AskGroup asks for a slot of a group. Asking again for the same is harmless.
func (s *Store) AskGroup(ctx context.Context, q wire.GroupAsk) (wire.GroupReply, error) {
	if err := s.client.SAdd(ctx, s.groups(), q.Group).Err(); err != nil {
		return wire.GroupReply{}, fmt.Errorf("ask for a slot of group %s: %w", q.Group, err)
	}
	// High priorities first, then who came first.
	rank := strconv.FormatInt(int64(9-q.Priority)<<42+q.Now, 10)
	return s.group(ctx, q.Group, "ask", q.Member, q.Now, q.Limit, rank, q.Mode, 0)
}

// FreeGroup gives a slot back, or stops waiting for one. Until, when it is not
// 0, keeps the group from giving slots before that time.
func (s *Store) FreeGroup(ctx context.Context, name string, m wire.Member, now, until int64) (wire.GroupReply, error) {
	return s.group(ctx, name, "free", m, now, 0, "0", "", until)
}

func (s *Store) group(ctx context.Context, name, op string, m wire.Member, now int64, limit int, rank, mode string, until int64) (wire.GroupReply, error) {
	var out wire.GroupReply
	reply, err := redis.NewScript(groupSource).Run(ctx, s.client, s.groupKeys(name), op, m.String(), now, limit, rank, mode, until).Slice()
	if err != nil {
		return out, fmt.Errorf("%s a slot of group %s: %w", op, name, err)
	}
	if len(reply) != 4 {
		return out, fmt.Errorf("%s a slot of group %s: the reply is not understood", op, name)
	}
	out.State = fmt.Sprint(reply[0])
	out.Until, _ = reply[1].(int64)
	out.Granted, out.Evicted = members(reply[2]), members(reply[3])
	return out, nil
}

func members(v any) []wire.Member {
	list, _ := v.([]any)
	var out []wire.Member
	for _, x := range list {
		out = append(out, wire.ParseMember(fmt.Sprint(x)))
	}
	return out
}

// TakeRate takes a token and returns when it may be used; 0 is now.
func (s *Store) TakeRate(ctx context.Context, name string, limit int, per time.Duration, now int64) (int64, error) {
	return s.bucket(ctx, name, limit, per, now, 0)
}

// HoldRate lets a bucket give nothing until a time.
func (s *Store) HoldRate(ctx context.Context, name string, limit int, per time.Duration, now, until int64) error {
	_, err := s.bucket(ctx, name, limit, per, now, until)
	return err
}

func (s *Store) bucket(ctx context.Context, name string, limit int, per time.Duration, now, until int64) (int64, error) {
	whole := float64(per.Microseconds()) / 1000
	each := strconv.FormatFloat(whole/float64(max(1, limit)), 'f', 3, 64)
	at, err := redis.NewScript(rateSource).Run(ctx, s.client, []string{s.rate(name)}, now, each, strconv.FormatFloat(whole, 'f', 3, 64), until).Int64()
	if err != nil {
		return 0, fmt.Errorf("take a token of %s: %w", name, err)
	}
	return at, nil
}

// Groups returns the names of the groups that may have members.
func (s *Store) Groups(ctx context.Context) ([]string, error) {
	names, err := s.client.SMembers(ctx, s.groups()).Result()
	if err != nil {
		return nil, fmt.Errorf("read the groups: %w", err)
	}
	return names, nil
}

// Group returns who holds slots of a group and who waits for one, in order.
func (s *Store) Group(ctx context.Context, name string) (wire.Group, error) {
	keys := s.groupKeys(name)
	g := wire.Group{Name: name}
	pipe := s.client.Pipeline()
	holders := pipe.ZRangeWithScores(ctx, keys[0], 0, -1)
	waiters := pipe.ZRange(ctx, keys[1], 0, 999)
	rest := pipe.HGetAll(ctx, keys[2])
	if _, err := pipe.Exec(ctx); err != nil {
		return g, fmt.Errorf("read group %s: %w", name, err)
	}
	for _, z := range holders.Val() {
		text, _ := z.Member.(string)
		m := wire.ParseMember(text)
		m.Since = int64(z.Score)
		g.Holders = append(g.Holders, m)
	}
	for _, text := range waiters.Val() {
		g.Waiters = append(g.Waiters, wire.ParseMember(text))
	}
	g.Limit, _ = strconv.Atoi(rest.Val()["limit"])
	g.Until, _ = strconv.ParseInt(rest.Val()["until"], 10, 64)
	return g, nil
}

// ForgetGroup takes a group without members from the list.
func (s *Store) ForgetGroup(ctx context.Context, name string) error {
	if err := s.client.SRem(ctx, s.groups(), name).Err(); err != nil {
		return fmt.Errorf("forget group %s: %w", name, err)
	}
	// Somebody may have asked in between.
	g, err := s.Group(ctx, name)
	if err == nil && len(g.Holders)+len(g.Waiters) > 0 {
		err = s.client.SAdd(ctx, s.groups(), name).Err()
	}
	return err
}

// Task returns the record of one task; wire.ErrNotFound when it has none.
func (s *Store) Task(ctx context.Context, runID, task string) (string, error) {
	text, err := s.client.HGet(ctx, s.runTasks(s.PartitionOf(runID), runID), task).Result()
	if errors.Is(err, redis.Nil) {
		return "", wire.ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("read task %s of run %s: %w", task, runID, err)
	}
	return strings.Clone(text), nil
}
