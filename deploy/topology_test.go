package deploy

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTheComposeTopologyWorks starts what docker-compose.yml describes as
// processes, runs a recipe of each kind on it, opens the dashboard, adds a
// worker, and stops all.
func TestTheComposeTopologyWorks(t *testing.T) {
	t.Parallel()
	port, redisPort := freePort(t), freePort(t)
	p, err := project(t, "docker-compose.yml", nil, token, "ORCHIS_PORT="+strconv.Itoa(port), "REDIS_PORT="+strconv.Itoa(redisPort),
		"ORCHIS_SIGNING_KEY=0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	s := newStack(t, p)
	if err := s.up(nil); err != nil {
		t.Fatal(err)
	}
	if n := len(s.containers["worker"]); n != 2 {
		t.Errorf("there are %d workers, want 2", n)
	}
	s.submits(t)
	s.opens(t, port)
	if err := s.up(map[string]int{"worker": 3}); err != nil {
		t.Fatal(err)
	}
	s.until("three workers are registered", func() bool { return len(s.workers(t)) == 3 })
	s.submitted(t, "words", nil)

	// A worker that is stopped in the middle of a job hands it back in time.
	redis := func(args ...string) string {
		out, errs, code := s.containers["redis"][0].run("", append([]string{"redis-cli"}, args...)...)
		if code != 0 {
			t.Fatalf("redis-cli %v: %s%s", args, out, errs)
		}
		return out
	}
	redis("XADD", "orchis:submit", "*", "definition", "jobs:\n  long: {job: sleep, inputs: {duration: 10m}}\n", "id", "long")
	s.until("a worker has the job", func() bool {
		return strings.HasPrefix(redis("XPENDING", "orchis:{0}:tickets:default", "workers"), "1\n")
	})
	if err := s.down(); err != nil {
		t.Error(err)
	}
	for _, c := range s.all() {
		t.Errorf("%s is still there", c.name)
	}
	// The volumes keep all: what was submitted goes on.
	if err := s.up(nil); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := s.orchis("cancel", "long"); code != 0 {
		t.Errorf("the run is gone after a restart: %s%s", out, errs)
	}
	if err := s.down(); err != nil {
		t.Error(err)
	}
}

// orchis runs the command of the orchestrator's image.
func (s *stack) orchis(args ...string) (out, errs string, code int) {
	return s.containers["orchestrator"][0].run("", append([]string{"orchis"}, args...)...)
}

func (s *stack) workers(t *testing.T) (names []string) {
	t.Helper()
	out, errs, code := s.orchis("workers", "-o", "json")
	var all []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 {
		t.Fatalf("%d %s%s: %v", code, out, errs, err)
	}
	for _, w := range all {
		names = append(names, w.Name)
	}
	return names
}

// submitted submits a recipe and returns its outputs.
func (s *stack) submitted(t *testing.T, recipe string, want map[string]any) {
	t.Helper()
	out, errs, code := s.orchis("submit", recipe, "--wait")
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Errorf("%s ends with %d: %v\n%s%s", recipe, code, err, out, errs)
	}
	for key, v := range want {
		if got[key] != v {
			t.Errorf("%s gives %s, want %s: %v", recipe, out, key, v)
		}
	}
}

// submits runs the samples that want nothing but the worker's image.
func (s *stack) submits(t *testing.T) {
	t.Helper()
	s.submitted(t, "hello", map[string]any{"best": "centre"})
	s.submitted(t, "nightly-etl", nil)
	out, errs, code := s.orchis("submit", "weave", "-i", "seconds=1", "--wait")
	if code != 0 {
		t.Errorf("weave ends with %d: %s%s", code, out, errs)
	}
}

// opens asks for the dashboard as a browser does.
func (s *stack) opens(t *testing.T, port int) {
	t.Helper()
	ask := func(path, token string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(port)+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		client := &http.Client{Timeout: 10 * time.Second}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	_, secret, _ := strings.Cut(token, "=")
	if code, page := ask("/runs", secret); code != http.StatusOK || !strings.Contains(page, "nightly-etl") {
		t.Errorf("the dashboard answers %d: %s", code, page)
	}
	if _, page := ask("/", ""); !strings.Contains(page, `name="token"`) {
		t.Errorf("without the token the dashboard shows %s", page)
	}
	if code, _ := ask("/api/v1/runs", ""); code != http.StatusUnauthorized {
		t.Errorf("without the token the API answers %d", code)
	}
	if code, text := ask("/metrics", secret); code != http.StatusOK || !strings.Contains(text, "orchis_build_info{") {
		t.Errorf("Prometheus gets %d: %s", code, text)
	}
	if code, _ := ask("/metrics", ""); code != http.StatusUnauthorized {
		t.Errorf("without the token Prometheus gets %d", code)
	}
	if code, body := ask("/readyz", ""); code != http.StatusOK {
		t.Errorf("the orchestrator is not ready: %s", body)
	}
}

// TestNothingIsServedWithoutAToken: the orchestrator of the image, started on
// its own, refuses to be open to all.
func TestNothingIsServedWithoutAToken(t *testing.T) {
	t.Parallel()
	p, err := project(t, "docker-compose.yml", nil, token, "ORCHIS_PORT="+strconv.Itoa(freePort(t)), "REDIS_PORT="+strconv.Itoa(freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	s := newStack(t, p)
	redis := s.start(p.Services["redis"])
	if err := redis.healthy(); err != nil {
		t.Fatal(err)
	}
	open := p.Services["orchestrator"]
	open.Environment["ORCHIS_API_TOKEN"], open.Environment["ORCHIS_LISTEN"] = nil, nil
	open.Ports = nil
	c := &container{service: open, name: "orchestrator-open", root: s.dir + "/open"}
	s.furnish(c)
	for i, e := range c.env { // as it is in a container
		if strings.HasPrefix(e, "ORCHIS_LISTEN=") {
			c.env[i] = "ORCHIS_LISTEN=" + s.images["orchestrator"].env["ORCHIS_LISTEN"]
		}
	}
	if _, log, code := c.run("", "orchestrator"); code != 2 || !strings.Contains(log, "ORCHIS_API_TOKEN is not set") {
		t.Errorf("it ends with %d: %s", code, log)
	}
}
