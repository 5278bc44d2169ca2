package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
)

// surface asks for all that the API and the dashboard show of a run, as a
// browser with the token does: every GET of the OpenAPI document, and every page.
func (h *house) surface(address, token, id string) map[string]string {
	h.t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	_, spec, _ := strings.Cut(h.page(address, token, "/openapi.json"), "\r\n\n")
	if err := json.Unmarshal([]byte(spec), &doc); err != nil {
		h.t.Fatal(err)
	}
	tasks, err := h.client.Tasks(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := h.client.Get(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	paths := []string{"/metrics", "/login", "/openapi.json"}
	for path, methods := range doc.Paths {
		path = strings.ReplaceAll(path, "{run}", id)
		follows := strings.HasSuffix(path, "/events") && !r.State.Final() // it would go on
		if _, reads := methods["get"]; reads && !follows && !strings.Contains(path, "{") {
			paths = append(paths, path)
		}
	}
	for _, page := range []string{"", "runs", "recipes", "queues", "workers", "dead", "schedules", "system"} {
		paths = append(paths, "/"+page)
	}
	for _, tab := range []string{"graph", "timeline", "jobs", "events", "definition", "outputs"} {
		paths = append(paths, "/runs/"+id+"?tab="+tab)
	}
	for _, task := range tasks {
		q := url.QueryEscape(task.ID)
		paths = append(paths, "/runs/"+id+"?job="+q, "/api/v1/runs/"+id+"/lines?task="+q, "/api/v1/runs/"+id+"/why?task="+q, "/runs/"+id+"/lines.txt?task="+q)
	}
	found := map[string]string{}
	for _, path := range paths {
		found["GET "+path] = h.page(address, token, path)
	}
	return found
}

// page asks for one thing; what is no error of the server is as good as any.
func (h *house) page(address, token, path string) string {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 500 {
		h.t.Errorf("GET %s gives %d: %.300s, %v", path, res.StatusCode, body, err)
	}
	kind := res.Header.Get("Content-Type")
	if strings.HasPrefix(kind, "text/html") && !strings.Contains(res.Header.Get("Content-Security-Policy"), "script-src 'self';") || res.Header.Get("X-Content-Type-Options") != "nosniff" && path != "/metrics" {
		h.t.Errorf("GET %s has the headers %v", path, res.Header)
	}
	var head strings.Builder
	_ = res.Header.Write(&head)
	return head.String() + "\n" + string(body)
}

// mark is markup that must never be taken for such; it also ends attributes.
func mark(n int) string {
	return fmt.Sprintf(`"'><i id=xss%02d onclick=x></script><img src=x onerror=x>`, n)
}

// TestTextsOfOthersAreTextOnPages plants markup wherever somebody else's text
// is shown.
func TestTextsOfOthersAreTextOnPages(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouseOn(t, redistest.Real(t), 0, 0)
	h.project = t.TempDir()
	q := func(n int) string { raw, _ := json.Marshal(mark(n)); return string(raw) }
	recipe := fmt.Sprintf(`
description: %s
inputs: { text: { description: %s, label: %s, default: %s }, line: { default: x } }
jobs:
  said: { description: %s, job: debug, inputs: { message: "${inputs.text}", deep: [%s] } }
  printed: { job: exec, env: { A: "${inputs.line}" }, inputs: { command: 'printf "\033[31m%%s\n" "$A"; printf "%%s\n" "$A" >&2' } }
  failed: { job: fail, continueOnError: true, inputs: { message: %s, code: %s } }
  gate: { dependsOn: [said, printed, failed], approval: { message: %s, by: [%s] } }
outputs: { x: "${inputs.text}" }
`, q(1), q(2), q(3), q(4), q(5), q(6), q(7), q(8), q(9), q(10))
	if err := os.MkdirAll(filepath.Join(h.project, "recipes"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.project, "recipes", "loud.yaml"), []byte(recipe), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	h.start("o1", "orchestrator", "ORCHIS_LISTEN="+address)
	h.start("w1", "worker")
	h.until("the worker is registered", func() bool {
		all, err := h.client.Workers(t.Context())
		return err == nil && len(all) == 1
	})
	id := h.submit(client.Request{Recipe: "loud", By: mark(11), Labels: map[string]string{"x": mark(12)}, Inputs: map[string]any{"text": mark(13), "line": mark(14)}})
	h.until("the gate is reached", func() bool {
		r, err := h.client.Get(t.Context(), id)
		return err == nil && r.Counts.Waiting == 1
	})
	if err := h.client.Pause(t.Context(), id, mark(15), mark(16)); err != nil {
		t.Fatal(err)
	}
	// What only somebody who may write Redis can plant.
	worker := map[string]any{"name": mark(17), "host": mark(18), "version": mark(19), "queues": []string{mark(20)}, "seen": time.Now().UnixMilli(), "slots": 1}
	raw, err := json.Marshal(worker)
	if err != nil {
		t.Fatal(err)
	}
	h.redisCLI("HSET", "orchis:workers", mark(17), string(raw))
	h.redisCLI("HSET", "orchis:paused", "default", fmt.Sprintf(`{"by":%s,"reason":%s,"at":1}`, q(21), q(22)))
	h.redisCLI("SADD", "orchis:{0}:queues", mark(23))
	h.redisCLI("XADD", "orchis:{0}:dead", "*", "run", mark(24), "task", mark(25), "handler", mark(26), "error", mark(27), "stream", mark(28))
	h.redisCLI("HSET", "orchis:schedules", mark(29), fmt.Sprintf(`{"key":%s,"recipe":%s,"cron":%s,"run":%s}`, q(29), q(30), q(31), q(32)))

	seen := map[int]bool{}
	for where, text := range h.surface(address, "", id) {
		if strings.Contains(where, "lines.txt") || strings.Contains(where, "/metrics") {
			if !strings.Contains(text, "Content-Type: text/plain") || !strings.Contains(text, "X-Content-Type-Options: nosniff") {
				t.Errorf("%s is not text that stays text: %.300s", where, text)
			}
			continue
		}
		for _, raw := range []string{"<i id=xss", "<img src=x", "</script><"} {
			if at := strings.Index(text, raw); at >= 0 {
				t.Errorf("%s holds markup: %q", where, text[max(0, at-80):min(len(text), at+60)])
			}
		}
		for n := range 40 {
			if strings.Contains(where, "GET /api/") {
				continue
			}
			for _, form := range []string{"&lt;i id=xss%02d", "&lt;i id=xss%02d", `\u003ci id=xss%02d`} {
				seen[n] = seen[n] || strings.Contains(text, fmt.Sprintf(form, n))
			}
		}
	}
	shown := 0
	for _, is := range seen {
		if is {
			shown++
		}
	}
	if shown < 15 {
		t.Errorf("only %d of what was planted is shown: %v", shown, seen)
	}
	t.Logf("%d of 32 planted texts are shown on pages", shown)
}
