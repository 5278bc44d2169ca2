package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
)

func TestWordsAreCompleted(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	dir := project(t, files)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = typed(ctx, t, "", "dev", "--redis", srv.URL, "--project", dir, "--listen", "off")
	}()
	t.Cleanup(func() { stop(); <-done })
	c, err := client.Open(t.Context(), client.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	entry, err := c.Submit(t.Context(), client.Request{Recipe: "ok", ID: "some-run"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.Accepted(t.Context(), entry)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ line, want, not string }{
		{"logs |", "some-run\tok, succeeded\n", ""},
		{"logs x|", ":", "some-run"},
		{"logs some-run |", "a\tsucceeded\n", ""},
		{"watch some-run |", ":", "some-run\t"},
		{"cancel |", ":", "some-run"}, // it has ended
		{"run o|", "ok\n", "fails"},
		{"submit |", "waits\n", ""},
		{"pause --queue |", "default\n", ""},
		{"cache list --handler d|", "debug\n", "sleep"},
		{"list -o |", "yaml\n", ""},
		{"list --state |", "failed\n", ""},
		{"watch --progress |", "plain\n", ""},
	} {
		words := strings.Split(strings.TrimSuffix(test.line, "|"), " ")
		out, _, code := typed(t.Context(), t, "", append([]string{"__complete", "--redis", srv.URL, "--project", dir}, words...)...)
		if code != 0 || !strings.Contains(out, test.want) || test.not != "" && strings.Contains(out, test.not) {
			t.Errorf("%s: exit code %d, want %q and not %q\n%s", test.line, code, test.want, test.not, out)
		}
	}
}

// TestCompletionIsSilentWithoutRedis: whoever presses the tab key wants to go on
// typing.
func TestCompletionIsSilentWithoutRedis(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"redis://127.0.0.1:1", "redis://192.0.2.1:6379", "nonsense"} {
		began := time.Now()
		out, errs, code := typed(t.Context(), t, "", "__complete", "--redis", url, "logs", "")
		if code != 0 || strings.Contains(out+errs, "refused") || !strings.HasPrefix(out, ":") {
			t.Errorf("%s: exit code %d\n%s%s", url, code, out, errs)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it takes %s", url, took)
		}
	}
}

func TestAnInterruptedCommandEndsWith130(t *testing.T) {
	t.Parallel()
	dir := project(t, files)
	ctx, stop := context.WithCancel(t.Context())
	defer time.AfterFunc(3*time.Second, stop).Stop()
	if _, errs, code := typed(ctx, t, "", "run", dir+"/recipes/waits.yaml", "--progress", "quiet"); code != exitInterrupted {
		t.Errorf("exit code %d, want %d: %s", code, exitInterrupted, errs)
	}
}
