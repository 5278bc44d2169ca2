package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
)

// A page that is played is one sitting at a terminal, in an empty folder with a
// clone of the project in orchis/ beside it:
//
//   - a block whose first or second line is a comment with a path is a file;
//   - `sh` is typed, in one shell after another that keep folder and variables;
//     `sh exit=3` fails so, `sh background` goes on until the page ends, or
//     until another `sh background instead`;
//   - `text` is what the block before printed, `json` what it printed to
//     standard output; a line of dots leaves lines out, and JSON may leave out
//     keys. Ids, times and the like may differ.
//
// Blocks in other languages are only shown. The test's own addresses are put in
// place of those of the page.

// play plays a page.
func play(t *testing.T, page string, s *sitting) {
	t.Helper()
	all := blocks(t, page)
	for i, b := range all {
		switch name := fileName.FindStringSubmatch(b.text); {
		case name != nil:
			s.write(name[1], b.text)
		case b.lang == "sh" && strings.Contains(b.info, "setup"):
			s.setup(b.text)
		case b.lang == "sh" && strings.Contains(b.info, "background"):
			if strings.Contains(b.info, "instead") {
				s.stop()
			}
			s.background(b.text)
		case b.lang == "sh":
			s.run(b, i+1 < len(all) && all[i+1].lang == "json")
		case b.lang == "text":
			s.printed(b.text)
		case b.lang == "json":
			s.printedJSON(b.text)
		}
		if t.Failed() {
			t.Fatalf("%s, block %d:\n%s", page, i+1, b.text)
		}
	}
}

var fileName = regexp.MustCompile(`\A(?:#!.*\n)?(?:#|//) ((?:[\w-]+/)*[\w-]+\.(?:yaml|sh|py|mjs|go|json))\n`)

// sitting is a person at a terminal.
type sitting struct {
	t   *testing.T
	dir string
	env []string
	// swap has the page's words and those that stand for them here.
	swap [][2]string
	// listen is where the dashboard is served.
	listen string
	// terminal and out are what the last command printed, all and to standard
	// output; live is that of the last one in the background.
	terminal, out string
	live          *logbook
	// going ends what goes on in the background.
	going []func()
}

func newSitting(t *testing.T, h *house) *sitting {
	t.Helper()
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	clone, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(clone, filepath.Join(home, "orchis")); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	s := &sitting{t: t, dir: home, listen: "127.0.0.1:" + port}
	s.swap = [][2]string{
		{"127.0.0.1:8420", s.listen},
		{"redis://192.0.2.10:6379", h.redis.URL},
		{"redis://localhost:6379", h.redis.URL},
	}
	s.env = append(os.Environ(), "PATH="+redisCLI(t, h.redis)+":"+bin+":"+os.Getenv("PATH"), "HOME="+home, "REDIS_URL=", "ORCHIS_REDIS_URL=",
		"ORCHIS_LISTEN=127.0.0.1:"+port, "ORCHIS_SHUTDOWN_GRACE=2s", "GOFLAGS=-mod=readonly", "GOPATH="+goEnv(t, "GOPATH"), "GOCACHE="+goEnv(t, "GOCACHE"))
	t.Cleanup(s.stop)
	return s
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// redisCLI returns a folder with a redis-cli for which the default port is this
// server.
func redisCLI(t *testing.T, srv redistest.Server) string {
	t.Helper()
	dir := t.TempDir()
	program, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Fatal(err)
	}
	shim := "#!/bin/sh\ncase $1 in -u) exec " + program + ` "$@";; esac` + "\nexec " + program + " -s " + srv.Socket() + ` "$@"` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "redis-cli"), []byte(shim), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s *sitting) here(text string) string {
	for _, w := range s.swap {
		text = strings.ReplaceAll(text, w[0], w[1])
	}
	return text
}

func (s *sitting) write(name, text string) {
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(s.here(text)), 0o700); err != nil {
		s.t.Fatal(err)
	}
}

// setup is what the test has done before: clone and build.
func (s *sitting) setup(text string) {
	for line := range strings.Lines(text) {
		switch line = strings.TrimSpace(line); line {
		case "git clone https://github.com/orchis-run/orchis", "make -C orchis build", `export PATH="$PWD/orchis/bin:$PATH"`:
		default:
			s.t.Errorf("the test has not done this: %s", line)
		}
	}
}

