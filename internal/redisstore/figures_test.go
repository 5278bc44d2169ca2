package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// millis is the time of an entry.
func millis(t *testing.T, id string) int64 {
	t.Helper()
	ms, _, _ := strings.Cut(id, "-")
	return must[int64](t)(strconv.ParseInt(ms, 10, 64))
}

func TestWhatStandsInPartitionsIsMeasured(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		none := wire.Figures{Queues: map[string]wire.Depth{}}
		if diff := cmp.Diff(none, must[wire.Figures](t)(s.Figures(ctx, []int{0}))); diff != "" {
			t.Errorf("of nothing (-want +got): %s", diff)
		}
		if got := must[map[string]int64](t)(s.OldestTickets(ctx)); len(got) != 0 {
			t.Errorf("without tickets the oldest are %v", got)
		}
		ok(t, s.Ensure(ctx, []string{"default", "gpu"}))
		c := aCommit(runOf(s, "r1"), 0)
		c.Tickets = append(c.Tickets, c.Tickets[0], c.Tickets[0], c.Tickets[0])
		for i := range c.Tickets {
			c.Tickets[i].Fence = fmt.Sprint("p", i)
		}
		c.Tickets[1].Priority, c.Tickets[3].Queue = wire.Low, "gpu"
		c.Dead = []wire.DeadLetter{{Run: c.Run, Task: "x", Error: &run.Error{Code: "c"}}}
		ids := must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{c}))[0].TicketIDs
		ok(t, s.SendEvents(ctx, 0, []wire.Event{{Type: wire.Started, Run: c.Run, Task: "a", Fence: "p0"}}))
		ended := aCommit(runOf(s, "r2"), 0)
		ended.Tickets, ended.SetTimers, ended.Active, ended.Done = nil, nil, 0, 9
		must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{ended}))
		// The normal lane of default has two: one is taken, the other waits.
		if got := must[[]wire.Ticket](t)(s.ReadTickets(ctx, 0, []string{"default"}, "w1", 1, 0)); len(got) != 1 || got[0].Fence != "p0" {
			t.Fatalf("taken are %+v", got)
		}
		oldest := map[string]int64{"default": min(millis(t, ids[1]), millis(t, ids[2])), "gpu": millis(t, ids[3])}
		if got := must[map[string]int64](t)(s.OldestTickets(ctx)); !maps.Equal(got, oldest) {
			t.Errorf("the oldest tickets are of %v, want %v", got, oldest)
		}
		f := must[wire.Figures](t)(s.Figures(ctx, []int{0}))
		now := must[time.Time](t)(s.Now(ctx))
		for q, d := range f.Queues {
			if most := now.Sub(time.UnixMilli(oldest[q])); d.Oldest < 0 || d.Oldest > most {
				t.Errorf("the oldest of %s has been waiting for %s, at most %s are possible", q, d.Oldest, most)
			}
			d.Oldest = 0
			f.Queues[q] = d
		}
		want := wire.Figures{
			Queues: map[string]wire.Depth{"default": {Waiting: 2, InFlight: 1}, "gpu": {Waiting: 1}},
			Active: 1, Kept: 1, Timers: 1, Events: 1, Dead: 1,
		}
		if diff := cmp.Diff(want, f); diff != "" {
			t.Errorf("(-want +got): %s", diff)
		}
		if got := must[wire.Figures](t)(s.Figures(ctx, nil)); len(got.Queues) != 0 || got.Active != 0 {
			t.Errorf("of no partition: %+v", got)
		}
		// What is taken is not waiting, however old.
		must[[]wire.Ticket](t)(s.ReadTickets(ctx, 0, []string{"default"}, "w1", 10, 0))
		must[[]wire.Ticket](t)(s.AwaitTickets(ctx, 0, "w1", wire.LanesOf("default"), 1, 10*time.Millisecond))
		if got := must[map[string]int64](t)(s.OldestTickets(ctx)); got["gpu"] == 0 || got["default"] != 0 {
			t.Errorf("the oldest tickets are of %v, want gpu only", got)
		}
		if d := must[wire.Figures](t)(s.Figures(ctx, []int{0})).Queues["default"]; d != (wire.Depth{InFlight: 3}) {
			t.Errorf("default holds %+v", d)
		}
	})
}

// slow is an error of the network that is a timeout.
type slow struct{}

func (slow) Error() string   { return "it took too long" }
func (slow) Timeout() bool   { return true }
func (slow) Temporary() bool { return true }

func TestErrorsHaveAFewClasses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{redis.Nil, ""},
		{fmt.Errorf("load: %w", redis.Nil), ""},
		{context.Canceled, ""},
		{errors.New("NOSCRIPT No matching script"), ""},
		{errors.New("BUSYGROUP Consumer Group name already exists"), ""},
		{errors.New("NOGROUP No such key"), ""},
		{errors.New("ERR unknown subcommand 'maint_notifications'"), ""},
		{errors.New("ERR unknown subcommand 'MAINT_NOTIFICATIONS'"), ""},
		{errors.New("OOM command not allowed when used memory > 'maxmemory'"), "oom"},
		{errors.New("MISCONF Redis is configured to save RDB snapshots"), "misconf"},
		{errors.New("READONLY You can't write against a read only replica"), "readonly"},
		{errors.New("WRONGTYPE Operation against a key"), "wrongtype"},
		{errors.New("NOWORD of Redis"), "other"},
		{errors.New("ERR syntax error"), "other"},
		{context.DeadlineExceeded, "timeout"},
		{redis.ErrPoolTimeout, "timeout"},
		{&net.OpError{Op: "read", Err: slow{}}, "timeout"},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, "connection"},
		{fmt.Errorf("read: %w", io.EOF), "connection"},
		{redis.ErrClosed, "connection"},
	} {
		if got := redisstore.Class(test.err); got != test.want {
			t.Errorf("%v is of the class %q, want %q", test.err, got, test.want)
		}
	}
}

// TestWhoAsksIsToldOfErrors, of single commands and of batches, and not of what
// is no trouble.
func TestWhoAsksIsToldOfErrors(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		var mu sync.Mutex
		var told []string
		s, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL, Prefix: srv.Prefix, OnError: func(class string) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, class)
		}})
		ok(t, err)
		t.Cleanup(func() { _ = s.Close() })
		ctx, key := t.Context(), srv.Prefix+":a-text"
		ok(t, s.Client().Set(ctx, key, "x", time.Minute).Err())
		if _, err := s.Run(ctx, "nobody"); !errors.Is(err, wire.ErrNotFound) {
			t.Errorf("a run that is not there: %v", err)
		}
		_ = s.Client().LPush(ctx, key, "y").Err()
		_, _ = s.Client().Pipelined(ctx, func(p redis.Pipeliner) error {
			p.Get(ctx, key)
			p.SAdd(ctx, key, "z")
			return nil
		})
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff([]string{"wrongtype", "wrongtype"}, told); diff != "" {
			t.Errorf("told of (-want +got): %s", diff)
		}
	})
}
