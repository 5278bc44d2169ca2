package orchestrator

import (
	"testing"

	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/internal/wire"
)

// TestEvents_OnlyKindsOfTheStreamReachARun: anybody who can write to a stream
// can claim any type; start and timerFired are the orchestrator's own.
func TestEvents_OnlyKindsOfTheStreamReachARun(t *testing.T) {
	t.Parallel()
	for _, row := range append(event.Table(), event.Info{Kind: "bogus"}, event.Info{}) {
		want := event.Kind("")
		if row.Stream {
			want = row.Kind
		}
		if got := toEngine(&wire.Event{Type: row.Kind}).Kind; got != want {
			t.Errorf("an event of type %q becomes %q, want %q", row.Kind, got, want)
		}
	}
}
