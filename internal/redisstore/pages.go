package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
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

// mostScanned is what a page looks at before it gives up finding more that
// match.
const mostScanned = 5_000

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
// runs than the limit and a Next all the same: what a page looks at is bounded.
func (s *Store) PageRuns(ctx context.Context, q ListQuery, cursor string) (RunPage, error) {
	if q.Limit <= 0 {
		q.Limit = 50
	}
	from := spot{active: true, at: 1 << 62}
	if cursor != "" {
		var err error
		if from, err = parseSpot(cursor); err != nil {
			return RunPage{}, err
		}
	}
	var page RunPage
	budget := mostScanned
	if from.active {
		if q.wants(false) {
			if err := s.pageOf(ctx, &q, from, []func(int) string{s.begun}, &budget, &page); err != nil || page.Next != "" {
				return page, err
			}
		}
		from = spot{at: 1 << 62}
	}
	if !q.wants(true) {
		return page, nil
	}
	return page, s.pageOf(ctx, &q, from, s.shelves(&q), &budget, &page)
}

// wants reports whether runs that have ended, or have not, may match.
func (q *ListQuery) wants(final bool) bool {
	return len(q.States) == 0 || slices.ContainsFunc(q.States, func(st run.State) bool { return st.Final() == final })
}

// all reports whether every run is wanted.
func (q *ListQuery) all() bool {
	return q.Recipe == "" && len(q.States) == 0 && len(q.Labels) == 0 && q.Since == 0 && q.Before == 0
}

// fits reports whether a run is wanted. A record with its state, recipe, labels
// and time of creation is enough.
func (q *ListQuery) fits(r *run.Run) bool {
	for name, value := range q.Labels {
		if given, there := r.Labels[name]; !there || given != value {
			return false
		}
	}
	return (len(q.States) == 0 || slices.Contains(q.States, r.State)) && (q.Recipe == "" || q.Recipe == r.Recipe) &&
		r.Created >= q.Since && (q.Before == 0 || r.Created < q.Before)
}

// brief reads what the filter of a list wants to know: state, recipe, created
// and labels.
func brief(values []any) run.Run {
	var text [4]string
	for i := range text {
		text[i], _ = values[i].(string)
	}
	r := run.Run{State: run.State(text[0]), Recipe: text[1]}
	r.Created, _ = strconv.ParseInt(text[2], 10, 64)
	if text[3] != "" && json.Unmarshal([]byte(text[3]), &r.Labels) != nil {
		r.Labels = nil
	}
	return r
}

// shelves are the sorted sets in which the ended runs that match are found the
// soonest: those of rare states, of the recipe, or all.
func (s *Store) shelves(q *ListQuery) []func(p int) string {
	var rare []func(int) string
	for _, st := range q.States {
		switch {
		case st == run.Failed || st == run.Cancelled:
			rare = append(rare, func(p int) string { return s.base(p) + doneByState(string(st)) })
		case st.Final() && q.Recipe != "":
			return []func(int) string{func(p int) string { return s.base(p) + doneByRecipe(q.Recipe) }}
		case st.Final():
			return []func(int) string{s.done}
		}
	}
	switch {
	case len(rare) > 0:
		return rare
	case q.Recipe != "":
		return []func(int) string{func(p int) string { return s.base(p) + doneByRecipe(q.Recipe) }}
	}
	return []func(int) string{s.done}
}

// pageOf adds runs of sorted sets until the page is full, or the budget of
// those looked at is spent. Then Next is set; without it there are no more.
func (s *Store) pageOf(ctx context.Context, q *ListQuery, from spot, shelves []func(p int) string, budget *int, page *RunPage) error {
	count := q.Limit + 1 - len(page.Runs)
	if !q.all() {
		count = max(count, 200)
	}
	for {
		some, err := s.places(ctx, from, shelves, count)
		if err != nil {
			return err
		}
		if len(some) == 0 || some[0].at < q.Since { // no run is created after it ended
			page.Next = ""
			return nil
		}
		match, err := s.matching(ctx, q, some)
		if err != nil {
			return err
		}
		room := q.Limit - len(page.Runs)
		if len(match) > room {
			match = match[:room]
			if page.Next = from.String(); room > 0 {
				page.Next = match[room-1].String()
			}
			return s.fillPage(ctx, match, page)
		}
		if err := s.fillPage(ctx, match, page); err != nil {
			return err
		}
		from = some[len(some)-1]
		page.Next = from.String()
		if *budget -= len(some); *budget <= 0 {
			return nil
		}
	}
}

