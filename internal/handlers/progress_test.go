package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/pkg/job"
)

// heard is what a reporter hears.
type heard struct{ progress, log []string }

func (h *heard) Progress(percent float64, note string) {
	h.progress = append(h.progress, strings.TrimSpace(fmt.Sprintf("%.0f %s", percent, note)))
}
func (h *heard) Log(_, text string) { h.log = append(h.log, text) }

func TestProgressIsReadFromStandardError(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		progress  string
		duration  float64
		prints    string
		want, log []string
	}{
		"ffmpeg with a duration":    {"ffmpeg", 10, `frame= 5 time=00:00:02.50 bitrate=1 speed=2.5x\rframe= 9 time=00:00:10.00 speed=   3x\n`, []string{"25 2.5s of 10.0s, 2.5x", "100 10.0s of 10.0s, 3x"}, nil},
		"ffmpeg knows its input":    {"ffmpeg", 0, `  Duration: 00:01:40.00, start: 0\ntime=00:00:25.00\n`, []string{"25 25.0s of 100.0s"}, []string{"  Duration: 00:01:40.00, start: 0"}},
		"ffmpeg without a duration": {"ffmpeg", 0, `time=01:00:00.00\n`, []string{"0 3600.0s"}, nil},
		"ffmpeg before its start":   {"ffmpeg", 5, `time=N/A speed=N/A\n`, nil, []string{"time=N/A speed=N/A"}},
		"percent that is redrawn":   {"percent", 0, `10%% of 4 MB\r 7 files, 55.5 %%\r100%%\n`, []string{"10", "56", "100"}, []string{"100%"}},
		"percent of too much":       {"percent", 0, `at 250%% of normal\n`, nil, []string{"at 250% of normal"}},
		"a regular expression":      {`^done (\d+) of 100`, 0, `done 5 of 100\nsaid\ndone x\n`, []string{"5 done 5 of 100"}, []string{"said", "done x"}},
		"no progress":               {"", 0, `50%%\n`, nil, []string{"50%"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h heard
			ctx := job.NewContext(t.Context(), job.Attempt{Dir: t.TempDir()}, &h)
			in := execIn{Command: []any{"sh", "-c", "printf '" + test.prints + "' >&2"}, Progress: test.progress, Duration: test.duration}
			if _, err := (Config{}).exec(ctx, in); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, h.progress); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.log, h.log); diff != "" {
				t.Error(diff)
			}
		})
	}
	_, failure, _ := runHandler(t, Config{}, "exec", `{"command":["true"],"progress":"done"}`)
	if failure.Code != "badInput" || !strings.Contains(failure.Message, "percent") {
		t.Errorf("a word that is no kind of progress gives %+v", failure)
	}
}

// TestTheProgressOfARealFfmpeg lets ffmpeg make two seconds of video.
func TestTheProgressOfARealFfmpeg(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI=true and there is no ffmpeg on PATH")
		}
		t.Skip("no ffmpeg on PATH")
	}
	var h heard
	ctx := job.NewContext(context.WithoutCancel(t.Context()), job.Attempt{Dir: t.TempDir()}, &h)
	var in execIn
	if err := json.Unmarshal([]byte(`{"command":["ffmpeg","-v","error","-stats","-f","lavfi","-i","testsrc=size=160x90:rate=10:duration=2","out.mkv"],"progress":"ffmpeg","duration":2}`), &in); err != nil {
		t.Fatal(err)
	}
	if _, err := (Config{}).exec(ctx, in); err != nil {
		t.Fatal(err)
	}
	if len(h.progress) == 0 || !strings.Contains(h.progress[len(h.progress)-1], " of 2.0s") || len(h.log) > 0 {
		t.Errorf("progress is %q, the log %q", h.progress, h.log)
	}
}
