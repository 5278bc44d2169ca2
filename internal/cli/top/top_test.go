package top

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/goldentest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

var update = flag.Bool("update", false, "write the golden files anew")

// noon is a time that is written the same in all zones.
var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.Local)

func ago(d time.Duration) int64 { return noon.Add(-d).UnixMilli() }

// installation is a source that notes what it is asked to do.
type installation struct {
	runs  []run.Run
	tasks []run.Task
	lines []client.Line
	err   error
	asked []string
}

func (i *installation) Page(context.Context, client.Filter, string) (client.RunPage, error) {
	return client.RunPage{Runs: i.runs}, i.err
}

func (i *installation) Count(context.Context, int) (client.Totals, error) {
	return client.Totals{Active: 2, Ended: 41, PerMinute: []int64{0, 1, 0, 3, 7, 2}}, nil
}

func (i *installation) Queues(context.Context) ([]client.Queue, error) {
	return []client.Queue{{Queue: "default", Priority: "normal", Waiting: 12, InFlight: 3}, {Queue: "gpu", Priority: "high", Waiting: 1}}, nil
}

func (i *installation) PausedQueues(context.Context) (map[string]client.PausedQueue, error) {
	return map[string]client.PausedQueue{"gpu": {By: "ann"}}, nil
}

func (i *installation) Workers(context.Context) ([]client.Worker, error) {
	return []client.Worker{
		{Name: "w1", Slots: 4, Busy: 3, Seen: ago(time.Second)},
		{Name: "w2", Slots: 2, Seen: ago(time.Second), Draining: true},
		{Name: "w3", Slots: 2, Busy: 1, Seen: ago(time.Minute)},
	}, nil
}

func (i *installation) Get(_ context.Context, id string) (run.Run, error) {
	for _, r := range i.runs {
		if r.ID == id {
			return r, nil
		}
	}
	return run.Run{}, client.ErrNotFound
}

func (i *installation) Tasks(context.Context, string) ([]run.Task, error) { return i.tasks, nil }

func (i *installation) LastLines(context.Context, string, string, int) ([]client.Line, error) {
	return i.lines, nil
}

func (i *installation) Now(context.Context) (time.Time, error) { return noon, i.err }

func (i *installation) ask(words ...any) error {
	i.asked = append(i.asked, strings.TrimSuffix(fmt.Sprintln(words...), "\n"))
	return nil
}

func (i *installation) Cancel(_ context.Context, id, by, _ string) error {
	return i.ask("cancel", id, by)
}

func (i *installation) Pause(_ context.Context, id, by, _ string) error {
	return i.ask("pause", id, by)
}

func (i *installation) Resume(_ context.Context, id, by, _ string) error {
	return i.ask("resume", id, by)
}

func (i *installation) PauseQueue(_ context.Context, q, by, _ string) error {
	return i.ask("pause queue", q, by)
}

func (i *installation) ResumeQueue(context.Context, string, string, string) error {
	return errors.New("no orchestrator answers")
}

func busy() *installation {
	return &installation{
		runs: []run.Run{
			{ID: "0199-film-aaaaaaaa", Recipe: "film", State: run.Running, SubmittedBy: "ann", Created: ago(time.Minute), Started: ago(50 * time.Second), Counts: run.Counts{Succeeded: 3, Running: 2, Pending: 3}},
			{ID: "0199-long-bbbbbbbb", Recipe: "a recipe with a name that is far too long", State: run.Paused, SubmittedBy: "b\x1b[2Jen", Created: ago(time.Hour), Started: ago(time.Hour), Counts: run.Counts{Pending: 4}},
			{ID: "0199-old-cccccccc", Recipe: "hello", State: run.Failed, Created: ago(2 * time.Hour), Started: ago(2 * time.Hour), Ended: ago(2*time.Hour - 3*time.Second), Counts: run.Counts{Succeeded: 1, Failed: 1, Blocked: 1}},
		},
		tasks: []run.Task{
			{ID: "fetch", State: run.TaskSucceeded, Started: ago(50 * time.Second), Ended: ago(40 * time.Second), Attempt: 2, Worker: "w1"},
			{ID: "cut", State: run.TaskRunning, Started: ago(40 * time.Second), Items: 3},
			{ID: "cut[0]", State: run.TaskRunning, Started: ago(20 * time.Second), Progress: 62.5, Note: "frame 500", Worker: "w2"},
			{ID: "cut[1]", State: run.TaskFailed, Started: ago(20 * time.Second), Ended: ago(19 * time.Second), Error: &run.Error{Code: "exit:1", Message: "no such\ncodec"}},
			{ID: "cut[2]", State: run.TaskQueued, Reason: "all slots are taken"},
		},
		lines: []client.Line{
			{Text: "\x1b[32mgreen\x1b[0m", At: ago(9 * time.Second)}, {Text: "a\tb\x1b[2J", At: ago(8 * time.Second)}, {Text: "the end", At: ago(7 * time.Second)},
		},
	}
}

// seat is a person before the view.
type seat struct {
	t *testing.T
	m *model
	i *installation
}

func sit(t *testing.T, i *installation, width, height int) *seat {
	t.Helper()
	s := &seat{t, &model{ctx: t.Context(), source: i, where: "redis://here", by: "me", width: 80, height: 24}, i}
	s.get(tea.WindowSizeMsg{Width: width, Height: height})
	s.do(s.m.Init())
	return s
}

// get has the view take a message, and what follows from it but the passing of
// time.
func (s *seat) get(msg tea.Msg) {
	s.t.Helper()
	_, cmd := s.m.Update(msg)
	if _, read := msg.(facts); !read {
		s.do(cmd)
	}
}

