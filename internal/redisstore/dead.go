package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// DeadLetters returns dead letters, the newest first, at most limit.
func (s *Store) DeadLetters(ctx context.Context, limit int) ([]wire.DeadLetter, error) {
	var out []wire.DeadLetter
	for p := range s.partitions {
		got, err := s.client.XRevRangeN(ctx, s.dead(p), "+", "-", int64(limit)).Result()
		if err != nil {
			return nil, fmt.Errorf("read the dead letters: %w", err)
		}
		for _, m := range got {
			out = append(out, deadLetter(p, m))
		}
	}
	slices.SortStableFunc(out, func(a, b wire.DeadLetter) int { return int(b.At - a.At) })
	return out[:min(limit, len(out))], nil
}

// DeadLetter returns one; wire.ErrNotFound when there is none of that id.
func (s *Store) DeadLetter(ctx context.Context, id string) (wire.DeadLetter, error) {
	p, entry, err := s.deadID(id)
	if err != nil {
		return wire.DeadLetter{}, err
	}
	got, err := s.client.XRangeN(ctx, s.dead(p), entry, entry, 1).Result()
	if err != nil {
		return wire.DeadLetter{}, fmt.Errorf("read dead letter %s: %w", id, err)
	}
	if len(got) == 0 {
		return wire.DeadLetter{}, fmt.Errorf("dead letter %s: %w", id, wire.ErrNotFound)
	}
	return deadLetter(p, got[0]), nil
}

// PurgeDead deletes dead letters and returns how many there were.
func (s *Store) PurgeDead(ctx context.Context, ids []string) (int64, error) {
	var n int64
	for _, id := range ids {
		p, entry, err := s.deadID(id)
		if err != nil {
			return n, err
		}
		one, err := s.client.XDel(ctx, s.dead(p), entry).Result()
		if err != nil {
			return n, fmt.Errorf("delete dead letter %s: %w", id, err)
		}
		n += one
	}
	return n, nil
}

// PurgeAllDead deletes all dead letters and returns how many there were.
func (s *Store) PurgeAllDead(ctx context.Context) (int64, error) {
	var n int64
	for p := range s.partitions {
		some, err := s.client.XTrimMaxLen(ctx, s.dead(p), 0).Result()
		if err != nil {
			return n, fmt.Errorf("delete the dead letters: %w", err)
		}
		n += some
	}
	return n, nil
}

// deadID reads the name of a dead letter.
func (s *Store) deadID(id string) (p int, entry string, err error) {
	left, entry, _ := strings.Cut(id, ":")
	p, err = strconv.Atoi(left)
	ms, seq, _ := strings.Cut(entry, "-")
	_, err1 := strconv.ParseUint(ms, 10, 64)
	_, err2 := strconv.ParseUint(seq, 10, 64)
	if errors.Join(err, err1, err2) != nil || p < 0 || p >= s.partitions {
		return 0, "", fmt.Errorf("dead letter %q: %w: want an id as in orchis dlq list, 0:1732000000000-0", id, wire.ErrNotFound)
	}
	return p, entry, nil
}

func deadLetter(p int, m redis.XMessage) wire.DeadLetter {
	text := func(name string) string { v, _ := m.Values[name].(string); return v }
	d := wire.DeadLetter{
		ID: strconv.Itoa(p) + ":" + m.ID, Run: text("run"), Task: text("task"), Handler: text("handler"),
		Stream: text("stream"), Entry: text("entry"),
	}
	// What does not read as a number is left at zero: the letter matters.
	d.Attempt, _ = strconv.Atoi(text("attempt"))
	ms, _, _ := strings.Cut(m.ID, "-")
	d.At, _ = strconv.ParseInt(ms, 10, 64)
	var e run.Error
	if why := text("error"); json.Unmarshal([]byte(why), &e) == nil {
		d.Error = &e
	} else if why != "" {
		d.Error = &run.Error{Code: "unreadable", Message: why}
	}
	return d
}
