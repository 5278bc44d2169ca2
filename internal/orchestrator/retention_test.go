package orchestrator

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// old writes runs that have ended, with results of about a KiB each.
func (s *site) old(n int) []string {
	s.t.Helper()
	var ids []string
	for i := range n {
		id := fmt.Sprintf("old-%02d", i)
		rec := run.Run{State: run.Succeeded, Recipe: "r", Definition: "sha256:d", Inputs: []byte("{}"), Ended: int64(i + 1)}
		task := run.Task{State: run.TaskSucceeded, Attempt: 1}
		c := wire.Commit{
			Run: id, Fields: rec.Fields(), Digest: "sha256:d", Definition: []byte(`{}`), Tasks: []string{"a", task.Encode()},
			Outputs: []wire.Output{{Task: "a", Value: []byte(`"` + strings.Repeat("x", 1000) + `"`)}}, Log: []byte(`[5,{"run":"succeeded"}]`), Done: int64(i + 1),
		}
		if _, err := s.store.Commit(s.t.Context(), 0, []wire.Commit{c}); err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// left returns the runs that are still there.
func (s *site) left(ids []string) []string {
	s.t.Helper()
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		_, err := s.store.Run(s.t.Context(), id)
		return err != nil
	})
}

func (s *site) janitor(change func(*Config)) *Orchestrator {
	s.t.Helper()
	o := s.orchestrator("o")
	s.t.Cleanup(func() { _ = o.loader.Close() })
	o.cfg.RetentionAge = 250 * 365 * 24 * time.Hour
	o.owned[0] = true
	change(&o.cfg)
	return o
}

func TestEndedRunsAreKeptWithinABudgetOfBytes(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		ids := s.old(12)
		o := s.janitor(func(c *Config) { c.RetentionBytes = 10 << 10 })
		for range 2 { // the second time there is nothing to do
			if err := o.retain(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			left := s.left(ids)
			if len(left) < 3 || len(left) > 9 || !slices.Equal(left, ids[len(ids)-len(left):]) {
				t.Errorf("left are %v", left)
			}
		}
		o.cfg.RetentionBytes = 1
		if err := o.retain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if left := s.left(ids); len(left) > 0 {
			t.Errorf("a budget of one byte leaves %v", left)
		}
		if _, err := s.store.Definition(t.Context(), 0, "sha256:d"); err == nil {
			t.Error("the definition stays after its last run")
		}
	})
}

func TestARunIsExportedBeforeItIsDeleted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		ids := s.old(3)
		dir := filepath.Join(t.TempDir(), "export")
		if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the folder should be
			t.Fatal(err)
		}
		o := s.janitor(func(c *Config) { c.RetentionCount, c.Export = 1, dir })
		if err := o.retain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if left := s.left(ids); len(left) != 3 {
			t.Errorf("what cannot be exported is deleted: left are %v", left)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		if err := o.retain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if left := s.left(ids); !slices.Equal(left, ids[2:]) {
			t.Errorf("left are %v", left)
		}
		files, err := filepath.Glob(filepath.Join(dir, "runs-*.jsonl"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			var e exported
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Run.ID)
			if len(e.Tasks) != 1 || len(e.Outputs["a"]) != 1002 || len(e.Log) != 1 {
				t.Errorf("the line of %s is not whole", e.Run.ID)
			}
		}
		if !slices.Equal(got, ids[:2]) {
			t.Errorf("exported are %v", got)
		}
	})
}

func TestOnlyConsumersThatHoldNothingAreForgotten(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		if err := s.store.Ensure(t.Context(), []string{"default"}); err != nil {
			t.Fatal(err)
		}
		ticket := wire.Ticket{Run: "r", Task: "a", Queue: "default", Fence: "p", Handler: "work"}
		if _, err := s.store.Commit(t.Context(), 0, []wire.Commit{{Run: "r", Fields: []string{"state", "running"}, Tickets: []wire.Ticket{ticket}}}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"busy", "idle"} {
			if _, err := s.store.ReadTickets(t.Context(), 0, []string{"default"}, name, 1, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.store.ForgetConsumers(t.Context(), 0, time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := s.store.ForgetConsumers(t.Context(), 0, 0); err != nil {
			t.Fatal(err)
		}
		held, err := s.store.PendingTickets(t.Context(), 0, []wire.Stream{{Queue: "default", Priority: wire.Normal}}, 0, 10)
		if err != nil || len(held) != 1 || held[0].Consumer != "busy" {
			t.Errorf("after that, held are %v (%v)", held, err)
		}
		if err := s.store.PutWorker(t.Context(), wire.Worker{Name: "w"}); err != nil {
			t.Fatal(err)
		}
		forget := func(before time.Time, want int) {
			if err := s.store.ForgetWorkers(t.Context(), before); err != nil {
				t.Fatal(err)
			}
			if all, err := s.store.Workers(t.Context()); err != nil || len(all) != want {
				t.Errorf("workers are %v (%v), want %d", all, err, want)
			}
		}
		forget(time.Now().Add(-time.Hour), 1)
		forget(time.Now().Add(time.Hour), 0)
	})
}
