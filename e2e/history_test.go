package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/orchis-run/orchis/pkg/run"
)

// history holds the records of a run against the effects of its jobs: every
// task that succeeded has had its effect, none began before what it depends on
// had its, and none began more often than it was published.
func (s *storm) history(id string, d dag, effects string) int {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(effects, id))
	if err != nil && !d.cancelled {
		s.t.Fatal(err)
	}
	firstStart, firstEnd, starts := map[string]int{}, map[string]int{}, map[string]int{}
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		what, task, _ := strings.Cut(line, " ")
		if what == "start" {
			starts[task]++
		} else if what != "end" {
			continue
		}
		at := map[string]map[string]int{"start": firstStart, "end": firstEnd}[what]
		if _, there := at[task]; !there {
			at[task] = n
		}
	}
	published := s.published(id)
	records, err := s.client.Tasks(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	results, err := s.client.Outputs(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	state := map[string]run.TaskState{}
	for _, rec := range records {
		state[rec.ID] = rec.State
		if !rec.State.Final() {
			s.t.Errorf("%s: task %s is %s", id, rec.ID, rec.State)
		}
		if rec.Queue == "" {
			continue // it has no ticket of its own: an iteration, a nested flow, or never begun
		}
		if starts[rec.ID] > published[rec.ID] && !s.forgotten {
			s.t.Errorf("%s: task %s began %d times and was published %d times", id, rec.ID, starts[rec.ID], published[rec.ID])
		}
		if rec.State != run.TaskSucceeded {
			continue
		}
		if _, done := firstEnd[rec.ID]; !done {
			s.t.Errorf("%s: task %s succeeded without its effect", id, rec.ID)
		}
		var out struct{ Stdout string }
		if err := json.Unmarshal(results[rec.ID], &out); err != nil || strings.TrimSpace(out.Stdout) != rec.ID {
			s.t.Errorf("%s: the result of %s is %s", id, rec.ID, results[rec.ID])
		}
	}
	for name, deps := range d.deps {
		for _, task := range tasksOf(name, d) {
			for _, dep := range deps {
				for _, before := range tasksOf(dep, d) {
					if begin, begun := firstStart[task]; begun && state[before] == run.TaskSucceeded && begin < firstEnd[before] {
						s.t.Errorf("%s: %s began before %s had ended", id, task, before)
					}
				}
			}
		}
	}
	return len(records)
}

// published counts the tickets of each task, by the run's log.
func (h *house) published(id string) map[string]int {
	h.t.Helper()
	n := map[string]int{}
	err := h.client.Watch(h.t.Context(), id, func(changes []run.Change) error {
		for _, c := range changes {
			if c.State == run.TaskQueued {
				n[c.Task]++
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func tasksOf(name string, d dag) []string {
	n := d.items[name]
	if n == 0 {
		return []string{name}
	}
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s[%d]", name, i))
	}
	return out
}
