package redisstore_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// scale counts the commands that are sent and notes the largest reply.
type scale struct {
	mu       sync.Mutex
	commands map[string]int
	most     int // elements of one reply
	longest  int // commands in one transaction
}

func (*scale) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *scale) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		c.note(cmd)
		return err
	}
}

func (c *scale) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		c.note(cmds...)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.longest = max(c.longest, len(cmds))
		return err
	}
}

func (c *scale) note(cmds ...redis.Cmder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range cmds {
		name := strings.ToUpper(cmd.Name())
		c.commands[name]++
		size := 0
		switch cmd := cmd.(type) {
		case *redis.ScanCmd:
			part, _ := cmd.Val()
			size = len(part)
		case *redis.MapStringStringCmd:
			size = len(cmd.Val())
		case *redis.StringSliceCmd:
			size = len(cmd.Val())
		case *redis.ZSliceCmd:
			size = len(cmd.Val())
		case *redis.XStreamSliceCmd:
			for _, s := range cmd.Val() {
				size += len(s.Messages)
			}
		}
		c.most = max(c.most, size)
	}
}

// count runs a thing and returns what it took.
func count(t *testing.T, srv redistest.Server, do func(s *redisstore.Store)) *scale {
	t.Helper()
	s := must[*redisstore.Store](t)(redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL, Prefix: srv.Prefix}))
	defer func() { _ = s.Close() }()
	c := &scale{commands: map[string]int{}}
	s.Client().AddHook(c)
	do(s)
	return c
}

// large is a run with many tasks, written in several commits.
func large(t *testing.T, s *redisstore.Store, tasks int) string {
	t.Helper()
	id := runOf(s, "large")
	rec := run.Run{State: run.Running, Recipe: "large", Definition: "sha256:l", Inputs: []byte("{}"), Created: 1}
	for version := 0; version*500 < tasks; version++ {
		c := wire.Commit{Run: id, Version: int64(version), Active: 1, Log: []byte(`[1,{"task":"a"}]`)}
		if version == 0 {
			c.Fields, c.Digest, c.Definition = rec.Fields(), "sha256:l", []byte("{}")
		}
		for i := version * 500; i < min(tasks, version*500+500); i++ {
			task := fmt.Sprintf("j[%d]", i)
			record := run.Task{State: run.TaskSucceeded, Attempt: 1, Worker: "worker-of-some-host-1"}
			c.Tasks = append(c.Tasks, task, record.Encode())
			c.Outputs = append(c.Outputs, wire.Output{Task: task, Value: fmt.Appendf(nil, `{"n": %d}`, i)})
		}
		res := must[[]wire.CommitResult](t)(s.Commit(t.Context(), 0, []wire.Commit{c}))
		ok(t, res[0].Err)
	}
	return id
}

// No reply grows with the run that is read, and no command is sent for each
// task.
func TestLargeRunsAreReadInParts(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	s, ctx := open(t, srv), t.Context()
	id := large(t, s, 6000)
	for name, read := range map[string]func(s *redisstore.Store) int{
		"load": func(s *redisstore.Store) int {
			got := must[*wire.Stored](t)(s.Load(ctx, id))
			if len(got.Outputs) != 6000 {
				t.Errorf("%d results", len(got.Outputs))
			}
			return len(got.Tasks)
		},
		"tasks":   func(s *redisstore.Store) int { return len(must[[]run.Task](t)(s.Tasks(ctx, id))) },
		"outputs": func(s *redisstore.Store) int { got, err := s.Outputs(ctx, id); ok(t, err); return len(got) },
	} {
		var n int
		took := count(t, srv, func(s *redisstore.Store) { n = read(s) })
		if n != 6000 {
			t.Errorf("%s: %d of 6000 tasks", name, n)
		}
		if took.most > 2*1200 { // fields and values; Redis takes its COUNT as a hint
			t.Errorf("%s: a reply has %d elements", name, took.most)
		}
		if sent := took.commands["HSCAN"]; sent < 2 || sent > 40 {
			t.Errorf("%s: %d HSCAN for 6000 tasks", name, sent)
		}
	}
	c := wire.Commit{Run: id, Version: 12, Done: 7, Recipe: "large", Fields: []string{"state", "succeeded"}}
	ok(t, must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{c}))[0].Err)
	took := count(t, srv, func(s *redisstore.Store) { ok(t, s.DeleteRuns(ctx, 0, []string{id})) })
	if took.most > 1000 {
		t.Errorf("delete: a reply has %d elements", took.most)
	}
	if n := s.Client().Keys(ctx, "*large*").Val(); len(n) > 0 {
		t.Errorf("left behind: %v", n)
	}
}

