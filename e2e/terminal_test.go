package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// pane is a real terminal with a shell in it.
type pane struct {
	t      *testing.T
	socket string
	env    []string
}

var sizes = [][2]int{{80, 24}, {120, 40}}

func newPane(t *testing.T, columns, rows int, env ...string) *pane {
	t.Helper()
	needs(t, "tmux")
	dir, err := os.MkdirTemp("", "orchis-tmux-") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	p := &pane{t, filepath.Join(dir, "s"), append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8", "XDG_CACHE_HOME="+dir)}
	p.env = append(p.env, env...)
	t.Cleanup(func() {
		_ = exec.Command("tmux", "-S", p.socket, "kill-server").Run()
		_ = os.RemoveAll(dir)
	})
	p.tmux("-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows), "sh")
	p.sees("the shell", `^[$#]`)
	return p
}

func (p *pane) tmux(args ...string) string {
	p.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-u", "-S", p.socket}, args...)...)
	cmd.Env = p.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// types types a line.
func (p *pane) types(line string) { p.tmux("send-keys", "-l", line); p.press("Enter") }

func (p *pane) press(keys ...string) { p.tmux(append([]string{"send-keys"}, keys...)...) }

func (p *pane) screen() string { return p.tmux("capture-pane", "-p") }

// sees waits until what a person sees matches, and returns it.
func (p *pane) sees(what, pattern string) string {
	p.t.Helper()
	re, last := regexp.MustCompile("(?m)"+pattern), ""
	defer func() {
		if p.t.Failed() {
			p.t.Logf("the terminal shows\n%s", last)
		}
	}()
	redistest.Until(p.t, what, func() bool {
		last = p.screen()
		return re.MatchString(last)
	})
	return last
}

// terminalProject has a recipe whose jobs wait until a file is there.
func terminalProject(t *testing.T) (dir, gate string) {
	t.Helper()
	dir = t.TempDir()
	gate = filepath.Join(dir, "gate")
	for name, text := range map[string]string{
		"recipes/gated.yaml": `jobs:
  first: {job: debug, inputs: {text: one}}
  slow:
    job: exec
    dependsOn: first
    inputs:
      command: "echo 42% 進捗は四十二パーセントです。あと少しで終わりますので、お待ちください >&2; printf '\\033[2Jwicked\\n'; until [ -e \"$GATE\" ]; do sleep 0.1; done"
      env: {GATE: "` + gate + `"}
      progress: '^(\d+)%'
  last: {job: debug, dependsOn: slow, inputs: {text: two}}
`,
		"recipes/fails.yaml": `jobs:
  bad: {job: exec, retries: 0, inputs: {command: "for i in $(seq 1 30); do echo line $i; done; exit 3"}}
`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, gate
}

func TestARunOnATerminal(t *testing.T) {
	t.Parallel()
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			dir, gate := terminalProject(t)
			p := newPane(t, size[0], size[1])
			p.types("cd " + dir + "; clear; orchis run recipes/gated.yaml; echo code=$?")
			p.sees("how far the slow job is", `^ ● slow +\S+s  ▕████▏?.*▏ 42%`)
			screen := p.sees("what is done, what runs and what waits", `^ ○ last +waits for slow`)
			for _, want := range []string{`(?m)^ ✔ first +\d.\ds  worker-\d$`, `(?m)^ gated  \w{8}  █.*· 1/3  `, `42%  42% 進捗は`} {
				if !regexp.MustCompile(want).MatchString(screen) {
					t.Errorf("no %s on\n%s", want, screen)
				}
			}
			p.tmux("resize-window", "-x", "50", "-y", "20")
			p.sees("the narrow terminal", `^ ● slow`)
			p.tmux("resize-window", "-x", strconv.Itoa(size[0]), "-y", strconv.Itoa(size[1]))
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			screen = p.sees("the end", `^code=0$`)
			if regexp.MustCompile(`waits for|●`).MatchString(screen) || strings.Count(screen, "gated  ") != 1 {
				t.Errorf("something of the live region is left:\n%s", screen)
			}
			screen = p.tmux("capture-pane", "-p", "-S", "-") // what scrolled up too
			if got := regexp.MustCompile(`(?m)^ ✔ (\S+)`).FindAllString(screen, -1); len(got) != 4 || got[3] != " ✔ gated" {
				t.Errorf("%q ended:\n%s", got, screen)
			}
			p.types("clear; orchis run recipes/fails.yaml; echo code=$?")
			screen = p.sees("the end of what fails", `^code=1$`)
			if !strings.Contains(screen, "  line 11\n") || strings.Contains(screen, "  line 10\n") || !strings.Contains(screen, "  line 30\nall 30 of them: /") {
				t.Errorf("the last 20 lines are not there:\n%s", screen)
			}
		})
	}
}

func TestCtrlCOnATerminal(t *testing.T) {
	t.Parallel()
	dir, _ := terminalProject(t)
	p := newPane(t, 80, 24)
	p.types("cd " + dir + "; clear; orchis run recipes/gated.yaml; echo code=$?")
	p.sees("the slow job", `^ ● slow`)
	p.press("C-c")
	screen := p.sees("the end", `^code=130$`)
	if !strings.Contains(screen, "\ncancelling the run; press Ctrl-C again") || !strings.Contains(screen, "◼ gated") || strings.Count(screen, "gated  ") != 1 {
		t.Errorf("the run is not cancelled:\n%s", screen)
	}
	p.types(`clear; NO_COLOR=1 orchis run recipes/gated.yaml; echo code=$?`)
	p.sees("the slow job again", `^ ● slow`)
	if got := p.tmux("capture-pane", "-p", "-e"); regexp.MustCompile(`\x1b\[[0-9;]*3[0-8]m`).MatchString(got) {
		t.Errorf("there are colours with NO_COLOR:\n%q", got)
	}
	p.press("C-c")
	p.press("C-c")
	p.sees("the end at once", `code=130$`)
}

// TestNothingOutlivesItsTerminal: when the window of a run is closed, the
// programs of its jobs end, too.
func TestNothingOutlivesItsTerminal(t *testing.T) {
	t.Parallel()
	dir, gate := terminalProject(t)
	p := newPane(t, 80, 24)
	p.types("cd " + dir + "; clear; orchis run recipes/gated.yaml")
	p.sees("the slow job", `^ ● slow`)
	if n := programsWith(t, "GATE="+gate); n == 0 {
		t.Fatal("the program of the job is not found")
	}
	p.tmux("respawn-pane", "-k", "true")
	redistest.Until(t, "its program has ended", func() bool { return programsWith(t, "GATE="+gate) == 0 })
}

// programsWith counts the processes that have a setting in their environment.
func programsWith(t *testing.T, setting string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		if raw, err := os.ReadFile(file); err == nil && strings.Contains(string(raw), setting) {
			n++
		}
	}
	return n
}

