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
	"github.com/orchis-run/orchis/pkg/run"
)

// The log of a run is a list. An element is the version that a commit made, a
// blank, and what it changed; not every commit changes something that is told.

// logSlack is after how many versions a log that is too long is cut.
const logSlack = 1000

// logTries is how often a place in a log is looked for that is being cut.
const logTries = 5

// Log returns entries of a run's log after one ("" is the beginning), waiting
// for block when there are none; at most count, and no more than a hundred. An
// id that the run has not come to, as those of older builds, and of a Redis that
// has lost what it names, is the beginning: better twice than not at all.
//
// It waits for another version of the run, and reads the log then; see followers.
func (s *Store) Log(ctx context.Context, runID, after string, count int, block time.Duration) ([]wire.LogEntry, error) {
	out, err := s.awaitLog(ctx, runID, after, count, block)
	if err != nil {
		return nil, fmt.Errorf("read the log of run %s: %w", runID, err)
	}
	return out, nil
}

func (s *Store) awaitLog(ctx context.Context, runID, after string, count int, block time.Duration) ([]wire.LogEntry, error) {
	from, err := entryVersion(after)
	if err != nil {
		return nil, err
	}
	end := time.Now().Add(block)
	out, version, err := s.logAfter(ctx, runID, from, count)
	for err == nil && len(out) == 0 {
		left := time.Until(end)
		if left <= 0 {
			return nil, nil
		}
		seen := version
		if version, err = s.followers.await(ctx, runID, seen, left); err == nil && version != seen {
			out, version, err = s.logAfter(ctx, runID, from, count)
		}
	}
	return out, err
}

// entryVersion reads the id of an entry. Older builds had those of a stream,
// which say nothing here.
func entryVersion(id string) (int64, error) {
	head, tail, old := strings.Cut(id, "-")
	if id == "" || old && digits(head) && digits(tail) {
		return 0, nil
	}
	if !digits(id) {
		return 0, fmt.Errorf("%q is no id of an entry", id)
	}
	n, _ := strconv.ParseInt(id, 10, 64) // the largest, when it is too large
	return n, nil
}

func digits(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// logAfter reads entries after a version, and returns the run's as well.
func (s *Store) logAfter(ctx context.Context, runID string, after int64, count int) ([]wire.LogEntry, int64, error) {
	if count <= 0 || count > logPage {
		count = logPage
	}
	key := s.runChanges(s.PartitionOf(runID), runID)
	for range logTries {
		length, oldest, version, err := s.logEnds(ctx, runID)
		if err != nil {
			return nil, 0, err
		}
		if after > version { // mutant: log-cursor-reset (false)
			after = 0
		}
		low, high := bounds(length, oldest, version, after)
		if low == length {
			return nil, version, nil
		}
		if low, high, err = s.narrow(ctx, key, after, low, high, int64(count)); err != nil {
			return nil, version, err
		}
		from := max(0, low-1)
		texts, err := s.client.LRange(ctx, key, from, high+int64(count)-1).Result()
		if err != nil {
			return nil, version, err
		}
		// The one before shows that none is left out: the log may have been cut
		// meanwhile, and all have another place.
		if from > 0 && (len(texts) == 0 || versionOf(texts[0]) > after) { // mutant: log-trim-detected (without 2.2)
			continue
		}
		out, err := parseEntries(texts, after, count)
		return out, version, err
	}
	return nil, 0, errors.New("its entries are not in order")
}

// logEnds returns how long a log is, the version of its oldest entry, and that
// of the run. This is asked for last: none of the entries has a higher one.
func (s *Store) logEnds(ctx context.Context, runID string) (length, oldest, version int64, err error) {
	p := s.PartitionOf(runID)
	pipe := s.client.Pipeline()
	n, first := pipe.LLen(ctx, s.runChanges(p, runID)), pipe.LIndex(ctx, s.runChanges(p, runID), 0)
	newest := pipe.HGet(ctx, s.run(p, runID), "version")
	cmds, err := pipe.Exec(ctx)
	for _, cmd := range cmds {
		if e := cmd.Err(); e != nil && !errors.Is(e, redis.Nil) {
			return 0, 0, 0, e
		}
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, 0, 0, err
	}
	return n.Val(), versionOf(first.Val()), number(newest.Val()), nil
}

// bounds say between which places of a log the first entry after a version
// stands. Each has a higher version than the one before. So no more follow than
// there are versions above it, and no more come before than there are from the
// oldest entry's on. Both are one place where each version has an entry.
func bounds(length, oldest, version, after int64) (low, high int64) {
	low = max(0, length-(version-after))
	return low, max(low, min(length, after-oldest+1))
}

// narrow brings bounds so close together that there is no more than a page
// between them.
func (s *Store) narrow(ctx context.Context, key string, after, low, high, page int64) (int64, int64, error) {
	for high-low > page {
		middle := (low + high) / 2
		text, err := s.client.LIndex(ctx, key, middle).Result()
		switch {
		case err != nil && !errors.Is(err, redis.Nil):
			return 0, 0, err
		case err == nil && versionOf(text) <= after:
			low = middle + 1
		default: // it is after that, or the log is not as long any more
			high = middle
		}
	}
	return low, high, nil
}

// versionOf is the version of an element.
func versionOf(text string) int64 {
	head, _, _ := strings.Cut(text, " ")
	return number(head)
}

// parseEntries reads at most count of those elements that are after a version.
func parseEntries(texts []string, after int64, count int) ([]wire.LogEntry, error) {
	var out []wire.LogEntry
	for _, text := range texts {
		id, changes, _ := strings.Cut(text, " ")
		version, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return nil, err
		}
		if version <= after {
			continue
		}
		e := wire.LogEntry{ID: id}
		if e.Changes, err = run.ParseChanges([]byte(changes)); err != nil {
			return nil, fmt.Errorf("entry %s: %w", id, err)
		}
		if out = append(out, e); len(out) == count {
			break
		}
	}
	return out, nil
}
