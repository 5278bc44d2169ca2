package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/pkg/run"
)

// ErrCursor says that a cursor is none that a page gave.
var ErrCursor = errors.New("this is no cursor of a list of runs")

// RunPage is a part of the list of runs. Next leads to the one after it; empty
// when there is none.
type RunPage struct {
	Runs []run.Run
	Next string
}

// What a page looks at before it gives up finding more that match.
const (
	mostActive  = 10_000 // in each partition
	mostScanned = 2_000
)

// spot is a place in the list: among the active runs by their creation, or
// among the ended ones by their end; the newest come first.
type spot struct {
	active bool
	at     int64
	id     string
}

func (c spot) String() string {
	return map[bool]string{true: "a", false: "d"}[c.active] + "." + strconv.FormatInt(c.at, 10) + "." + c.id
}

func parseSpot(text string) (spot, error) {
	kind, rest, ok := strings.Cut(text, ".")
	number, id, ok2 := strings.Cut(rest, ".")
	at, err := strconv.ParseInt(number, 10, 64)
	if !ok || !ok2 || err != nil || kind != "a" && kind != "d" {
		return spot{}, ErrCursor
	}
	return spot{kind == "a", at, id}, nil
}

// after orders spots: by time, the newest first.
func after(a, b spot) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(b.id, a.id)) }

// PageRuns returns a page of the list of runs: those under way, the newest
// first, and then those that ended, the newest end first. A page may have fewer
// runs than the limit and a Next all the same.
func (s *Store) PageRuns(ctx context.Context, q ListQuery, cursor string) (RunPage, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	from := spot{active: true, at: 1 << 62}
	if cursor != "" {
		var err error
		if from, err = parseSpot(cursor); err != nil {
			return RunPage{}, err
		}
	}
	var page RunPage
	if from.active {
		more, err := s.pageActive(ctx, &q, from, limit, &page)
		if err != nil || more {
			return page, err
		}
		from = spot{at: 1 << 62}
	}
	err := s.pageDone(ctx, &q, from, limit, &page)
	return page, err
}

func (q *ListQuery) fits(state, recipe string) bool {
	return (len(q.States) == 0 || slices.Contains(q.States, run.State(state))) && (q.Recipe == "" || q.Recipe == recipe)
}

// pageActive adds runs that are under way, and reports whether the page is full.
func (s *Store) pageActive(ctx context.Context, q *ListQuery, from spot, limit int, page *RunPage) (bool, error) {
	var found []spot
	for p := range s.partitions {
		ids, err := s.client.ZRangeArgs(ctx, redis.ZRangeArgs{Key: s.active(p), Start: 0, Stop: mostActive - 1, Rev: true}).Result()
		if err != nil {
			return false, fmt.Errorf("list runs: %w", err)
		}
		pipe := s.client.Pipeline()
		facts := make([]*redis.SliceCmd, len(ids))
		for i, id := range ids {
			facts[i] = pipe.HMGet(ctx, s.run(p, id), "state", "recipe", "created")
		}
		if len(ids) > 0 {
			if _, err := pipe.Exec(ctx); err != nil {
				return false, fmt.Errorf("list runs: %w", err)
			}
		}
		for i, id := range ids {
			state, _ := facts[i].Val()[0].(string)
			recipe, _ := facts[i].Val()[1].(string)
			text, _ := facts[i].Val()[2].(string)
			at, _ := strconv.ParseInt(text, 10, 64)
			if c := (spot{true, at, id}); state != "" && q.fits(state, recipe) && after(from, c) < 0 {
				found = append(found, c)
			}
		}
	}
	slices.SortFunc(found, after)
	full := len(found) > limit
	found = found[:min(limit, len(found))]
	if full {
		page.Next = found[len(found)-1].String()
	}
	return full, s.fillPage(ctx, found, page)
}

// fillPage reads the records of runs, in their order.
func (s *Store) fillPage(ctx context.Context, spots []spot, page *RunPage) error {
	byPartition := map[int][]string{}
	for _, c := range spots {
		p := s.PartitionOf(c.id)
		byPartition[p] = append(byPartition[p], c.id)
	}
	known := map[string]run.Run{}
	for p, ids := range byPartition {
		runs, err := s.records(ctx, p, ids)
		if err != nil {
			return err
		}
		for _, r := range runs {
			known[r.ID] = r
		}
	}
	for _, c := range spots {
		if r, there := known[c.id]; there {
			page.Runs = append(page.Runs, r)
		}
	}
	return nil
}

// pageDone adds runs that have ended until the page is full.
func (s *Store) pageDone(ctx context.Context, q *ListQuery, from spot, limit int, page *RunPage) error {
	page.Next = from.String()
	for scanned := 0; scanned < mostScanned; {
		some, err := s.ended(ctx, from, limit)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			page.Next = ""
			return nil
		}
		part := RunPage{}
		if err := s.fillPage(ctx, some, &part); err != nil {
			return err
		}
		at := map[string]int64{}
		for _, c := range some {
			at[c.id] = c.at
		}
		for _, r := range part.Runs {
			if !q.fits(string(r.State), r.Recipe) {
				continue
			}
			if len(page.Runs) == limit {
				return nil
			}
			page.Runs = append(page.Runs, r)
			page.Next = spot{false, at[r.ID], r.ID}.String()
		}
		from = some[len(some)-1]
		page.Next = from.String()
		scanned += len(some)
		if len(page.Runs) >= limit {
			break
		}
	}
	return nil
}