// matching leaves the places whose runs are wanted.
func (s *Store) matching(ctx context.Context, q *ListQuery, some []spot) ([]spot, error) {
	if q.all() {
		return some, nil
	}
	pipe := s.client.Pipeline()
	facts := make([]*redis.SliceCmd, len(some))
	for i, c := range some {
		facts[i] = pipe.HMGet(ctx, s.run(s.PartitionOf(c.id), c.id), "state", "recipe", "created", "labels")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var out []spot
	for i, c := range some {
		if r := brief(facts[i].Val()); r.State != "" && q.fits(&r) {
			out = append(out, c)
		}
	}
	return out, nil
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

// places returns about count places after one, in order.
func (s *Store) places(ctx context.Context, from spot, shelves []func(p int) string, count int) ([]spot, error) {
	for ; ; count *= 4 {
		pipe := s.client.Pipeline()
		var replies []*redis.ZSliceCmd
		for p := range s.partitions {
			for _, key := range shelves {
				replies = append(replies, pipe.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
					Key: key(p), ByScore: true, Rev: true, Start: strconv.FormatInt(from.at, 10), Stop: "-inf", Count: int64(count),
				}))
			}
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
		var found []spot
		most := 0
		for _, reply := range replies {
			most = max(most, len(reply.Val()))
			for _, z := range reply.Val() {
				id, _ := z.Member.(string)
				if c := (spot{from.active, int64(z.Score), id}); after(from, c) < 0 {
					found = append(found, c)
				}
			}
		}
		slices.SortFunc(found, after)
		if len(found) > 0 || most < count { // else more runs than that are of one millisecond
			return found[:min(count, len(found))], nil
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
		streams, err := s.Streams(ctx, p)
		if err != nil {
			return nil, err
		}
		err = inChunks(streams, 1, func(chunk []wire.Stream) error { return s.oldest(ctx, p, chunk, oldest) })
		if err != nil {
			return nil, err
		}
	}
	return oldest, nil
}

// oldest notes, by queue, the time of the first ticket of streams that was not
// delivered.
func (s *Store) oldest(ctx context.Context, p int, streams []wire.Stream, into map[string]int64) error {
	pipe := s.client.Pipeline()
	groups := make([]*redis.XInfoGroupsCmd, len(streams))
	for i, stream := range streams {
		groups[i] = pipe.XInfoGroups(ctx, s.tickets(p, stream))
	}
	if _, err := pipe.Exec(ctx); IsRetryable(err) {
		return fmt.Errorf("look for the oldest tickets: %w", err)
	}
	pipe = s.client.Pipeline()
	first := make([]*redis.XMessageSliceCmd, len(streams))
	for i, stream := range streams {
		for _, g := range groups[i].Val() { // none without a stream
			if g.Name == groupWorkers {
				first[i] = pipe.XRangeN(ctx, s.tickets(p, stream), "("+g.LastDeliveredID, "+", 1)
			}
		}
	}
	if err := exec(ctx, pipe); err != nil {
		return fmt.Errorf("read the oldest tickets: %w", err)
	}
	for i, stream := range streams {
		if first[i] == nil || len(first[i].Val()) == 0 {
			continue
		}
		ms, _, _ := strings.Cut(first[i].Val()[0].ID, "-")
		at, err := strconv.ParseInt(ms, 10, 64)
		if had, there := into[stream.Queue]; err == nil && (!there || at < had) {
			into[stream.Queue] = at
		}
	}
	return nil
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
