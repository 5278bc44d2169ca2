package orchestrator

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// messages reads an inbox until it has as many messages as are expected.
func (s *site) messages(inbox string, want int) []wire.Message {
	s.t.Helper()
	var all []wire.Message
	after := "0"
	s.until("the inbox has its messages", func() bool {
		some, last, err := s.store.ReadInbox(s.t.Context(), inbox, after, 10*time.Millisecond)
		if err != nil {
			s.t.Fatal(err)
		}
		all, after = append(all, some...), last
		return len(all) >= want
	})
	return all
}

// sent submits and returns the entry id.
func (s *site) sent(sub wire.Submission) string {
	s.t.Helper()
	entry, err := s.store.Submit(s.t.Context(), sub)
	if err != nil {
		s.t.Fatal(err)
	}
	return entry
}

func TestInbox_AClientIsToldOfAnswersAndEnds(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		s.worker("w")
		s.start(s.orchestrator("o").Run)
		good := s.sent(wire.Submission{Definition: "jobs: {a: {job: work}}", ID: "r", Inbox: "client-1"})
		want := []wire.Message{{Submission: good, State: wire.Accepted, Run: "r"}, {Run: "r", State: "succeeded"}}
		if diff := cmp.Diff(want, s.messages("client-1", 2)); diff != "" {
			t.Error(diff)
		}
		again := s.sent(wire.Submission{Definition: "jobs: {a: {job: work}}", ID: "r", Inbox: "client-2"})
		if diff := cmp.Diff([]wire.Message{{Submission: again, State: wire.Accepted, Run: "r"}}, s.messages("client-2", 1)); diff != "" {
			t.Error(diff)
		}
		bad := s.sent(wire.Submission{Definition: "jobs: {a: {jbo: work}}", Inbox: "client-3"})
		malformed := s.sent(wire.Submission{Definition: "jobs: {a: {job: work}}", Recipe: "both", Inbox: "client-3"})
		for _, m := range s.messages("client-3", 2) {
			if m.State != wire.Rejected || m.Error == "" || m.Submission != bad && m.Submission != malformed {
				t.Errorf("a rejection tells %+v", m)
			}
		}
		for _, key := range []string{"client-1", "client-2", "client-3"} {
			if ttl := srv.Do(t, "PTTL", "orchis:inbox:"+key); ttl == "-1" || ttl == "-2" {
				t.Errorf("inbox %s expires in %s ms", key, ttl)
			}
		}
	})
}

// TestInbox_OneThatMayNotBeAKeyIsRefused, and no key is made of it.
func TestInbox_OneThatMayNotBeAKeyIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Embedded(t))
	s.start(s.orchestrator("o").Run)
	for _, inbox := range []string{"a:b", "a b", "ä", strings.Repeat("x", 65), "*"} {
		entry := s.sent(wire.Submission{Definition: "jobs: {a: {job: work}}", Inbox: inbox})
		var a wire.Answer
		s.until("the submission is answered", func() (done bool) {
			var err error
			a, err = s.store.Answer(t.Context(), entry)
			return err == nil
		})
		if a.State != wire.Rejected || !strings.Contains(a.Error, "the field inbox is") {
			t.Errorf("inbox %q: the answer is %+v", inbox, a)
		}
	}
	entry, err := s.store.SendControl(t.Context(), wire.Control{Op: "pause", Queue: "q", Inbox: "a:b"})
	if err != nil {
		t.Fatal(err)
	}
	s.until("the request is rejected", func() bool {
		a, err := s.store.ControlAnswer(t.Context(), entry)
		return err == nil && a.State == wire.Rejected
	})
	if keys := s.srv.Do(t, "KEYS", "orchis:inbox:*"); keys != "[]" {
		t.Errorf("the inboxes are %s", keys)
	}
}

// TestInbox_SurvivesARestartOfTheOrchestrator between the acceptance of a run
// and its end.
func TestInbox_SurvivesARestartOfTheOrchestrator(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		stop := s.start(s.orchestrator("o1").Run)
		s.sent(wire.Submission{Definition: "jobs: {a: {job: work}}", ID: "r", Inbox: "client-1"})
		s.messages("client-1", 1)
		stop()
		s.start(s.orchestrator("o2").Run)
		s.worker("w")
		if got := s.messages("client-1", 2); len(got) != 2 || got[1] != (wire.Message{Run: "r", State: "succeeded"}) {
			t.Errorf("the client is told %+v", got)
		}
	})
}

// TestInbox_ControlRequestsAreAnswered whether they become an event or not.
func TestInbox_ControlRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		s.worker("w")
		s.start(s.orchestrator("o").Run)
		s.sent(wire.Submission{Definition: "jobs: {a: {job: wait}}", ID: "r"})
		s.until("the run is there", func() bool {
			r, err := s.store.Run(t.Context(), "r")
			return err == nil && r.State == run.Running
		})
		ask := func(c wire.Control) string {
			t.Helper()
			c.Inbox = "client-" + c.Op
			entry, err := s.store.SendControl(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			return entry
		}
		want := func(inbox string, m wire.Message) {
			t.Helper()
			got := s.messages(inbox, 1)
			if m.State == wire.Rejected && len(got) == 1 {
				m.Error = got[0].Error
			}
			if diff := cmp.Diff([]wire.Message{m}, got); diff != "" {
				t.Error(diff)
			}
		}
		want("client-pause", wire.Message{Control: ask(wire.Control{Op: "pause", Run: "r"}), State: wire.Accepted, Run: "r"})
		want("client-signal", wire.Message{Control: ask(wire.Control{Op: "signal", Run: "none", Signal: "s"}), State: wire.Rejected, Run: "none"})
		want("client-resume", wire.Message{Control: ask(wire.Control{Op: "resume", Queue: "q"}), State: wire.Accepted})
		want("client-cancel", wire.Message{Control: ask(wire.Control{Op: "cancel", Run: "r"}), State: wire.Accepted, Run: "r"})
		s.ended("r", run.Cancelled)
	})
}

// TestInbox_AKeyOfAnotherTypeStopsNothing: the messages are lost, and all else
// is as usual.
func TestInbox_AKeyOfAnotherTypeStopsNothing(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := newSite(t, srv)
		srv.Do(t, "SET", "orchis:inbox:client-1", "text")
		s.worker("w")
		s.start(s.orchestrator("o").Run)
		entry := s.sent(wire.Submission{Definition: "jobs: {a: {job: work}}", Inbox: "client-1"})
		s.ended(s.accepted(entry), run.Succeeded)
		request, err := s.store.SendControl(t.Context(), wire.Control{Op: "pause", Queue: "q", Inbox: "client-1"})
		if err != nil {
			t.Fatal(err)
		}
		s.until("the request is answered", func() bool {
			_, err := s.store.ControlAnswer(t.Context(), request)
			return err == nil
		})
		s.until("the submission is deleted", func() bool { return srv.Do(t, "XLEN", "orchis:submit") == "0" })
	})
}
