package worker_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

const canary = "canary/4711 & co"

// leak says a secret in every way a handler has.
func leak(ctx context.Context, in struct {
	Key string `json:"key"`
	How string `json:"how"`
},
) (any, error) {
	k, env := in.Key, job.Info(ctx).Env["KEY"]
	if k != canary || env != "Bearer "+canary {
		return nil, fmt.Errorf("the secret is not there: %q %q", k, env)
	}
	switch in.How {
	case "error":
		return nil, fmt.Errorf("dial %q: %w", k, job.Code(errors.New("no"), k))
	case "panic":
		panic("with " + k)
	case "progress":
		job.Progress(ctx, 50, "at "+k)
	case "log":
		w := job.LogWriter(ctx, "stdout")
		_, _ = w.Write([]byte("one " + k[:5]))
		_, _ = w.Write([]byte(k[5:] + " two\n"))
		// A line so long that it is cut exactly inside the secret.
		_, _ = w.Write([]byte(strings.Repeat("x", 16<<10-8) + k + strings.Repeat("y", 100)))
		_ = w.Close()
		job.Logf(ctx, "%s %s %s", base64.StdEncoding.EncodeToString([]byte(k)), url.QueryEscape(k), base64.StdEncoding.EncodeToString([]byte("u:"+k)))
	}
	return map[string]any{"v": "<" + k + ">", "k" + k: 1, "list": []string{k}}, nil
}

func TestSecretsAreFilledInAndNeverToldOf(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		core, logs := observer.New(zapcore.DebugLevel)
		b := newBench(t, srv, func(c *worker.Config, jobs *job.Registry) {
			c.Logger = zap.New(core)
			c.Secrets = func(name string) (string, error) {
				switch name {
				case "KEY":
					return canary, nil
				case "PIN":
					return "123", nil
				}
				return "", errors.New("the worker has no secret " + name)
			}
			job.Handle(jobs, "leak", leak)
		})
		texts := `[{"at":["inputs","key"],"parts":[{"secret":"KEY"}]},{"at":["env","KEY"],"parts":[{"text":"Bearer "},{"secret":"KEY"}]}]`
		for _, how := range []string{"result", "log", "progress", "error", "panic"} {
			b.publish(wire.Ticket{Handler: "leak", Fence: how, Inputs: []byte(`{"key":"***","how":"` + how + `"}`), Env: []byte(`{"KEY":"***"}`), Secrets: []byte(texts)})
			e := b.event(wire.Started, wire.Progress)
			all := fmt.Sprintf("%s %+v", e.Result, e.Error)
			if strings.Contains(all, "canary") || strings.Contains(all, "is not there") || !strings.Contains(all, "***") {
				t.Errorf("%s gives %s", how, all)
			}
		}
		b.publish(wire.Ticket{Handler: "leak", Fence: "none", Inputs: []byte(`{"key":"***"}`), Secrets: []byte(`[{"at":["inputs","key"],"parts":[{"secret":"NONE"}]}]`)})
		if e := b.event(wire.Started); e.Type != wire.Failed || e.Error.Code != "secret" || !e.Permanent || e.Error.Message != "the worker has no secret NONE" {
			t.Errorf("a secret that is not there gives %+v %+v", e, e.Error)
		}
		b.publish(wire.Ticket{Handler: "leak", Fence: "short", Inputs: []byte(`{"key":"***"}`), Secrets: []byte(`[{"at":["inputs","key"],"parts":[{"secret":"PIN"}]}]`)})
		b.event(wire.Started)
		if logs.FilterMessageSnippet("too short to be hidden").Len() != 1 {
			t.Error("nobody is warned of a short secret")
		}
		lines := b.lines()
		for _, entry := range logs.All() {
			lines = append(lines, fmt.Sprint(entry.Message, entry.ContextMap()))
		}
		text := strings.Join(lines, "\n")
		for _, form := range []string{canary, "canary", "4711", url.QueryEscape(canary), base64.StdEncoding.EncodeToString([]byte(canary)), "Y2FuYXJ5", "jYW5hcnkvN"} {
			if strings.Contains(text, form) {
				t.Errorf("%q stands in the log:\n%s", form, text)
			}
		}
		if !strings.Contains(text, "one *** two") || !strings.Contains(text, "***"+strings.Repeat("y", 100)) || !strings.Contains(text, "panic: with ***") {
			t.Errorf("the log is\n%s", text)
		}
	})
}

// lines returns all that the tasks wrote.
func (b *bench) lines() []string {
	b.t.Helper()
	var out []string
	lines, err := b.store.Lines(b.t.Context(), "r", "a", "", 1000, time.Second)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, l := range lines {
		out = append(out, l.Text)
	}
	return out
}
