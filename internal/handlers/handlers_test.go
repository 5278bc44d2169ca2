package handlers

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/executable"
	"github.com/orchis-run/orchis/pkg/job"
)

type said struct{ lines []string }

func (s *said) Progress(float64, string) {}
func (s *said) Log(source, text string)  { s.lines = append(s.lines, source+": "+text) }

func runHandler(t *testing.T, c Config, name, inputs string) (string, job.Failure, *said) {
	t.Helper()
	r := job.NewRegistry()
	Register(r, c)
	h, ok := r.Lookup(name)
	if !ok {
		t.Fatalf("no handler %s", name)
	}
	out := &said{}
	ctx := job.NewContext(t.Context(), job.Attempt{Run: "r", Task: "t", Number: 1, Dir: t.TempDir()}, out)
	ctx = job.WithFiles(ctx, newShelf(t))
	raw, err := h.Run(ctx, json.RawMessage(inputs))
	if err != nil {
		return "", job.Classify(err), out
	}
	return string(raw), job.Failure{}, out
}

func TestHandlersGiveTheirResult(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, handler, inputs, want string }{
		{"argv", "exec", `{"command":["printf","%s","a b; $(id)"]}`, `{"exitCode":0,"stdout":"a b; $(id)"}`},
		{"shell", "exec", `{"command":"echo \"$X\"; exit 3","env":{"X":"` + "`id`" + `"},"successCodes":[3]}`, "{\"exitCode\":3,\"stdout\":\"`id`\\n\"}"},
		{"stdin and json", "exec", `{"command":["cat"],"stdin":{"a":[1]},"outputs":{"v":"json"}}`, `{"exitCode":0,"v":{"a":[1]}}`},
		{"lines and file", "exec", `{"command":"echo a; echo b; echo c > f","outputs":{"l":"lines","f":"file f"}}`, `{"exitCode":0,"f":"c\n","l":["a","b"]}`},
		{"eval", "eval", `{"code":"[inputs.a, inputs.b]","a":1,"b":"x"}`, `{"result":[1,"x"]}`},
		{"sleep", "sleep", `{"duration":1}`, `{"slept":"1ms"}`},
		{"debug", "debug", `{"message":"hi"}`, `{"message":"hi"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, failure, _ := runHandler(t, Config{}, test.handler, test.inputs)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (%+v)", diff, failure)
			}
		})
	}
}

func TestHandlersFailWithACode(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/busy" {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(srv.Close)
	tests := []struct {
		name, handler, inputs, code string
		permanent                   bool
	}{
		{"exit code", "exec", `{"command":"echo no disk >&2; exit 4"}`, "exit:4", false},
		{"signal", "exec", `{"command":"kill -9 $$"}`, "exit:137", false},
		{"unknown input", "exec", `{"comand":"x"}`, "badInput", true},
		{"bad result", "exec", `{"command":"echo x","outputs":{"v":"json"}}`, "badResult", true},
		{"loopback", "http", `{"url":"http://127.0.0.1:1/"}`, "privateAddress", true},
		{"mapped loopback", "http", `{"url":"http://[::ffff:127.0.0.1]:1/"}`, "privateAddress", true},
		{"name of the loopback", "http", `{"url":"http://localhost:1/"}`, "privateAddress", true},
		{"metadata service", "download", `{"url":"http://169.254.169.254/x"}`, "privateAddress", true},
		{"other scheme", "http", `{"url":"gopher://x/"}`, "badInput", true},
		{"fail", "fail", `{"message":"m","code":"c","permanent":true}`, "c", true},
		{"bad expression", "eval", `{"code":"1 +"}`, "badInput", true},
		{"file outside", "download", `{"url":"/etc/hostname"}`, "badInput", true},
		{"no artifact", "exec", `{"command":["cat","a"],"files":{"a":"artifact:x"}}`, "badInput", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, got, _ := runHandler(t, Config{}, test.handler, test.inputs)
			if got.Code != test.code || got.Permanent != test.permanent {
				t.Errorf("failure is %+v", got)
			}
		})
	}
	_, busy, _ := runHandler(t, Config{AllowPrivate: true}, "http", `{"url":"`+srv.URL+`/busy"}`)
	if busy.Code != "http:429" || busy.RetryAfter.Seconds() != 7 || busy.Permanent {
		t.Errorf("busy is %+v", busy)
	}
	_, gone, _ := runHandler(t, Config{AllowPrivate: true}, "http", `{"url":"`+srv.URL+`/gone"}`)
	if gone.Code != "http:404" || !gone.Permanent {
		t.Errorf("gone is %+v", gone)
	}
}

func TestDownloadTakesALocalFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a.txt")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, failure, _ := runHandler(t, Config{Files: []string{filepath.Dir(file)}}, "download", `{"url":"`+file+`","table":"t"}`)
	var out struct {
		File, Mime string
		Size       int
	}
	if err := json.Unmarshal([]byte(got), &out); err != nil {
		t.Fatalf("%v, %+v", err, failure)
	}
	if content(t, out.File) != "hello" || out.Mime != "text/plain" || out.Size != 5 {
		t.Errorf("download gives %s", got)
	}
}

func TestACancelledProgramDiesWithItsChildren(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "ready")
	ctx, cancel := context.WithCancel(job.NewContext(t.Context(), job.Attempt{Dir: dir}, &said{}))
	defer cancel()
	seen := func(line string, _ bool) bool {
		if line == "ready" {
			cancel()
		}
		return true
	}
	c := executable.Command{
		Argv: []string{"/bin/sh", "-c", `trap "" TERM; (trap "" TERM; echo $$ > ` + fifo + `; while :; do sleep 1; done) & echo ready >&2; wait`},
		Dir:  dir, Grace: 50_000_000, Progress: seen,
	}
	o, err := c.Run(ctx)
	if err == nil || o.Code != 137 {
		t.Errorf("outcome is %+v, %v", o, err)
	}
}

func TestExecutableFilesAreHandlers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("hello.sh", `echo "::progress 50 half" >&2; echo working >&2; cat`, 0o755)
	write("bad.sh", `echo "::error code=busy permanent come back" >&2; exit 2`, 0o755)
	write("text.sh", `echo this is no JSON`, 0o755)
	write("README.md", ``, 0o644)
	r := job.NewRegistry()
	if err := executable.Register(r, dir, executable.Limits{}, nil); err != nil {
		t.Fatal(err)
	}
	run := func(name string) (string, error) {
		h, ok := r.Lookup(name)
		if !ok {
			t.Fatalf("no handler %s", name)
		}
		raw, err := h.Run(job.NewContext(t.Context(), job.Attempt{Dir: dir}, &said{}), json.RawMessage(`{"a":1}`))
		return strings.TrimSpace(string(raw)), err
	}
	if got, err := run("hello"); err != nil || got != `{"a":1}` {
		t.Errorf("hello gives %s, %v", got, err)
	}
	if _, err := run("bad"); err == nil || job.Classify(err).Code != "busy" || !job.Classify(err).Permanent || err.Error() != "come back" {
		t.Errorf("bad gives %v", err)
	}
	if _, err := run("text"); err == nil || job.Classify(err).Code != "badResult" {
		t.Errorf("text gives %v", err)
	}
	if n := len(r.Contracts()); n != 3 {
		t.Errorf("there are %d handlers", n)
	}
	write("hello.py", ``, 0o755)
	if err := executable.Register(job.NewRegistry(), dir, executable.Limits{}, nil); err == nil {
		t.Error("two files of one name were accepted")
	}
}
