package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/server"
)

const token = "a token for a test"

// mounted serves under /orchis of a program, on a Redis of its own.
func mounted(t *testing.T, c server.Config) string {
	t.Helper()
	c.URL, c.BasePath = redistest.Embedded(t).URL, "/orchis"
	s, err := server.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	mux := http.NewServeMux()
	mux.Handle("/orchis/", s)
	mux.HandleFunc("/own", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the program's own") })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

func ask(t *testing.T, method, url, bearer, body string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

func TestAProgramServesDashboardAndAPIBesideItsOwn(t *testing.T) {
	t.Parallel()
	project := t.TempDir()
	if err := os.Mkdir(filepath.Join(project, "recipes"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(project, "recipes", "one.yaml"), []byte("jobs: {a: {job: debug}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := mounted(t, server.Config{Token: token, Project: project})
	for _, c := range []struct {
		path, bearer string
		status       int
		want         string
	}{
		{"/orchis/api/v1/runs", "", 401, "unauthorized"},
		{"/orchis/api/v1/runs", "another token", 401, "unauthorized"},
		{"/orchis/api/v1/runs", token, 200, `"runs":[]`},
		{"/orchis/api/v1/recipes", token, 200, `"one"`},
		{"/orchis/openapi.json", token, 200, `"/orchis/"`},
		{"/orchis/", token, 200, "<html"},
		{"/orchis/recipes", token, 200, `href="/orchis/recipes/recipes/one.yaml"`},
		{"/orchis/login", "", 200, "<html"},
		{"/own", "", 200, "the program's own"},
		{"/api/v1/runs", token, 404, ""},
	} {
		status, text := ask(t, http.MethodGet, at+c.path, c.bearer, "")
		if status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("GET %s gives %d, want %d with %q:\n%s", c.path, status, c.status, c.want, text)
		}
	}
}

func TestAReadOnlyServerRefusesChanges(t *testing.T) {
	t.Parallel()
	at := mounted(t, server.Config{Open: true, ReadOnly: true})
	status, text := ask(t, http.MethodPost, at+"/orchis/api/v1/runs", "", `{"recipe": "hello"}`)
	var refusal struct{ Error struct{ Code string } }
	if err := json.Unmarshal([]byte(text), &refusal); err != nil || status != 403 || refusal.Error.Code != "readOnly" {
		t.Errorf("it answers %d %s", status, text)
	}
}

func TestWhoMayAskMustBeSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]server.Config{
		"give a Token": {}, "16 bytes": {Token: "short"}, "as /orchis": {Open: true, BasePath: "orchis/"}, "redis": {Open: true, URL: "redis://127.0.0.1:1"},
	} {
		if _, err := server.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v gives %v, want something about %q", c, err, name)
		}
	}
}