func TestWatchAndTopOnATerminal(t *testing.T) {
	t.Parallel()
	dir, gate := terminalProject(t)
	h := furnish(t, redistest.Real(t), 1, 2, false, dir)
	for _, size := range sizes {
		_ = os.Remove(gate)
		id := h.submit(client.Request{Recipe: "gated", By: "ada"})
		p := newPane(t, size[0], size[1], "REDIS_URL="+h.redis.URL, "ORCHIS_PROJECT="+dir)
		p.types("clear; orchis watch " + id + "; echo code=$?")
		p.sees("what runs", `^ ● slow +\S+  ▕████▏?.*42%`)
		p.sees("what waits, as the definition says", `^ ○ last +waits for slow`)
		p.press("C-c")
		p.sees("how to watch again", `^the run goes on: orchis watch `+id)
		p.sees("the exit code", `^code=130$`)

		p.types("clear; orchis top; echo code=$?")
		p.sees("the run", `^ ▌ \w{8}  gated +● running +▕███▎······▏ 1/3 .* ada`)
		screen := p.sees("the queue and the workers", `default +0 +1 .*w\d +[■□]{2} \d/2`)
		for l := range strings.SplitSeq(screen, "\n") {
			if len([]rune(l)) > size[0] {
				t.Errorf("%q is wider than the terminal", l)
			}
		}
		p.press("Enter")
		p.sees("the tasks", `^ . ● slow +running +\S+  ▕███▎?····▏? ?.*42%`)
		p.press("Down", "Down", "Enter")
		p.sees("the log", `^   \d\d:\d\d:\d\d wicked$`)
		p.press("Escape")
		p.sees("the tasks again", `TASK +STATE`)
		p.press("Escape")
		p.sees("the runs again", `RUN +RECIPE`)
		p.press("c")
		p.sees("the question", `cancel gated \w{8}\?  y yes  n no`)
		p.press("n")
		p.sees("the keys", `↑↓ move`)
		p.press("c")
		p.sees("the question again", `cancel gated`)
		p.press("y")
		p.sees("that it is cancelled", `gated +◼ cancelled`)
		if r := h.wait(id); r.State != run.Cancelled {
			t.Errorf("the run is %s", r.State)
		}
		p.press("Tab", "p")
		p.sees("the question about the queue", `pause the queue default\?`)
		p.press("y")
		p.sees("the paused queue", `default.*paused`)
		p.press("p")
		p.sees("the question about going on", `resume the queue default\?`)
		p.press("y")
		p.sees("the open queue", `(?s)queue default: done`)
		p.press("q")
		screen = p.sees("the shell", `^code=0$`)
		if strings.Contains(screen, "RECIPE") {
			t.Errorf("top left something on the screen:\n%s", screen)
		}
	}
}
