package redisstore_test

import (
	"cmp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

func TestLinesAreReadFromBothEndsAndFromSeveralTasks(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		r1 := runOf(s, "r1")
		add := func(task, text string, n int, drop ...string) []string {
			return must[[]string](t)(s.AppendLines(ctx, r1, task, []wire.Line{{Task: task, Attempt: 1, Source: "stdout", Text: text, At: 5, Number: n}}, drop))
		}
		one := add("a", "one", 1)
		add("a", "two", 2)
		add("a", "three", 3, one...)
		add("b", "four", 0)
		texts := func(lines []wire.Line) string {
			var out strings.Builder
			for _, l := range lines {
				out.WriteString(l.Text + " ")
			}
			return out.String()
		}
		all := must[[]wire.Line](t)(s.Lines(ctx, r1, "a", "", 10, 0))
		if texts(all) != "two three " || all[0].Number != 2 || all[0].Attempt != 1 || all[0].At != 5 || all[0].Source != "stdout" {
			t.Errorf("lines are %+v", all)
		}
		if l := must[[]wire.Line](t)(s.LastLines(ctx, r1, "a", 1)); texts(l) != "three " {
			t.Errorf("the last line is %+v", l)
		}
		if l := must[[]wire.Line](t)(s.TailLines(ctx, r1, []string{"a", "b", "c"}, 1)); texts(l) != "three four " {
			t.Errorf("the last lines are %+v", l)
		}
		more := must[map[string][]wire.Line](t)(s.MoreLines(ctx, r1, map[string]string{"a": all[0].ID, "b": "", "c": ""}, 10, 0))
		if len(more) != 2 || texts(more["a"]) != "three " || texts(more["b"]) != "four " || more["b"][0].Number != 0 {
			t.Errorf("more lines are %+v", more)
		}
	})
}

// TestLines_BelongToTheRun: they count as a part of it and are deleted with it,
// also when the worker wrote nothing but the lines, and when the record of the
// task was deleted because its flow was retried.
func TestLines_BelongToTheRun(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		prefix := cmp.Or(srv.Prefix, "orchis")
		for name, retry := range map[string]wire.Commit{
			"plain":   {Done: 5},
			"retried": {Done: 5, Forget: []string{"f/a"}},
		} {
			id := runOf(s, name)
			first := wire.Commit{Run: id, Active: 1, Fields: []string{"state", "running"}, Tasks: []string{"a", `{"state":"queued"}`, "f/a", `{"state":"failed"}`}}
			ok(t, must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{first}))[0].Err)
			retry.Run, retry.Version = id, 1
			ok(t, must[[]wire.CommitResult](t)(s.Commit(ctx, 0, []wire.Commit{retry}))[0].Err)
			for _, task := range []string{"a", "f/a"} {
				values := []string{"attempt", "1", "text", strings.Repeat("x", 10_000)}
				ok(t, s.Client().XAdd(ctx, &redis.XAddArgs{Stream: prefix + ":{0}:run:" + id + ":lines:" + task, Values: values}).Err())
			}
			embedded := strings.HasSuffix(t.Name(), "embedded") // it does not measure streams
			if fits := must[int](t)(s.FittingRuns(ctx, 0, 20_000)); fits != 0 && !embedded {
				t.Errorf("%s: a run with 20,000 bytes of lines fits into 20,000 bytes", name)
			}
			ok(t, s.DeleteRuns(ctx, 0, []string{id}))
			if keys := s.Client().Keys(ctx, "*"+id+":*").Val(); len(keys) > 0 {
				t.Errorf("%s: left behind are %v", name, keys)
			}
		}
	})
}
