package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
)

// stubborn is a recipe whose programs, one of them in the background, want to
// live on.
const stubborn = `
jobs:
  stays:
    job: exec
    inputs: { command: 'trap "" TERM INT HUP; (trap "" TERM INT HUP; while :; do sleep 1; done) & echo $$ $! > "$PIDS.new"; mv "$PIDS.new" "$PIDS"; while :; do sleep 1; done' }
    env: { PIDS: "${inputs.pids}" }
inputs: { pids: {} }
`

// running reports whether a process is; what has died and waits for its parent
// is not.
func running(t *testing.T, pid int) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, rest, ok := strings.Cut(string(text), ") ")
	if !ok {
		t.Fatalf("/proc tells of process %d: %s", pid, text)
	}
	return !strings.HasPrefix(rest, "Z")
}

// TestNoProgramOutlivesTheSecondInterrupt of orchis run, with a Redis of its own
// and with another's.
func TestNoProgramOutlivesTheSecondInterrupt(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server")
	for name, url := range map[string]string{"embedded": "", "redis": redistest.Real(t).URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pids := filepath.Join(dir, "pids")
			write(t, filepath.Join(dir, "recipes", "stubborn.yaml"), stubborn)
			log := &logbook{}
			cmd := exec.Command(filepath.Join(bin, "orchis"), "run", "stubborn", "-i", "pids="+pids, "--progress", "plain")
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "REDIS_URL="+url)
			cmd.Stdout, cmd.Stderr = log, log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			var alive []int
			redistest.Until(t, "the programs run", func() bool {
				text, err := os.ReadFile(pids)
				if err != nil {
					return false
				}
				for word := range strings.FieldsSeq(string(text)) {
					pid, err := strconv.Atoi(word)
					if err != nil {
						t.Fatal(err)
					}
					alive = append(alive, pid)
				}
				return len(alive) == 2
			})
			t.Cleanup(func() {
				for _, pid := range alive {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			})
			interrupt := func() {
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
			}
			interrupt()
			redistest.Until(t, "it says how to stop at once", func() bool { return strings.Contains(log.String(), "press Ctrl-C again") })
			again := time.Now()
			interrupt()
			<-ended
			if took := time.Since(again); took > 4*time.Second || cmd.ProcessState.ExitCode() != 130 {
				t.Errorf("it ends after %s with %d, want 130 at once", took, cmd.ProcessState.ExitCode())
			}
			for _, pid := range alive {
				redistest.Until(t, "process "+strconv.Itoa(pid)+" is gone", func() bool { return !running(t, pid) })
			}
		})
	}
}

// TestTheLinesOfTheLastRunThatFailedAreKept, and those of no other: its Redis is
// gone with the command.
func TestTheLinesOfTheLastRunThatFailedAreKept(t *testing.T) {
	t.Parallel()
	dir, cache, temporary := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "recipes", "talks.yaml"), `
inputs: { word: {} }
jobs: { a: { job: exec, retries: 0, env: { W: "${inputs.word}" }, inputs: { command: 'for i in $(seq 30); do echo "$W $i" >&2; done; exit 1' } } }
`)
	for _, word := range []string{"first", "second"} {
		cmd := exec.Command(filepath.Join(bin, "orchis"), "run", "talks", "-i", "word="+word, "--progress", "plain")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "REDIS_URL=", "XDG_CACHE_HOME="+cache, "TMPDIR="+temporary)
		out, err := cmd.CombinedOutput()
		path := filepath.Join(cache, "orchis", "failed.log")
		if err == nil || !strings.Contains(string(out), "all 30 of them: "+path+"\n") {
			t.Fatalf("%v\n%s", err, out)
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(text), word+" 1\n") || strings.Count(string(text), "\n") != 30 {
			t.Errorf("kept is %q, %v", text, err)
		}
	}
	for _, place := range []string{filepath.Join(cache, "orchis"), temporary} {
		left, err := os.ReadDir(place)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range left {
			if f.Name() != "failed.log" {
				t.Errorf("%s is left behind in %s", f.Name(), place)
			}
		}
	}
}