// ended returns places of ended runs after one, about limit of them.
func (s *Store) ended(ctx context.Context, from spot, limit int) ([]spot, error) {
	for count := limit + 1; ; count *= 4 {
		var found []spot
		most := 0
		for p := range s.partitions {
			zs, err := s.client.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
				Key: s.done(p), ByScore: true, Rev: true, Start: strconv.FormatInt(from.at, 10), Stop: "-inf", Count: int64(count),
			}).Result()
			if err != nil {
				return nil, fmt.Errorf("list runs: %w", err)
			}
			most = max(most, len(zs))
			for _, z := range zs {
				id, _ := z.Member.(string)
				if c := (spot{false, int64(z.Score), id}); after(from, c) < 0 {
					found = append(found, c)
				}
			}
		}
		slices.SortFunc(found, after)
		if len(found) > 0 || most < count { // else more runs than that ended in one millisecond
			return found[:min(limit, len(found))], nil
		}
	}
}

// Totals are numbers of runs.
type Totals struct {
	// Active runs are under way, Ended ones are kept.
	Active, Ended int64
	// PerMinute are the runs that ended in each of the last minutes, the
	// newest last.
	PerMinute []int64
}

// Count counts runs.
func (s *Store) Count(ctx context.Context, now time.Time, minutes int) (Totals, error) {
	t := Totals{PerMinute: make([]int64, minutes)}
	for p := range s.partitions {
		pipe := s.client.Pipeline()
		active, ended := pipe.ZCard(ctx, s.active(p)), pipe.ZCard(ctx, s.done(p))
		each := make([]*redis.IntCmd, minutes)
		for i := range minutes {
			to := now.Add(time.Duration(i+1-minutes) * time.Minute).UnixMilli()
			each[i] = pipe.ZCount(ctx, s.done(p), "("+strconv.FormatInt(to-60_000, 10), strconv.FormatInt(to, 10))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return t, fmt.Errorf("count runs: %w", err)
		}
		t.Active, t.Ended = t.Active+active.Val(), t.Ended+ended.Val()
		for i, n := range each {
			t.PerMinute[i] += n.Val()
		}
	}
	return t, nil
}

// OldestTickets returns when the oldest ticket of each queue that no worker has
// was published, in Unix milliseconds.
func (s *Store) OldestTickets(ctx context.Context) (map[string]int64, error) {
	oldest := map[string]int64{}
	for p := range s.partitions {
		names, err := s.Queues(ctx, p)
		if err != nil {
			return nil, err
		}
		for _, q := range names {
			for _, l := range lanes() {
				at, err := s.oldest(ctx, s.tickets(p, q, l))
				if err != nil {
					return nil, err
				}
				if had, there := oldest[q]; at > 0 && (!there || at < had) {
					oldest[q] = at
				}
			}
		}
	}
	return oldest, nil
}

// oldest is the time of the first entry of a stream that was not delivered.
func (s *Store) oldest(ctx context.Context, stream string) (int64, error) {
	groups, err := s.client.XInfoGroups(ctx, stream).Result()
	if err != nil {
		if IsRetryable(err) {
			return 0, fmt.Errorf("look at %s: %w", stream, err)
		}
		return 0, nil // there is no such stream
	}
	last := "0-0"
	for _, g := range groups {
		if g.Name == groupWorkers {
			last = g.LastDeliveredID
		}
	}
	first, err := s.client.XRangeN(ctx, stream, "("+last, "+", 1).Result()
	if err != nil || len(first) == 0 {
		return 0, err
	}
	ms, _, _ := strings.Cut(first[0].ID, "-")
	return strconv.ParseInt(ms, 10, 64)
}

// Recipes counts the newest ended runs by recipe: the states of at most keep
// runs of each, the newest first, among the newest look.
func (s *Store) Recipes(ctx context.Context, look, keep int) (map[string][]run.Run, error) {
	page, err := s.PageRuns(ctx, ListQuery{Limit: look}, "")
	if err != nil {
		return nil, err
	}
	out := map[string][]run.Run{}
	for _, r := range page.Runs {
		if len(out[r.Recipe]) < keep {
			out[r.Recipe] = append(out[r.Recipe], r)
		}
	}
	return maps.Clone(out), nil
}

// Pulse is a text that changes when runs, workers or dead letters do.
func (s *Store) Pulse(ctx context.Context) (string, error) {
	pipe := s.client.Pipeline()
	workers := pipe.HLen(ctx, s.workers())
	paused := pipe.HLen(ctx, s.paused())
	var cards []*redis.IntCmd
	var newest []*redis.ZSliceCmd
	for p := range s.partitions {
		cards = append(cards, pipe.ZCard(ctx, s.done(p)), pipe.ZCard(ctx, s.active(p)), pipe.XLen(ctx, s.dead(p)))
		newest = append(newest, pipe.ZRevRangeWithScores(ctx, s.active(p), 0, 0), pipe.ZRevRangeWithScores(ctx, s.done(p), 0, 0))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return "", fmt.Errorf("look for changes: %w", err)
	}
	parts := []any{workers.Val(), paused.Val()}
	for _, c := range cards {
		parts = append(parts, c.Val())
	}
	for _, z := range newest {
		parts = append(parts, z.Val())
	}
	return fmt.Sprint(parts...), nil
}
