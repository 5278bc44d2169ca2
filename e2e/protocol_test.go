package e2e

import (
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/run"
)

// TestProtocol_ThePageIsTrue executes every command of the page.
func TestProtocol_ThePageIsTrue(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli", "python3", "sha256sum")
	h := newHouseOn(t, redistest.Real(t), 0, 0)
	s := newSitting(t, h)
	s.env = append(s.env, "REDIS_URL="+h.redis.URL)
	play(t, "docs/protocol.md", s)
	tasks, err := h.client.Tasks(t.Context(), "order-17")
	if err != nil || len(tasks) != 2 {
		t.Fatalf("%d tasks, %v", len(tasks), err)
	}
	// label failed and is tried again.
	if label, pack := tasks[0], tasks[1]; label.State != run.TaskQueued || pack.State != run.TaskSucceeded || pack.Worker != "cli" || pack.Note != "half" {
		t.Errorf("the tasks are %+v and %+v", label, pack)
	}
}
