package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/internal/config"
	"github.com/orchis-run/orchis/internal/daemon"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
)

const project = `
name: shop
description: Sells things
schedule: { cron: "0 3 1 1 *" }
inputs: { n: { type: integer, default: 2 }, broken: { type: boolean, default: false } }
jobs:
  count: { job: exec, iterate: { from: 1, to: "${inputs.n}" }, inputs: { command: [echo, "${iterate.item}"] } }
  ask: { approval: { message: Go on }, dependsOn: [count] }
  fail: { job: fail, if: inputs.broken, inputs: { permanent: true } }
outputs: { counted: "${len(count)}" }
`

// rig is an orchestrator and a worker in the test, and the API before them.
type rig struct {
	t      *testing.T
	client *client.Client
	server *httptest.Server
	doc    map[string]any
	token  string
	called map[string]bool
}

func newRig(t *testing.T, srv redistest.Server, change func(*api.Config)) *rig {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "recipes"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"shop.yaml": project, "bad.yaml": "jobs: {a: {jop: x}}\n"} {
		if err := os.WriteFile(filepath.Join(dir, "recipes", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := config.Settings{RedisURL: srv.URL, Project: dir, MaxRetries: 1, JobTimeout: time.Minute, Lease: time.Second, Window: 10, Artifacts: t.TempDir(), ArtifactAge: -1, BlobMax: "8MiB", Slots: 2, ShutdownGrace: time.Second, Queues: []string{"default"}, WorkerName: "w1", UnknownHandlers: "reject"}
	store, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := daemon.Jobs(s)
	if err != nil {
		t.Fatal(err)
	}
	o, err := daemon.NewOrchestrator(s, 50*time.Millisecond, store, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	w, err := daemon.NewWorker(s, 50*time.Millisecond, jobs, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- o.Run(ctx) }()
	go func() { ended <- w.Run(ctx) }()
	c, err := client.Open(t.Context(), client.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	cfg := api.Config{Client: c, Definitions: flow.Options{Root: dir}, Version: "test"}
	if change != nil {
		change(&cfg)
	}
	mux := http.NewServeMux()
	a := api.New(cfg)
	a.Register(mux)
	g := &rig{t: t, client: c, server: httptest.NewServer(mux), token: cfg.Token, called: map[string]bool{}}
	t.Cleanup(func() {
		g.server.Close()
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		_ = c.Close()
		_ = store.Close()
	})
	raw, err := a.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &g.doc); err != nil {
		t.Fatal(err)
	}
	return g
}

// do asks for something and holds the answer against the OpenAPI document.
func (g *rig) do(method, template string, status int, body any, args ...string) map[string]any {
	g.t.Helper()
	path := template
	for i := 0; i < len(args); i += 2 {
		if strings.Contains(path, "{"+args[i]+"}") {
			path = strings.ReplaceAll(path, "{"+args[i]+"}", url.PathEscape(args[i+1]))
			continue
		}
		path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + args[i] + "=" + url.QueryEscape(args[i+1])
	}
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			g.t.Fatal(err)
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.server.URL+path, in)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if g.token != "" {
		req.Header.Set("Authorization", "Bearer "+g.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	if res.StatusCode != status {
		g.t.Fatalf("%s %s answers %d: %s", method, path, res.StatusCode, raw)
	}
	g.fits(method, template, status, raw)
	if len(raw) == 0 {
		return nil
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		g.t.Fatalf("%s %s answers %s: %v", method, path, raw, err)
	}
	return out
}

// fits holds an answer against the schema that the document has for it.
func (g *rig) fits(method, template string, status int, raw []byte) {
	g.t.Helper()
	g.called[method+" "+template] = true
	paths, _ := g.doc["paths"].(map[string]any)
	methods, _ := paths[template].(map[string]any)
	op, _ := methods[strings.ToLower(method)].(map[string]any)
	if op == nil {
		g.t.Fatalf("the document has no %s %s", method, template)
	}
	replies, _ := op["responses"].(map[string]any)
	key := map[int]string{200: "200", 204: "204"}[status]
	if key == "" {
		key = "default"
	}
	reply, ok := replies[key].(map[string]any)
	if !ok {
		g.t.Fatalf("%s %s answers %d, which the document does not say", method, template, status)
	}
	content, _ := reply["content"].(map[string]any)
	kind, _ := content["application/json"].(map[string]any)
	if kind == nil {
		return
	}
	text, err := json.Marshal(kind["schema"])
	if err != nil {
		g.t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(text, &s); err != nil {
		g.t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		g.t.Fatalf("%s %s: %v in %s", method, template, err, raw)
	}
	if err := resolved.Validate(v); err != nil {
		g.t.Errorf("%s %s answers %s, which does not fit: %v", method, template, raw, err)
	}
}

func text(m map[string]any, key string) string { s, _ := m[key].(string); return s }

// TestEveryRouteAnswersAsDocumented asks for all there is.
func TestEveryRouteAnswersAsDocumented(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		g := newRig(t, srv, nil)
		get := func(path string, args ...string) map[string]any { return g.do("GET", path, 200, nil, args...) }
		post := func(path string, status int, body any, args ...string) map[string]any {
			return g.do("POST", path, status, body, args...)
		}
		const runs, one = "/api/v1/runs", "/api/v1/runs/{run}"
		id := text(post(runs, 200, map[string]any{"recipe": "shop", "inputs": map[string]any{"n": 3}, "by": "ann"}), "run")
		redistest.Until(t, "the approval waits", func() bool {
			return strings.Contains(string(must(json.Marshal(get(one+"/why", "run", id)))), "approval")
		})
		get(runs, "limit", "10", "state", "running", "recipe", "shop")
		get(one, "run", id)
		for _, what := range []string{"/tasks", "/outputs", "/definition", "/artifacts", "/log"} {
			get(one+what, "run", id)
		}
		if got := get(one+"/outputs", "run", id, "task", "count[2]"); !strings.Contains(string(must(json.Marshal(got))), `3\n`) {
			t.Errorf("the result is %v", got)
		}
		redistest.Until(t, "the lines are there", func() bool {
			all, _ := get(one+"/lines", "run", id, "task", "count[2]")["lines"].([]any)
			return len(all) == 1
		})
		post(one+"/pause", 204, map[string]any{"by": "ann"}, "run", id)
		post(one+"/resume", 204, nil, "run", id)
		post(one+"/signal", 204, map[string]any{"signal": "s", "data": 1}, "run", id)
		post(one+"/reject", 204, map[string]any{"job": "ask", "by": "ann", "reason": "no"}, "run", id)
		g.stream(id)
		next := post(one+"/retry", 200, map[string]any{"dryRun": true}, "run", id)
		if next["run"] != nil || next["plan"] == nil {
			t.Errorf("a dry run gives %v", next)
		}
		again := text(post(one+"/retry", 200, nil, "run", id), "run")
		redistest.Until(t, "it waits again", func() bool {
			return strings.Contains(string(must(json.Marshal(get(one+"/why", "run", again)))), "approval")
		})
		post(one+"/approve", 204, map[string]any{"job": "ask", "by": "ann"}, "run", again)
		third := text(post(one+"/rerun", 200, nil, "run", id), "run")
		post(one+"/cancel", 204, map[string]any{"reason": "enough"}, "run", third)
		if got := get("/api/v1/recipes"); !strings.Contains(string(must(json.Marshal(got))), `unknown key \"jop\"`) {
			t.Errorf("the recipes are %v", got)
		}
		get("/api/v1/recipes/{recipe}", "recipe", "shop")
		get("/api/v1/workers")
		post("/api/v1/queues/{queue}/pause", 204, map[string]any{"reason": "lunch"}, "queue", "default")
		if got := get("/api/v1/queues"); !strings.Contains(string(must(json.Marshal(got))), `lunch`) {
			t.Errorf("the queues are %v", got)
		}
		post("/api/v1/queues/{queue}/resume", 204, nil, "queue", "default")
		redistest.Until(t, "the schedule is known", func() bool {
			all, _ := get("/api/v1/schedules")["schedules"].([]any)
			return len(all) == 1
		})
		post("/api/v1/schedules/{schedule}/pause", 204, nil, "schedule", "shop")
		post("/api/v1/schedules/{schedule}/resume", 204, nil, "schedule", "shop")
		post("/api/v1/schedules/{schedule}/trigger", 200, nil, "schedule", "shop")
		get("/api/v1/dead", "limit", "5")
		g.do("GET", "/api/v1/dead/{letter}", 404, nil, "letter", "0:1-1")
		post("/api/v1/dead/{letter}/requeue", 404, nil, "letter", "0:1-1")
		g.do("DELETE", "/api/v1/dead/{letter}", 404, nil, "letter", "0:1-1")
		get("/api/v1/system")

		g.do("GET", one, 404, nil, "run", "nobody")
		g.do("GET", one+"/lines", 400, nil, "run", id)
		g.do("GET", runs, 400, nil, "state", "happy")
		g.do("GET", runs, 400, nil, "limit", "0")
		g.do("GET", runs, 400, nil, "cursor", "x")
		post(runs, 400, map[string]any{"recipes": "shop"})
		post(runs, 422, map[string]any{"recipe": "shop", "inputs": map[string]any{"n": "many"}})
		post(runs, 422, map[string]any{"definition": "jobs: {a: {jop: x}}"})
		post(runs, 413, map[string]any{"definition": strings.Repeat("x", 3<<20)})
		post(one+"/approve", 422, map[string]any{"job": "ask"}, "run", id)
		g.all()
	})
}

func must(raw []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return raw
}

// all wants every operation of the document called.
func (g *rig) all() {
	g.t.Helper()
	paths, _ := g.doc["paths"].(map[string]any)
	for path, methods := range paths {
		all, _ := methods.(map[string]any)
		for method := range all {
			if name := strings.ToUpper(method) + " " + path; !g.called[name] {
				g.t.Errorf("%s was not asked for", name)
			}
		}
	}
}

// stream reads the events of a run to their end, and then from the middle.
func (g *rig) stream(id string) {
	g.t.Helper()
	g.called["GET /api/v1/runs/{run}/events"] = true
	read := func(last string) (ids []string, over bool) {
		req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.server.URL+"/api/v1/runs/"+id+"/events", nil)
		if err != nil {
			g.t.Fatal(err)
		}
		req.Header.Set("Last-Event-ID", last)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			g.t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if at, is := strings.CutPrefix(lines.Text(), "id: "); is {
				ids = append(ids, at)
			}
			over = over || lines.Text() == "event: end"
		}
		return ids, over
	}
	ids, over := read("")
	if len(ids) < 3 || !over {
		g.t.Fatalf("the stream has %v, ended %v", ids, over)
	}
	for last, want := range map[string][]string{
		ids[1]:            ids[2:],
		ids[len(ids)-1]:   nil, // then it is over at once
		"1795617317332-0": ids, // of an older build
		"1795617317332":   ids,
	} {
		if rest, over := read(last); !slices.Equal(rest, want) || !over {
			g.t.Errorf("after %s come %v, want %v, ended %v", last, rest, want, over)
		}
	}
	for _, last := range []string{"x", "5-", "$"} {
		g.do("GET", "/api/v1/runs/{run}/log", 400, nil, "run", id, "after", last)
		g.do("GET", "/api/v1/runs/{run}/events", 400, nil, "run", id, "after", last)
	}
}

func TestOnlyWhoMayIsAnswered(t *testing.T) {
	t.Parallel()
	g := newRig(t, redistest.Embedded(t), func(c *api.Config) {
		c.Token, c.ReadOnly, c.BasePath, c.Hosts = "a token of the test", true, "/orchis", []string{"127.0.0.1", "orchis.example.org"}
	})
	type headers map[string]string
	right := "Bearer " + g.token
	for _, test := range []struct {
		name, method, path string
		headers            headers
		status             int
	}{
		{"health needs nothing", "GET", "/healthz", nil, 200},
		{"no token", "GET", "/orchis/api/v1/runs", nil, 401},
		{"wrong token", "GET", "/orchis/api/v1/runs", headers{"Authorization": "Bearer x"}, 401},
		{"right token", "GET", "/orchis/api/v1/runs", headers{"Authorization": right}, 200},
		{"as a cookie", "GET", "/orchis/api/v1/runs", headers{"Cookie": "orchis_token=x"}, 401},
		{"no base path", "GET", "/api/v1/runs", headers{"Authorization": right}, 404},
		{"read only", "POST", "/orchis/api/v1/runs", headers{"Authorization": right}, 403},
		{"unknown route", "GET", "/orchis/api/v1/stars", headers{"Authorization": right}, 404},
		{"another site asks", "GET", "/orchis/api/v1/runs", headers{"Authorization": right, "Origin": "https://evil.example"}, 403},
		{"another site embeds", "GET", "/orchis/api/v1/runs", headers{"Authorization": right, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403},
		{"a link from another site", "GET", "/orchis/api/v1/runs", headers{"Authorization": right, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200},
		{"a name that leads here", "GET", "/orchis/api/v1/runs", headers{"Authorization": right, "Host": "evil.example"}, 421},
		{"a name of ours", "GET", "/orchis/api/v1/runs", headers{"Authorization": right, "Host": "orchis.example.org:443"}, 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, g.server.URL+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range test.headers {
			req.Header.Set(k, v)
		}
		if h := test.headers["Host"]; h != "" {
			req.Host = h
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != test.status {
			t.Errorf("%s: %d, want %d", test.name, res.StatusCode, test.status)
		}
		if strings.Contains(test.path, "/api/") && res.StatusCode == http.StatusOK && !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: the answer has no policy", test.name)
		}
	}
}