// run types a block; the next one goes on in its folder, with its variables.
// apart says that its standard output is wanted by itself.
func (s *sitting) run(b block, apart bool) {
	want := 0
	if _, code, ok := strings.Cut(b.info, "exit="); ok {
		want, _ = strconv.Atoi(strings.TrimSpace(code))
	}
	state := s.t.TempDir()
	script := s.here(b.text) + "\n{ pwd; env -0; } > " + state + "/after\n"
	if want != 0 {
		script = s.here(b.text)
	}
	ctx, stop := context.WithTimeout(s.t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "sh", "-aeu", "-c", script)
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var both logbook
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both // one and the same, as at a terminal
	if apart {
		cmd.Stdout = &out
	}
	err := cmd.Run()
	s.terminal, s.out, s.live = both.String(), out.String(), nil
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		s.t.Errorf("it ends with %v:\n%s%s", err, s.terminal, s.out)
		return
	}
	after, err := os.ReadFile(filepath.Join(state, "after"))
	if dir, env, ok := strings.Cut(string(after), "\n"); err == nil && ok {
		s.dir, s.env = dir, strings.Split(strings.Trim(env, "\x00"), "\x00")
	}
}

// background types a block in a terminal of its own.
func (s *sitting) background(text string) {
	cmd := exec.Command("sh", "-eu", "-c", s.here(text))
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log := &logbook{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.live = log
	s.going = append(s.going, func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		late := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		_ = cmd.Wait()
		late.Stop()
		if s.t.Failed() {
			s.t.Logf("%s\n%s", text, log)
		}
	})
	redistest.Until(s.t, text+" is ready", func() bool { return ready.MatchString(log.String()) })
	if serves.MatchString(text) {
		redistest.Until(s.t, text+" answers", func() bool {
			c, err := net.Dial("tcp", s.listen)
			return err == nil && c.Close() == nil
		})
	}
}

// stop ends what goes on in the background.
func (s *sitting) stop() {
	for _, end := range s.going {
		end()
	}
	s.going = nil
}

var (
	ready  = regexp.MustCompile(`is ready|open: |Ready to accept connections`)
	serves = regexp.MustCompile(`(?m)^(orchestrator|orchis dev)`)
)

// printed holds what was printed against the page; of what is in the background
// it waits for that.
func (s *sitting) printed(want string) {
	w := steady(s.here(want))
	same := func(got string) bool { return matches(w, steady(got)) }
	if s.live != nil {
		redistest.Until(s.t, "the page's words are printed:\n"+want, func() bool { return matches(append(w, "..."), steady(s.live.String())) })
		return
	}
	if !same(s.terminal) {
		s.t.Errorf("it prints\n%s\nwhich is, but for what may differ,\n%s\nwant\n%s", s.terminal, strings.Join(steady(s.terminal), "\n"), strings.Join(w, "\n"))
	}
}

var (
	differs = []struct {
		what *regexp.Regexp
		word string
	}{
		{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<id>"},
		{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`), "<time>"},
		{regexp.MustCompile(`\b\d{13}-\d+\b`), "<entry>"},
		{regexp.MustCompile(`(?m)^id: \d+$`), "id: <entry>"},
		{regexp.MustCompile(`\b\d{13}\b`), "<ms>"},
		{regexp.MustCompile(`127\.0\.0\.1:\d+`), "<address>"},
		{regexp.MustCompile(`\b(\d+h)?(\d+m)?\d+(\.\d+)?(ms|s)\b`), "<took>"},
		{regexp.MustCompile(`worker-\d+(-\d+)?`), "<worker>"},
		{regexp.MustCompile(`[ \t]+`), " "},
	}
	rule = regexp.MustCompile(`[─-╿]+`)
)

// steady are the lines of a text without what differs from time to time.
func steady(text string) []string {
	for _, d := range differs {
		text = d.what.ReplaceAllString(text, d.word)
	}
	lines := strings.Split(strings.TrimSpace(rule.ReplaceAllString(text, "-")), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines
}

// matches reports whether lines are those wanted, in which "..." stands for any.
func matches(want, got []string) bool {
	switch {
	case len(want) == 0:
		return len(got) == 0
	case want[0] == "...":
		for i := range len(got) + 1 {
			if matches(want[1:], got[i:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && want[0] == got[0] && matches(want[1:], got[1:])
}

func (s *sitting) printedJSON(want string) {
	var w, g any
	if err := json.Unmarshal([]byte(s.here(want)), &w); err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(s.out), &g); err != nil {
		s.t.Fatalf("%v in %s", err, s.out)
	}
	if where := lacks(w, g, ""); where != "" {
		s.t.Errorf("at %s: it prints\n%s\nwant\n%s", where, s.out, want)
	}
}

// lacks returns where a JSON value does not have what is wanted.
func lacks(want, got any, at string) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return at + "."
		}
		for k, v := range w {
			if where := lacks(v, g[k], at+"."+k); where != "" {
				return where
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return at + "[]"
		}
		for i := range w {
			if where := lacks(w[i], g[i], fmt.Sprintf("%s[%d]", at, i)); where != "" {
				return where
			}
		}
		return ""
	case float64:
		if g, ok := got.(float64); ok && w > 1e12 && g > 1e12 {
			return "" // times
		}
	}
	if strings.Join(steady(fmt.Sprint(want)), "\n") != strings.Join(steady(fmt.Sprint(got)), "\n") {
		return at
	}
	return ""
}
