package engine

import (
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/orchis-run/orchis/pkg/run"
)

// drawn holds the moves that docs/states.md draws; every test that commits
// holds what the engine does against them.
var drawn = sync.OnceValue(func() map[string]bool {
	moves := map[string]bool{}
	text, err := os.ReadFile("../../docs/states.md")
	if err != nil {
		return moves
	}
	for _, m := range regexp.MustCompile(`(?m)^  (\S+ --> \S+)$`).FindAllStringSubmatch(string(text), -1) {
		moves[m[1]] = true
	}
	return moves
})

func TestEveryStateIsDrawn(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/states.md")
	if err != nil {
		t.Fatal(err)
	}
	runs, tasks, _ := strings.Cut(string(text), "## Tasks")
	for _, s := range run.States() {
		if !strings.Contains(runs, " --> "+string(s)+"\n") || s.Final() != strings.Contains(runs, string(s)+" --> [*]") {
			t.Errorf("the drawing of runs is wrong about %s", s)
		}
	}
	for _, s := range run.TaskStates() {
		if !strings.Contains(tasks, " --> "+string(s)+"\n") || s.Final() != strings.Contains(tasks, string(s)+" --> [*]") || !strings.Contains(tasks, "| `"+string(s)+"` |") {
			t.Errorf("the drawing of tasks is wrong about %s", s)
		}
	}
}
