package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/executable"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/job"
)

// counted is a reporter that keeps nothing.
type counted struct{ bytes atomic.Int64 }

func (c *counted) Progress(float64, string) {}
func (c *counted) Log(_, text string)       { c.bytes.Add(int64(len(text))) }

func TestAProgramEndsAsItMust(t *testing.T) {
	t.Parallel()
	limits := executable.Limits{Memory: 200 << 20, CPU: time.Second, Files: 8}
	tests := []struct {
		name, command string
		limits        executable.Limits
		codes         string
	}{
		{"segfault", "kill -SEGV $$", executable.Limits{}, "exit:139"},
		{"abort", "kill -ABRT $$", executable.Limits{}, "exit:134"},
		{"more memory than allowed", "head -c 1000000000 /dev/zero | tail", limits, "exit:1"},
		{"more time than allowed", "while :; do :; done", limits, "exit:152 exit:137"},
		{"more files than allowed", "exec 3</dev/null 4</dev/null 5</dev/null 6</dev/null 7</dev/null 8</dev/null 9</dev/null", limits, "exit:2"},
		{"a program that is not there", "", limits, "error"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			command := `["/bin/sh","-c",` + strconv.Quote(test.command) + `]`
			if test.command == "" {
				command = `["no-such-program"]`
			}
			_, got, _ := runHandler(t, Config{Limits: test.limits}, "exec", `{"command":`+command+`}`)
			if !strings.Contains(" "+test.codes+" ", " "+got.Code+" ") {
				t.Errorf("it ends with %+v", got)
			}
		})
	}
	got, failure, _ := runHandler(t, Config{Limits: limits}, "exec", `{"command":["printf","%s|","$X","a b","\"; exit 9"],"env":{"X":"x"}}`)
	if got != `{"exitCode":0,"stdout":"$X|a b|\"; exit 9|"}` {
		t.Errorf("within the limits it gives %s, %+v", got, failure)
	}
}

func TestAGigabyteOfOutputIsNotKept(t *testing.T) {
	t.Parallel()
	out := &counted{}
	dir := t.TempDir()
	ctx := job.NewContext(t.Context(), job.Attempt{Dir: dir}, out)
	c := executable.Command{Argv: []string{"/bin/sh", "-c", "head -c 1073741824 /dev/zero; echo end >&2"}, Dir: dir, LogStdout: true}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	o, err := c.Run(ctx)
	runtime.ReadMemStats(&after)
	if err != nil || o.Code != 0 || len(o.Stdout) != 8<<20 || !o.Truncated || o.LastLine != "end" {
		t.Errorf("outcome is %d, %d bytes, %v, %q, %v", o.Code, len(o.Stdout), o.Truncated, o.LastLine, err)
	}
	// What the heap asked the system for never shrinks: it shows the peak.
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	if out.bytes.Load() < 1<<30 {
		t.Errorf("only %d bytes passed", out.bytes.Load())
	}
}

func TestEverythingAProgramStartedEndsWithIt(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		// Each of these ignores SIGTERM, and closes what it was given.
		"closed":    `trap "" TERM; echo $$ > group; echo ready >&2; exec <&- >&- 2>&-; while :; do sleep 1; done`,
		"fork bomb": `trap "" TERM; echo $$ > group; n=0; while [ $n -lt 100 ]; do (trap "" TERM; (while :; do sleep 1; done) & while :; do sleep 1; done) & n=$((n+1)); done; echo ready >&2; wait`,
		"leaver":    `echo $$ > group; (trap "" TERM HUP; while :; do sleep 1; done) >/dev/null 2>&1 & echo ready >&2`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ctx, cancel := context.WithCancel(job.NewContext(t.Context(), job.Attempt{Dir: dir}, &counted{}))
			defer cancel()
			c := executable.Command{Argv: []string{"/bin/sh", "-c", script}, Dir: dir, Grace: 100 * time.Millisecond, Progress: func(line string, _ bool) bool {
				if line == "ready" && name != "leaver" {
					cancel()
				}
				return true
			}}
			if _, err := c.Run(ctx); (err == nil) != (name == "leaver") {
				t.Errorf("it ends with %v", err)
			}
			raw, err := os.ReadFile(filepath.Join(dir, "group"))
			if err != nil {
				t.Fatal(err)
			}
			group, err := strconv.Atoi(strings.TrimSpace(string(raw)))
			if err != nil {
				t.Fatal(err)
			}
			redistest.Until(t, "nobody of the group is alive", func() bool { return !alive(t, group) })
		})
	}
}

// alive reports whether a process of a group is there that is no zombie.
func alive(t *testing.T, group int) bool {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return !errors.Is(syscall.Kill(-group, 0), syscall.ESRCH)
	}
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		text := string(raw)
		f := strings.Fields(text[strings.LastIndex(text, ")")+1:])
		if len(f) > 2 && f[2] == strconv.Itoa(group) && f[0] != "Z" {
			return true
		}
	}
	return false
}

func TestAProgramRunsAsAnotherUser(t *testing.T) {
	t.Parallel()
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody")
	}
	if os.Geteuid() != 0 {
		if _, err := (executable.Limits{}).As("nobody"); err == nil {
			t.Error("who is not root may change the user")
		}
		t.Skip("only root can change the user")
	}
	if _, err := (executable.Limits{}).As("no-such-user"); err == nil {
		t.Error("a user that does not exist is accepted")
	}
	limits, err := executable.Limits{Files: 64}.As("nobody")
	if err != nil {
		t.Fatal(err)
	}
	// Folders of the test belong to root alone; that of the attempt must not
	// lie in one.
	dir, err := os.MkdirTemp("", "orchis-attempt-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	closed := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(closed, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := job.NewRegistry()
	Register(r, Config{Limits: limits})
	h, _ := r.Lookup("exec")
	run := func(in string) (string, error) {
		raw, err := h.Run(job.NewContext(t.Context(), job.Attempt{Dir: dir}, &said{}), json.RawMessage(in))
		return string(raw), err
	}
	command := fmt.Sprintf("id -u; id -G; cat %s 2>/dev/null || echo closed; cat /proc/$PPID/environ 2>/dev/null || echo closed; echo $HOME; echo y > own && cat own", closed)
	want := fmt.Sprintf(`{"exitCode":0,"l":["%s","%s","closed","closed","%s","y"]}`, nobody.Uid, nobody.Gid, nobody.HomeDir)
	if got, err := run(`{"command":` + strconv.Quote(command) + `,"outputs":{"l":"lines"}}`); err != nil || got != want {
		t.Errorf("it gives %s, %v, want %s", got, err, want)
	}
	// The worker must not be talked into reading for it.
	for name, in := range map[string]string{
		"link":   `{"command":"rm -rf out; ln -s ` + closed + ` out","outputs":{"f":"file out"}}`,
		"kept":   `{"command":"rm -rf out; ln -s ` + closed + ` out","outputs":{"f":"path out"}}`,
		"pipe":   `{"command":"rm -rf out; mkfifo out","outputs":{"f":"path out"}}`,
		"folder": `{"command":"rm -rf out; mkdir out","outputs":{"f":"file out"}}`,
	} {
		if got, err := run(in); err == nil || job.Classify(err).Code != "badResult" {
			t.Errorf("%s gives %s, %v", name, got, err)
		}
	}
}
