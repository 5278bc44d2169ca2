package redisstore_test

import (
	"strings"
	"testing"

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
		if w := must[[]string](t)(s.Wrote(ctx, r1)); len(w) != 2 || w[0] != "a" || w[1] != "b" {
			t.Errorf("%v have lines", w)
		}
		more := must[map[string][]wire.Line](t)(s.MoreLines(ctx, r1, map[string]string{"a": all[0].ID, "b": "", "c": ""}, 10, 0))
		if len(more) != 2 || texts(more["a"]) != "three " || texts(more["b"]) != "four " || more["b"][0].Number != 0 {
			t.Errorf("more lines are %+v", more)
		}
	})
}
