package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
)

// TestWait_ACommandSaysThatNoOrchestratorIsAnswering: one line on standard
// error after two seconds, which says since when no orchestrator is running.
func TestWait_ACommandSaysThatNoOrchestratorIsAnswering(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		args []string
		seen *wire.Orchestrator // in the registry, at the time of the test
		code int
		want string // with SEEN for the time of the entry
	}{
		{
			"never seen",
			[]string{"submit", "ok", "--timeout", "4s"},
			nil, 124,
			`no orchestrator is answering (none has ever been seen in this Redis); the submission is queued: start one with "orchestrator"`,
		},
		{
			"stopped",
			[]string{"submit", "ok", "--timeout", "4s", "--wait"},
			&wire.Orchestrator{Name: "o1", Stopped: true}, 124,
			`no orchestrator is answering (none seen since SEEN); the submission is queued: start one with "orchestrator"`,
		},
		{
			"busy",
			[]string{"submit", "ok", "--timeout", "4s"},
			&wire.Orchestrator{Name: "o1"}, 124,
			`no orchestrator has answered yet, although o1 is running; the submission is queued`,
		},
		{
			"a control request",
			[]string{"pause", "--queue", "default"},
			&wire.Orchestrator{Name: "o1", Stopped: true}, 5,
			`no orchestrator is answering (none seen since SEEN); the request is queued: start one with "orchestrator"`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Embedded(t)
			seen := int64(0)
			if test.seen != nil {
				s, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				written, err := s.PutOrchestrator(t.Context(), *test.seen)
				if err != nil {
					t.Fatal(err)
				}
				seen = written.Seen
			}
			dir := project(t, files)
			_, errs, code := typed(t.Context(), t, "", append(test.args, "--redis", srv.URL, "--project", dir, "--utc")...)
			want := strings.Replace(test.want, "SEEN", time.UnixMilli(seen).UTC().Format("2006-01-02 15:04:05 MST"), 1)
			if code != test.code || strings.Count(errs, want+"\n") != 1 {
				t.Errorf("exit code %d, want %d; standard error is\n%s\nwant once\n%s", code, test.code, errs, want)
			}
		})
	}
}

// TestWait_ACommandThatIsAnsweredSoonSaysNothing about orchestrators.
func TestWait_ACommandThatIsAnsweredSoonSaysNothing(t *testing.T) {
	t.Parallel()
	dir := project(t, files)
	_, errs, code := typed(t.Context(), t, "", "run", "ok", "--project", dir, "--progress", "quiet")
	if code != 0 || strings.Contains(errs, "orchestrator") {
		t.Errorf("exit code %d, standard error is %s", code, errs)
	}
}
