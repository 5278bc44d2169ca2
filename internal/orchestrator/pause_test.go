package orchestrator

import (
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// TestPause_AnUnknownQueueIsRefused: nobody waits for a queue that was misspelt,
// and a schedule is no queue.
func TestPause_AnUnknownQueueIsRefused(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		s.start(s.orchestrator("o").Run)
		s.worker("w")
		s.until("the worker is registered", func() bool { all, err := s.store.Workers(t.Context()); return err == nil && len(all) == 1 })
		for queue, want := range map[string]string{
			"default":          "",
			"defolt":           `no worker serves the queue "defolt", and no ticket was ever in it`,
			"schedule:nightly": `no worker serves the queue "schedule:nightly", and no ticket was ever in it`,
		} {
			entry, err := s.store.SendControl(t.Context(), wire.Control{Op: "pause", Queue: queue, By: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			var a wire.Answer
			s.until("the request is answered", func() bool { a, err = s.store.ControlAnswer(t.Context(), entry); return err == nil })
			if !strings.HasPrefix(a.Error, want) || (want == "") != (a.State == wire.Accepted) {
				t.Errorf("pause %s: %+v", queue, a)
			}
		}
		paused, err := s.store.PausedQueues(t.Context())
		if _, is := paused["default"]; err != nil || len(paused) != 1 || !is {
			t.Errorf("paused are %v, %v", paused, err)
		}
		if schedules, err := s.store.PausedSchedules(t.Context()); err != nil || len(schedules) > 0 {
			t.Errorf("paused schedules are %v, %v", schedules, err)
		}
	})
}