func (s *seat) do(cmd tea.Cmd) {
	s.t.Helper()
	if cmd != nil {
		s.get(cmd())
	}
}

func (s *seat) press(keys ...string) {
	s.t.Helper()
	for _, k := range keys {
		msg := tea.KeyPressMsg{Text: k, Code: []rune(k)[0]}
		switch k {
		case "tab":
			msg = tea.KeyPressMsg{Code: tea.KeyTab}
		case "enter":
			msg = tea.KeyPressMsg{Code: tea.KeyEnter}
		case "esc":
			msg = tea.KeyPressMsg{Code: tea.KeyEscape}
		}
		s.get(msg)
	}
}

// look returns what is on the screen, and checks that it fits.
func (s *seat) look() string {
	s.t.Helper()
	lines := strings.Split(s.m.View().Content, "\n")
	if len(lines) != s.m.height {
		s.t.Errorf("the screen has %d lines of %d", len(lines), s.m.height)
	}
	for _, l := range lines {
		if w := lipgloss.Width(l); w > s.m.width {
			s.t.Errorf("a line is %d columns wide: %q", w, l)
		}
		if strings.Contains(l, "\x1b[2J") {
			s.t.Errorf("a line clears the screen: %q", l)
		}
	}
	return strings.ReplaceAll(strings.Join(lines, "\n")+"\n", "\x1b", `\e`)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	goldentest.Same(t, filepath.Join("testdata", name+".golden"), got, *update)
}

func TestTheScreens(t *testing.T) {
	t.Parallel()
	s := sit(t, busy(), 100, 20)
	golden(t, "overview", s.look())
	s.press("?")
	golden(t, "help", s.look())
	s.press("?", "enter")
	golden(t, "run", s.look())
	s.press("j", "j", "enter")
	golden(t, "log", s.look())
	golden(t, "narrow", sit(t, busy(), 50, 12).look())
	golden(t, "empty", sit(t, &installation{}, 100, 16).look())
	s = sit(t, &installation{err: errors.New("Redis is away")}, 80, 10)
	golden(t, "away", s.look())
}

func TestKeysLeadWhereTheySay(t *testing.T) {
	t.Parallel()
	s := sit(t, busy(), 100, 20)
	s.press("j", "j", "j", "k")
	if s.m.chosen != "0199-long-bbbbbbbb" {
		t.Errorf("the cursor is on %s", s.m.chosen)
	}
	// The cursor stays on its run when others come.
	s.i.runs = append([]run.Run{{ID: "0199-new-dddddddd", Recipe: "new", State: run.Queued}}, s.i.runs...)
	s.do(s.m.read())
	if s.m.chosen != "0199-long-bbbbbbbb" || s.m.cursor[runsPane] != 2 {
		t.Errorf("the cursor went to %s, row %d", s.m.chosen, s.m.cursor[runsPane])
	}
	s.press("enter", "G", "enter")
	if s.m.screen != inLog || s.m.path != "cut[2]" || s.m.open != "0199-long-bbbbbbbb" {
		t.Errorf("the screen is %d of %s in %s", s.m.screen, s.m.path, s.m.open)
	}
	s.press("k", "k", "k", "k")
	if s.m.scroll != 2 || strings.Contains(s.look(), "the end") {
		t.Errorf("scrolled by %d lines", s.m.scroll)
	}
	s.press("esc", "esc")
	if s.m.screen != overview || s.m.open != "" {
		t.Errorf("the screen is %d", s.m.screen)
	}
	if _, cmd := s.m.Update(tea.KeyPressMsg{Text: "q", Code: 'q'}); cmd == nil || cmd() != tea.Quit() {
		t.Error("q does not end the view")
	}
}

func TestNothingIsDoneWithoutAYes(t *testing.T) {
	t.Parallel()
	s := sit(t, busy(), 100, 20)
	s.press("c")
	if screen := s.look(); !strings.Contains(screen, "cancel film aaaaaaaa?") {
		t.Errorf("it is not asked:\n%s", screen)
	}
	s.press("n", "j", "p", "esc")
	if len(s.i.asked) > 0 {
		t.Errorf("done without a yes: %v", s.i.asked)
	}
	s.press("p", "y", "k", "c", "y", "tab", "p", "y")
	want := []string{"resume 0199-long-bbbbbbbb me", "cancel 0199-film-aaaaaaaa me", "pause queue default me"}
	if diff := cmp.Diff(want, s.i.asked); diff != "" {
		t.Errorf("(-want +got): %s", diff)
	}
	if !strings.Contains(s.look(), "pause the queue default: done") {
		t.Errorf("the outcome is not told:\n%s", s.look())
	}
	s.press("j", "p", "y")
	if !strings.Contains(s.look(), "no orchestrator answers") {
		t.Errorf("an error is not told:\n%s", s.look())
	}
	// A run that has ended cannot be cancelled.
	s.press("tab", "tab", "G", "c")
	if s.m.wish != nil || !strings.Contains(s.look(), "only a run that has not ended") {
		t.Errorf("it is asked whether to cancel a run that has ended:\n%s", s.look())
	}
}

func TestLateFactsOfAnotherScreenAreNotShown(t *testing.T) {
	t.Parallel()
	s := sit(t, busy(), 100, 20)
	late := s.m.read()
	s.m.reading = false
	s.press("enter")
	s.get(late()) // read before the run was opened
	if s.m.screen != inRun || s.m.facts.open != "0199-film-aaaaaaaa" || !strings.Contains(ansi.Strip(strings.ReplaceAll(s.look(), `\e`, "\x1b")), "frame 500") {
		t.Errorf("the screen is:\n%s", s.look())
	}
}
