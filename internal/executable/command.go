// Package executable runs programs: the executable files of jobs/ as handlers,
// and commands for the exec handler.
//
// A file of jobs/ gets its inputs as one JSON document on standard input. What
// it prints on standard output is its result, as JSON; printing nothing is the
// result null. Standard error is its log, in which a line "::progress 42 note"
// reports progress. An artifact among its inputs arrives as the path of a file,
// and a text "artifact:NAME" of its result makes an artifact of the file NAME of
// its working directory. It succeeds by exiting with 0; else it fails with the code
// "exit:N", its last line on standard error says why, and a line
// "::error code=busy permanent the text" says it better.
package executable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/orchis-run/orchis/pkg/job"
)

// Command is a program to run. Its whole process group ends with it.
type Command struct {
	Argv  []string
	Dir   string
	Env   map[string]string
	Stdin []byte
	// Grace is the time between SIGTERM and SIGKILL; 5 s.
	Grace time.Duration
	// MaxStdout is how much of the output is kept; 8 MiB. The rest is dropped.
	MaxStdout int
	// Progress is called for each line of standard error first; it returns
	// true when the line is not for the log. A redrawn line ends with a carriage
	// return: the next one is written over it.
	Progress func(line string, redrawn bool) bool
	Limits   Limits
	// LogStdout sends standard output to the task's log too.
	LogStdout bool
}

// Outcome is how a program ended.
type Outcome struct {
	Code      int // exit code; 128 and the signal's number when killed
	Stdout    []byte
	Truncated bool
	LastLine  string // of standard error
}

// Run runs the program to its end. Errors are those of starting it and of the
// context; an exit code is no error here.
func (c *Command) Run(ctx context.Context) (Outcome, error) {
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = environment(ctx, c.Env, c.Limits.identity())
	cmd.Stdin = bytes.NewReader(c.Stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = c.Grace
	if c.Grace <= 0 {
		cmd.WaitDelay = 5 * time.Second
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	out := &bounded{limit: c.MaxStdout}
	if out.limit <= 0 {
		out.limit = 8 << 20
	}
	logOut, logErr := job.LogWriter(ctx, "stdout"), job.LogWriter(ctx, "stderr")
	lines := &tail{progress: c.Progress, to: logErr}
	cmd.Stdout, cmd.Stderr = out, lines
	if c.LogStdout {
		cmd.Stdout = io.MultiWriter(out, logOut)
	}
	if err := c.start(ctx, cmd); err != nil {
		return Outcome{}, job.Permanent(fmt.Errorf("start %s: %w", c.Argv[0], err))
	}
	inTime := hurried(ctx, cmd.Process.Pid)
	err := cmd.Wait()
	inTime()
	// What the program left behind in its group must not outlive the attempt.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	lines.flush()
	_, _ = logOut.Close(), logErr.Close()
	o := Outcome{Code: exitCode(cmd.ProcessState), Stdout: out.kept.Bytes(), Truncated: out.dropped, LastLine: lines.last}
	if ctx.Err() != nil {
		return o, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return o, fmt.Errorf("run %s: %w", c.Argv[0], err)
	}
	return o, nil
}

func (c *Command) start(ctx context.Context, cmd *exec.Cmd) error {
	if cmd.Err != nil {
		return cmd.Err
	}
	// Only the attempt's own directory is given to the program's user.
	if err := c.Limits.apply(cmd, job.Info(ctx).Dir); err != nil {
		return err
	}
	return cmd.Start()
}

func exitCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// environment is what a program sees: little of the worker's own, and nothing
// that begins with ORCHIS_ or REDIS_ but what tells of the attempt.
func environment(ctx context.Context, own map[string]string, identity []string) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "GOCACHE", "GOPATH", "GOMODCACHE", "GOPROXY", "GOFLAGS"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	env = append(env, identity...)
	a := job.Info(ctx)
	env = append(env, "ORCHIS_RUN="+a.Run, "ORCHIS_TASK="+a.Task, "ORCHIS_ATTEMPT="+strconv.Itoa(a.Number),
		"ORCHIS_IDEMPOTENCY_KEY="+a.IdempotencyKey, "ORCHIS_WORKDIR="+a.Dir)
	if a.Trace != "" {
		env = append(env, "TRACEPARENT="+a.Trace)
	}
	for _, m := range []map[string]string{a.Env, own} {
		for k, v := range m {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	kept    bytes.Buffer
	limit   int
	dropped bool
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.limit-b.kept.Len())
	b.kept.Write(p[:n])
	b.dropped = b.dropped || n < len(p)
	return len(p), nil
}

// tail splits lines, gives them to progress or the log, and keeps the last.
// Carriage returns end lines too: tools redraw their progress with them. What
// is too long for a line goes to the log piece by piece.
type tail struct {
	mu       sync.Mutex
	progress func(string, bool) bool
	to       io.Writer
	rest     []byte
	long     bool // a piece of this line is in the log
	last     string
}

const maxLine = 16 << 10

// Write takes what the program says.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range p {
		if c == '\n' || c == '\r' {
			t.line(c == '\r')
			continue
		}
		if t.rest = append(t.rest, c); len(t.rest) >= maxLine {
			if !t.long {
				t.long, t.last = true, string(t.rest)
			}
			_, _ = t.to.Write(t.rest)
			t.rest = t.rest[:0]
		}
	}
	return len(p), nil
}

func (t *tail) line(redrawn bool) {
	s, long := string(t.rest), t.long
	t.rest, t.long = t.rest[:0], false
	if !long {
		if strings.TrimSpace(s) == "" || t.progress != nil && t.progress(s, redrawn) {
			return
		}
		t.last = s
	}
	_, _ = io.WriteString(t.to, s+"\n")
}

func (t *tail) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rest) > 0 || t.long {
		t.line(false)
	}
}
