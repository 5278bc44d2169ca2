package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/web"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// front is the API with the dashboard, on a Redis where no orchestrator is: what
// is hostile must be refused before anybody is asked.
type front struct {
	t      *testing.T
	url    string
	redis  redistest.Server
	client *client.Client
	said   *observer.ObservedLogs
}

func newFront(t *testing.T, change func(*api.Config)) *front {
	t.Helper()
	srv := redistest.Embedded(t)
	c, err := client.Open(t.Context(), client.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	core, said := observer.New(zapcore.DebugLevel)
	cfg := api.Config{Client: c, Definitions: flow.Options{Root: t.TempDir()}, Version: "test", Log: zap.New(core)}
	if change != nil {
		change(&cfg)
	}
	mux := http.NewServeMux()
	server := api.New(cfg)
	server.Register(mux)
	web.Register(mux, server)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return &front{t: t, url: s.URL, redis: srv, client: c, said: said}
}

// request is one hostile request.
type request struct {
	name, method, path string
	body               string
	header             map[string]string
	status             int // 0 is any below 500
}

const jsonType = "application/json"

// requests are those with a body that is none, is too large or lies, paths that
// lead elsewhere, and headers of other people's pages.
func requests() []request {
	const submit, run = "/api/v1/runs", "/api/v1/runs/r"
	post := func(name, path, body string, status int) request {
		return request{name, http.MethodPost, path, body, map[string]string{"Content-Type": jsonType}, status}
	}
	all := []request{
		post("no JSON", submit, "{", 400),
		post("half a text", submit, `{"recipe":"`, 400),
		post("a list", submit, "[]", 400),
		post("a number", submit, "5", 400),
		post("null", submit, "null", 0),
		post("an unknown field", submit, `{"recipes":"a"}`, 400),
		post("a number as recipe", submit, `{"recipe":5}`, 400),
		post("inputs as a list", submit, `{"recipe":"a","inputs":[]}`, 400),
		post("labels of numbers", submit, `{"recipe":"a","labels":{"a":1}}`, 400),
		post("NaN", submit, `{"recipe":"a","inputs":{"x":NaN}}`, 400),
		post("a huge number", submit, `{"recipe":"a","inputs":{"x":1e999999}}`, 400),
		post("invalid UTF-8", submit, "{\"recipe\":\"\xff\",\"by\":1}", 400),
		post("a NUL", submit, "{\"recipe\":\"a\x00\"}", 400),
		post("deep lists", submit, `{"recipe":"a","inputs":{"x":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+"}}", 400),
		post("deep maps", submit, `{"recipe":"a","inputs":`+strings.Repeat(`{"a":`, 50_000)+"1"+strings.Repeat("}", 50_000)+"}", 400),
		post("a body of 3 MiB", submit, `{"recipe":"`+strings.Repeat("x", 3<<20)+`"}`, 413),
		post("blanks of 3 MiB", submit, strings.Repeat(" ", 3<<20), 413),
		post("data that is no wish", run+"/cancel", `{"data":`, 400),
		post("a signal as a list", run+"/signal", `{"signal":["s"]}`, 400),
		post("inputs of a retry as text", run+"/retry", `{"inputs":"x"}`, 400),
		{"a form", http.MethodPost, submit, "recipe=a", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, 415},
		{"plain text, as a form of another site sends it", http.MethodPost, submit, `{"recipe":"a"}`, map[string]string{"Content-Type": "text/plain"}, 415},
		{"no type", http.MethodPost, submit, `{"recipe":"a"}`, nil, 415},
		{"an unknown parameter", http.MethodGet, submit + "?limits=1", "", nil, 400},
		{"a limit of text", http.MethodGet, submit + "?limit=all", "", nil, 400},
		{"a limit below nothing", http.MethodGet, submit + "?limit=-1", "", nil, 400},
		{"a huge limit", http.MethodGet, submit + "?limit=99999999999999999999", "", nil, 400},
		{"an unknown state", http.MethodGet, submit + "?state=asleep", "", nil, 0},
		{"a cursor of text", http.MethodGet, submit + "?cursor=%00%ff", "", nil, 400},
		{"a cursor of somebody", http.MethodGet, submit + "?cursor=" + strings.Repeat("A", 4000), "", nil, 400},
		{"lines after nonsense", http.MethodGet, run + "/lines?task=a&after=x", "", nil, 0},
		{"a log after nonsense", http.MethodGet, run + "/log?after=%2b", "", nil, 0},
		{"events after nonsense", http.MethodGet, run + "/events?after=x", "", nil, 404},
		{"a method that is none", "BREW", submit, "", nil, 0},
		{"TRACE", http.MethodTrace, submit, "", nil, 0},
		{"OPTIONS, as browsers ask before", http.MethodOptions, submit, "", map[string]string{"Origin": "http://evil.example"}, 403},
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodPut, http.MethodPatch} {
		for name, header := range map[string]map[string]string{
			"another site's page": {"Origin": "http://evil.example"}, "a page of no site": {"Origin": "null"}, "a sandboxed frame": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
		} {
			all = append(all, request{method + " of " + name, method, "/api/v1/dead/0:1-1", "", header, 403})
		}
	}
	for i, path := range []string{
		"/api/v1/runs/../../etc/passwd", "/api/v1/runs/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/api/v1/runs/%00", "/api/v1/runs/a%0d%0aX: y", "/api/v1/runs/{0}:x", "/api/v1/runs/" + strings.Repeat("a", 5000),
		"/api/v1/runs/%f0%9f%98%80", "/api/v1/runs//tasks", "/api/v1/recipes/..%2f..%2fetc%2fpasswd", "/api/v1/recipes/%2fetc%2fpasswd", "/api/v1/recipes/recipes/../../x.yaml", "/api/v1/recipes/proc/self/environ",
		"/api/v1/dead/x", "/api/v1/dead/0:x", "/api/v1/dead/99:1-1", "/api/v1/dead/-1:1-1", "/api/v1/dead/0:99999999999999999999-0",
		"/assets/..%2f..%2fweb.go", "/assets/%00", "/assets/.", "/runs/<script>", "/runs/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/runs/x/lines.txt?task=%00", "/recipes/..%2f..%2fetc%2fpasswd", "/recipes/%00.yaml",
		"/?error=%3Cimg%20src%3Dx%3E", "/runs?state=%3Cimg%20src%3Dx%3E&recipe=%22%3E%3Cimg%20src%3Dx%3E", "/login?to=//evil.example", "/login?to=javascript:alert(1)", "/dead?letter=%3Cimg%20src%3Dx%3E", "/api", "/api/v2/runs", "/.git/config", "/../x",
	} {
		all = append(all, request{fmt.Sprintf("path %02d", i), http.MethodGet, path, "", nil, 0})
	}
	return all
}

// TestHostileRequestsAreRefused: none is an error of the server, none takes
// long, and each answer says what a browser may do with it.
func TestHostileRequestsAreRefused(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	all := requests()
	for _, q := range all {
		status, header, body := f.ask(q)
		switch {
		case status >= 500 || q.status != 0 && status != q.status:
			t.Errorf("%s: %s %.60s gives %d, %s", q.name, q.method, q.path, status, body)
		case !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") && status/100 != 3 && strings.Contains(header.Get("Content-Type"), "html"):
			t.Errorf("%s: the policy is %q", q.name, header.Get("Content-Security-Policy"))
		case strings.Contains(body, "<img src=x>") || strings.Contains(body, "<script>alert") || strings.Contains(body, "root:x:0"):
			t.Errorf("%s: %s", q.name, body)
		case header.Get("X") != "" || strings.HasPrefix(header.Get("Location"), "//") || strings.Contains(header.Get("Location"), "evil"):
			t.Errorf("%s: the header is %v", q.name, header)
		}
	}
	t.Logf("%d requests", len(all))
	if n := f.redis.Do(t, "XLEN", "orchis:submit"); n != "0" {
		t.Errorf("%s submissions were sent", n)
	}
	for _, e := range f.said.FilterMessageSnippet("panic").All() {
		t.Errorf("it panicked: %v", e.ContextMap())
	}
}

// ask sends a request as it is, without what a client would mend.
func (f *front) ask(q request) (int, http.Header, string) {
	f.t.Helper()
	ctx, stop := context.WithTimeout(f.t.Context(), 15*time.Second)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, q.method, f.url, bytes.NewReader([]byte(q.body)))
	if err != nil {
		f.t.Fatal(err)
	}
	path, query, _ := strings.Cut(q.path, "?")
	req.URL.Opaque, req.URL.RawQuery = "//"+req.URL.Host+strings.ReplaceAll(path, " ", "%20"), query
	for k, v := range q.header {
		req.Header.Set(k, v)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		f.t.Errorf("%s: %v", q.name, err)
		return 0, nil, ""
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		f.t.Errorf("%s: %v", q.name, err)
	}
	return res.StatusCode, res.Header, string(body)
}

// TestWithoutTheTokenNothingIsTold, by any method, on any path.
func TestWithoutTheTokenNothingIsTold(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(c *api.Config) { c.Token = "a token of the test" })
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodPut, http.MethodHead} {
		for _, path := range []string{"/api/v1/runs", "/api/v1/system", "/api/v1/dead/0:1-1", "/openapi.json", "/api/v1/recipes/x", "/", "/runs", "/runs/r", "/system", "/live", "/recipes/a", "/queues/a"} {
			for _, given := range []string{"", "Bearer", "Bearer ", "Bearer a token of the tes", "Basic YTph", "bearer a token of the test"} {
				status, header, body := f.ask(request{method + path, method, path, "", map[string]string{"Authorization": given}, 0})
				leads := status == http.StatusSeeOther && strings.HasPrefix(header.Get("Location"), "/login")
				if !leads && status != http.StatusUnauthorized && status != http.StatusMethodNotAllowed && status != http.StatusNotFound && status != http.StatusForbidden {
					t.Errorf("%s %s with %q gives %d, %.200s", method, path, given, status, body)
				}
			}
		}
	}
}

// TestOtherNamesOfTheServerAreRefused, as of a page whose name leads here.
func TestOtherNamesOfTheServerAreRefused(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(c *api.Config) { c.Hosts = []string{"127.0.0.1"} })
	u, err := url.Parse(f.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1]", "localhost"} {
		for _, path := range []string{"/api/v1/runs", "/", "/login", "/assets/style.css"} {
			c, err := net.Dial("tcp", u.Host)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
			answer, err := io.ReadAll(c)
			_ = c.Close()
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 421") && !strings.HasPrefix(string(answer), "HTTP/1.1 400") {
				t.Errorf("%s as %q: %.80s, %v", path, host, answer, err)
			}
		}
	}
}

// TestASlowRequestIsGivenUp: one that never ends its headers, and one that sends
// more of them than anybody needs.
func TestASlowRequestIsGivenUp(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- api.ServeOn(ctx, l, http.NotFoundHandler()) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for name, send := range map[string]string{
		"slow": "GET / HTTP/1.1\r\nHost: x\r\nX: ", "many": "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 200),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			_, _ = io.WriteString(c, send)
			answer, err := io.ReadAll(c)
			if errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(answer), " 200 ") {
				t.Errorf("after half a minute: %.80s, %v", answer, err)
			}
		})
	}
}