// A run that changes while it is read in parts is read again.
func TestLoadIsOfOneMoment(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	s, ctx := open(t, srv), t.Context()
	id := large(t, s, 3000)
	reader := open(t, srv)
	between := &meddler{do: sync.OnceFunc(func() {
		gone := wire.Commit{Run: id, Version: 6, Active: 2, Forget: []string{"j[0]"}, Tasks: []string{"j[1]", `{"state":"failed"}`}}
		ok(t, must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{gone}))[0].Err)
	})}
	reader.Client().AddHook(between)
	got := must[*wire.Stored](t)(reader.Load(ctx, id))
	if got.Run["version"] != "7" || len(got.Tasks) != 2999 || got.Tasks["j[1]"] != `{"state":"failed"}` {
		t.Errorf("version %s with %d tasks, j[1] is %s", got.Run["version"], len(got.Tasks), got.Tasks["j[1]"])
	}
}

// meddler does something before the first HSCAN outside of a transaction.
type meddler struct{ do func() }

func (*meddler) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m *meddler) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "hscan" {
			m.do()
		}
		return next(ctx, cmd)
	}
}

func (*meddler) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A page of the list looks at about as many runs as it shows, however many
// there are: runs of a rare recipe or state stand in sorted sets of their own,
// and what else is searched is bounded.
func TestPagesOfALongHistoryAreCheap(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	s, ctx := open(t, srv), t.Context()
	const many = 12_000
	var commits []wire.Commit
	for i := range many {
		rec := run.Run{State: run.Succeeded, Recipe: "usual", Inputs: []byte("{}"), Created: int64(i + 1), Ended: int64(i + 1)}
		if i < 30 {
			rec.State = run.Failed
		}
		if i < 10 {
			rec.Recipe = "rare"
		}
		commits = append(commits, wire.Commit{Run: fmt.Sprintf("run-%d", i), Fields: rec.Fields(), Done: rec.Ended})
	}
	for i := range 300 {
		rec := run.Run{State: run.Running, Recipe: "usual", Inputs: []byte("{}"), Created: int64(many + i)}
		commits = append(commits, wire.Commit{Run: fmt.Sprintf("active-%d", i), Fields: rec.Fields(), Active: int64(many - i)})
	}
	must[[]wire.CommitResult](t)(s.Commit(ctx, 0, commits))
	for _, test := range []struct {
		name       string
		query      redisstore.ListQuery
		runs, read int // records looked at, at most
	}{
		{"newest", redisstore.ListQuery{Limit: 20}, 20, 60},
		{"ended", redisstore.ListQuery{Limit: 20, States: []run.State{run.Succeeded}}, 20, 260},
		{"failed", redisstore.ListQuery{Limit: 50, States: []run.State{run.Failed}}, 30, 60},
		{"rare recipe", redisstore.ListQuery{Limit: 50, Recipe: "rare"}, 10, 320},
		{"rare and failed", redisstore.ListQuery{Limit: 50, Recipe: "rare", States: []run.State{run.Failed}}, 10, 60},
		{"none", redisstore.ListQuery{Limit: 50, Recipe: "usual", States: []run.State{run.Cancelled}}, 0, 5},
		{"running", redisstore.ListQuery{Limit: 500, States: []run.State{run.Running}}, 300, 620},
		{"bounded", redisstore.ListQuery{Limit: 50, Recipe: "usual", States: []run.State{run.Succeeded, run.Failed}}, 50, 5500},
	} {
		var page redisstore.RunPage
		took := count(t, srv, func(s *redisstore.Store) { page = must[redisstore.RunPage](t)(s.PageRuns(ctx, test.query, "")) })
		if len(page.Runs) != test.runs {
			t.Errorf("%s: %d runs, want %d", test.name, len(page.Runs), test.runs)
		}
		if read := took.commands["HGETALL"] + took.commands["HMGET"]; read > test.read {
			t.Errorf("%s: looked at %d records for %d runs", test.name, read, len(page.Runs))
		}
		if took.most > 5000 {
			t.Errorf("%s: a reply has %d elements", test.name, took.most)
		}
	}
	if got := must[[]run.Run](t)(s.ListRuns(ctx, redisstore.ListQuery{Recipe: "rare", Limit: 100})); len(got) != 10 {
		t.Errorf("the list has %d runs of the rare recipe", len(got))
	}
	ok(t, s.DeleteRuns(ctx, 0, []string{"run-0"}))
	if got := must[redisstore.RunPage](t)(s.PageRuns(ctx, redisstore.ListQuery{Recipe: "rare"}, "")); len(got.Runs) != 9 {
		t.Errorf("%d runs of the rare recipe after one was deleted", len(got.Runs))
	}
	if n := s.Client().ZCard(ctx, "orchis:{0}:done:recipe:rare").Val(); n != 9 {
		t.Errorf("%d in the index after one was deleted", n)
	}
}

