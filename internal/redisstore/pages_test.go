package redisstore_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// TestPagesShowEveryRunOnce, whatever their size, with many that ended in the
// same millisecond.
func TestPagesShowEveryRunOnce(t *testing.T) {
	t.Parallel()
	shared.Each(t, func(t *testing.T, srv redistest.Server) {
		s, ctx := open(t, srv), t.Context()
		var commits []wire.Commit
		for i := range 90 {
			id := runOf(s, fmt.Sprintf("r%02d", i))
			rec := run.Run{State: run.Succeeded, Recipe: fmt.Sprint("recipe", i%2), Definition: "sha256:d", Inputs: []byte("{}"), Created: int64(i), Ended: int64(1000 + i/40)}
			c := wire.Commit{Run: id, Digest: "sha256:d", Definition: []byte("{}"), Done: rec.Ended}
			if i%3 == 0 {
				rec.State, c.Done, c.Active = run.Running, 0, int64(5000-i)
			}
			c.Fields = rec.Fields()
			commits = append(commits, c)
		}
		must[[]wire.CommitResult](t)(s.Commit(ctx, 0, commits))
		all := func(q redisstore.ListQuery) []run.Run {
			var out []run.Run
			seen := map[string]bool{}
			for cursor, pages := "", 0; ; pages++ {
				page := must[redisstore.RunPage](t)(s.PageRuns(ctx, q, cursor))
				if len(page.Runs) > q.Limit || pages > 100 {
					t.Fatalf("page %d has %d runs, the limit is %d", pages, len(page.Runs), q.Limit)
				}
				for _, r := range page.Runs {
					if seen[r.ID] {
						t.Fatalf("%s is there twice", r.ID)
					}
					seen[r.ID] = true
					out = append(out, r)
				}
				if cursor = page.Next; cursor == "" {
					return out
				}
			}
		}
		for _, limit := range []int{1, 7, 30, 31, 200} {
			got := all(redisstore.ListQuery{Limit: limit})
			if len(got) != 90 {
				t.Errorf("with pages of %d there are %d runs", limit, len(got))
			}
			if !slices.IsSortedFunc(got[:30], func(a, b run.Run) int { return int(b.Created - a.Created) }) || got[29].State != run.Running || got[30].State == run.Running {
				t.Errorf("with pages of %d the runs under way do not come first", limit)
			}
			if !slices.IsSortedFunc(got[30:], func(a, b run.Run) int { return int(b.Ended - a.Ended) }) {
				t.Errorf("with pages of %d the ended runs are not in order", limit)
			}
		}
		if got := all(redisstore.ListQuery{Limit: 7, Recipe: "recipe1", States: []run.State{run.Succeeded}}); len(got) != 30 {
			t.Errorf("%d succeeded runs of recipe1", len(got))
		}
		if _, err := s.PageRuns(ctx, redisstore.ListQuery{}, "nonsense"); err == nil {
			t.Error("nonsense is a cursor")
		}
	})
}