// A transaction never has more than some hundred records and tickets, and the
// definition of a large run goes through it packed.
func TestCommitsAreBounded(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	s, ctx := open(t, srv), t.Context()
	definition := bytes.Repeat([]byte(`{"name": "job", "job": "noop", "queue": "default"}, `), 40_000)
	var commits []wire.Commit
	for i := range 3000 {
		c := wire.Commit{Run: fmt.Sprintf("r%d", i), Fields: []string{"state", "running"}, Tasks: []string{"a", "{}"}, Active: 1}
		if i == 0 {
			c.Digest, c.Definition = "sha256:big", definition
		}
		commits = append(commits, c)
	}
	took := count(t, srv, func(s *redisstore.Store) { must[[]wire.CommitResult](t)(s.Commit(ctx, 0, commits)) })
	if took.longest > 1200 { // 200 runs, some commands each
		t.Errorf("a transaction had %d commands", took.longest)
	}
	if size := int64(len(s.Client().Get(ctx, "orchis:{0}:definition:sha256:big").Val())); size == 0 || size > int64(len(definition)/10) {
		t.Errorf("the definition of %d bytes stands there in %d", len(definition), size)
	}
	if got := must[[]byte](t)(s.Definition(ctx, 0, "sha256:big")); !bytes.Equal(got, definition) {
		t.Error("the definition came back as another")
	}
}

// Runs with a retention of their own do not hide others that ended later.
func TestOldRunsAreFoundBehindThoseThatStay(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		var commits []wire.Commit
		for i := range 900 {
			c := wire.Commit{Run: runOf(s, fmt.Sprintf("stays%d", i)), Fields: []string{"state", "succeeded"}, Done: int64(1 + i/450), RetainFor: 1 << 40}
			commits = append(commits, c)
		}
		old := runOf(s, "old")
		commits = append(commits, wire.Commit{Run: old, Fields: []string{"state", "succeeded"}, Done: 3})
		must[[]wire.CommitResult](t)(s.Commit(ctx, 0, commits))
		got := must[[]string](t)(s.EndedRuns(ctx, 0, time.UnixMilli(5), time.UnixMilli(5), 1<<30, 100))
		if len(got) != 1 || got[0] != old {
			t.Errorf("found %v", got)
		}
	})
}
