package web_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/config"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/sitetest"
	"github.com/orchis-run/orchis/pkg/run"
)

// files is a small project with something of everything, and texts that would
// be markup if a page forgot to escape them.
func files() map[string]string {
	return map[string]string{
		"recipes/shop.yaml": `
name: shop
description: <img src=x onerror=alert(1)>
schedule: { cron: "30 3 * * 1", timezone: Europe/Berlin }
inputs:
  n: { type: integer, default: 3, label: How many, min: 1, max: 9 }
  size: { enum: [small, large], default: small }
  note: { default: '"><script>alert(2)</script>', description: "is <b>kept</b>" }
jobs:
  count: { job: exec, iterate: { from: 1, to: "${inputs.n}" }, inputs: { command: [echo, "\e[31m<script>alert(3)</script>\e[0m"] } }
  pick: { job: debug, dependsOn: [count], inputs: { value: "${inputs.note}" } }
outputs: { note: "${inputs.note}" }
`,
		"recipes/ask.yaml": `
name: ask
jobs:
  build: { job: exec, inputs: { command: [echo, built] } }
  ask: { approval: { message: "Go <on>?", by: [ann], inputs: { zone: { enum: [eu, us], default: eu } } }, dependsOn: [build] }
  signal: { waitFor: { signal: paid }, dependsOn: [build] }
  deploy: { job: debug, dependsOn: [ask, signal], inputs: { value: "${ask.zone}" } }
`,
		"recipes/broken.yaml": `
name: broken
jobs:
  fail: { job: fail, retries: 1, inputs: { message: "<i>no</i>" } }
  next: { job: debug, dependsOn: [fail], inputs: { value: 1 } }
`,
		"recipes/outer.yaml": "name: outer\nflows:\n  first: { flow: inner }\n  second: { flow: inner, dependsOn: [first] }\n",
		"flows/inner.yaml":   "name: inner\njobs:\n  a: { job: debug, inputs: { value: 1 } }\n  b: { job: debug, dependsOn: [a], inputs: { value: 2 } }\n",
		"recipes/wrong.yaml": "jobs: {a: {jop: x}}\n",
	}
}

// visitor asks for pages as a browser without scripts does.
type visitor struct {
	t    *testing.T
	base string
	http http.Client
}

func visit(t *testing.T, s *sitetest.Site) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, base: s.URL, http: http.Client{Jar: jar}}
}

func (v *visitor) get(path string, status int) string {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.base+path, nil)
	return v.send(req, err, status)
}

func (v *visitor) post(path string, form url.Values, status int) string {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.base+path, strings.NewReader(form.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return v.send(req, err, status)
}

// where a request ended and what the page there says.
func (v *visitor) send(req *http.Request, err error, status int) string {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	res, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	if res.StatusCode != status {
		v.t.Fatalf("%s %s answers %d, want %d: %s", req.Method, req.URL.Path, res.StatusCode, status, content(string(raw)))
	}
	return string(raw)
}

// content is what a page says, without what all pages have.
func content(page string) string {
	if _, rest, ok := strings.Cut(page, "<main"); ok {
		page = rest
	}
	return page[:min(len(page), 2000)]
}

// all paths of pages that show a run.
func ofRun(id string) []string {
	out := []string{"/runs/" + id}
	for _, tab := range []string{"graph", "timeline", "jobs", "events", "definition", "outputs"} {
		out = append(out, "/runs/"+id+"?tab="+tab)
	}
	return out
}

func lists() []string {
	return []string{"/", "/runs", "/runs?state=failed&state=running&recipe=shop", "/recipes", "/recipes/shop", "/recipes/recipes/ask.yaml", "/queues", "/workers", "/dead", "/schedules", "/system"}
}

var markup = regexp.MustCompile(`<script>|<img src=x|<i>no|<b>kept|Go <on>`)

// TestPagesShowWhatIsThere and nothing of it becomes markup.
func TestPagesShowWhatIsThere(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := sitetest.Start(t, srv, sitetest.Project(t, files()), nil)
		v := visit(t, s)
		shop, broken, outer := s.Ended("shop", nil), s.Ended("broken", nil), s.Ended("outer", nil)
		ask := s.Submit("ask", nil)
		redistest.Until(t, "both wait", func() bool { r, err := s.Client.Get(t.Context(), ask); return err == nil && r.Counts.Waiting == 2 })
		redistest.Until(t, "the schedule is known", func() bool { all, err := s.Client.Schedules(t.Context()); return err == nil && len(all) == 1 })
		pages := map[string]string{}
		paths := lists()
		for _, id := range []string{shop, broken, outer, ask} {
			paths = append(paths, ofRun(id)...)
		}
		paths = append(paths, "/runs/"+shop+"?job=count[1]", "/runs/"+shop+"?job=count", "/runs/"+broken+"?job=fail", "/runs/"+ask+"?job=signal", "/runs/"+outer+"?fold=1", "/runs/"+outer[len(outer)-12:])
		for _, path := range paths {
			text := v.get(path, http.StatusOK)
			pages[path] = text
			if found := markup.FindString(text); found != "" {
				t.Errorf("%s has %s", path, found)
			}
			if !strings.HasSuffix(strings.TrimSpace(text), "</html>") {
				t.Errorf("%s is cut off", path)
			}
		}
		for path, want := range map[string][]string{
			"/":                               {"Newest runs by recipe", "Waiting for somebody", "Newest failures", "&lt;i&gt;no"},
			"/runs":                           {"shop", "broken", "succeeded", "failed"},
			"/recipes":                        {"&lt;img src=x", "unknown key", "outer"},
			"/recipes/shop":                   {`name="input.n"`, `max="9"`, "How many", "<option selected>small", `data-node="count"`, "recipes/shop.yaml"},
			"/workers":                        {"worker-1", "debug"},
			"/schedules":                      {"every Monday at 03:30", "Europe/Berlin"},
			"/system":                         {"Runs kept", "version", "ORCHIS_LEASE", "1s"},
			"/runs/" + shop:                   {`data-node="count"`, `href="#i-succeeded"`, "Run what changed", "3"},
			"/runs/" + shop + "?job=count[1]": {"alert(3)", `class="fg1"`, "Attempts", "Retry from here"},
			"/runs/" + broken + "?job=fail":   {"&lt;i&gt;no", "Attempts"},
			"/runs/" + ask:                    {"Go &lt;on&gt;?", "may answer: ann", `name="data.zone"`, "Approve", "waits for an approval", `data-seen="`},
			"/runs/" + ask + "?job=signal":    {"Data of the signal paid"},
			"/runs/" + outer:                  {`data-node="first/a"`, `data-node="second/b"`},
			"/runs/" + outer + "?fold=1":      {`data-node="first"`},
			"/runs/" + shop + "?tab=timeline": {"count[0]", "on the critical path"},
			"/runs/" + shop + "?tab=events":   {"the run"},
			"/runs/" + shop + "?tab=outputs":  {"Of the run"},
		} {
			for _, w := range want {
				if !strings.Contains(pages[path], w) {
					t.Errorf("%s does not have %q", path, w)
				}
			}
		}
		if text := v.get("/runs/nobody", http.StatusNotFound); !strings.Contains(text, "nobody") {
			t.Errorf("a run that is not there: %s", content(text))
		}
		v.get("/recipes/recipes/wrong.yaml", http.StatusUnprocessableEntity)
		v.get("/runs?state=happy", http.StatusBadRequest)
	})
}

// TestFormsActWithoutScripts tries every action of the pages.
func TestFormsActWithoutScripts(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		s := sitetest.Start(t, srv, sitetest.Project(t, files()), nil)
		v := visit(t, s)
		state := func(id string, want run.State) {
			t.Helper()
			redistest.Until(t, id+" is "+string(want), func() bool { r, err := s.Client.Get(t.Context(), id); return err == nil && r.State == want })
		}
		if text := v.post("/recipes/ask", nil, http.StatusOK); !strings.Contains(text, "ask") {
			t.Fatalf("no run is shown: %s", content(text))
		}
		page, err := s.Client.Newest(t.Context(), 10, 5)
		if err != nil || len(page["ask"]) != 1 {
			t.Fatalf("runs %v, %v", page, err)
		}
		id := page["ask"][0].ID
		redistest.Until(t, "both wait", func() bool { r, err := s.Client.Get(t.Context(), id); return err == nil && r.Counts.Waiting == 2 })
		at := "/runs/" + id
		if text := v.post(at, url.Values{"op": {"approve"}, "job": {"ask"}, "by": {"eve"}, "back": {at}}, http.StatusOK); !strings.Contains(text, "eve") {
			t.Errorf("eve may approve: %s", content(text))
		}
		v.post(at, url.Values{"op": {"approve"}, "job": {"ask"}, "by": {"ann"}, "data.zone": {"us"}, "back": {at}}, http.StatusOK)
		if text := v.post(at, url.Values{"op": {"signal"}, "signal": {"paid"}, "data": {"{"}, "back": {at}}, http.StatusOK); !strings.Contains(text, "not JSON") {
			t.Errorf("no JSON is taken: %s", content(text))
		}
		v.post(at, url.Values{"op": {"signal"}, "signal": {"paid"}, "data": {`{"sum": 3}`}, "back": {at}}, http.StatusOK)
		state(id, run.Succeeded)
		all, err := s.Client.Outputs(t.Context(), id)
		if err != nil || !strings.Contains(string(all["deploy"]), "us") {
			t.Errorf("deployed %s, %v", all["deploy"], err)
		}
		one, two := s.Submit("ask", nil), s.Submit("ask", nil)
		v.post("/runs/"+one, url.Values{"op": {"pause"}}, http.StatusOK)
		state(one, run.Paused)
		v.post("/runs/"+one, url.Values{"op": {"resume"}}, http.StatusOK)
		state(one, run.Running)
		both := url.Values{"op": {"cancel"}, "run": {one, two}, "back": {"/runs"}}
		v.post("/runs", both, http.StatusOK)
		state(one, run.Cancelled)
		state(two, run.Cancelled)
		if text := v.post("/runs", url.Values{"op": {"cancel"}, "run": {one, "nobody"}, "back": {"/runs"}}, http.StatusOK); !strings.Contains(text, "could not") {
			t.Error("nobody can be cancelled")
		}
		if text := v.post("/runs", url.Values{"op": {"cancel"}, "back": {"/runs"}}, http.StatusOK); !strings.Contains(text, "no run is chosen") {
			t.Error("nothing is chosen, and nothing said")
		}
		if text := v.post("/runs/"+one, url.Values{"op": {"dance"}}, http.StatusOK); !strings.Contains(text, "no action") {
			t.Error("a run dances")
		}
		v.post("/queues/default", url.Values{"op": {"pause"}, "reason": {"lunch"}}, http.StatusOK)
		if text := v.get("/queues", http.StatusOK); !strings.Contains(text, "lunch") {
			t.Error("the queue is not paused")
		}
		v.post("/queues/default", url.Values{"op": {"resume"}}, http.StatusOK)
		redistest.Until(t, "the schedule is known", func() bool { return strings.Contains(v.get("/schedules", http.StatusOK), "Run now") })
		v.post("/schedules/shop", url.Values{"op": {"pause"}}, http.StatusOK)
		v.post("/schedules/shop", url.Values{"op": {"resume"}}, http.StatusOK)
		if text := v.post("/schedules/shop", url.Values{"op": {"trigger"}}, http.StatusOK); !strings.Contains(text, "head run") {
			t.Error("the schedule starts nothing")
		}
	})
}

// TestNobodyIsLedAway by the address a form goes back to.
func TestNobodyIsLedAway(t *testing.T) {
	t.Parallel()
	s := sitetest.Start(t, redistest.Embedded(t), sitetest.Project(t, files()), nil)
	v := visit(t, s)
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for back, want := range map[string]string{"https://evil.example/": "/", "//evil.example": "/", `/\evil.example`: "/", "javascript:alert(1)": "/", "/\r\nx: y": "/", "/queues": "/queues", "/runs?state=failed": "/runs?state=failed"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/queues/default", strings.NewReader(url.Values{"op": {"pause"}, "back": {back}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := v.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if to := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || to != want {
			t.Errorf("%q leads to %q", back, to)
		}
	}
}

// TestTheTokenIsAskedFor once, and a server that only shows has no forms.
func TestTheTokenIsAskedFor(t *testing.T) {
	t.Parallel()
	const token = "a token of this test"
	s := sitetest.Start(t, redistest.Embedded(t), sitetest.Project(t, files()), func(c *config.Settings) {
		c.APIToken, c.BasePath, c.API = token, "/orchis", "read"
	})
	v := visit(t, s)
	if text := v.get("/runs?state=failed", http.StatusOK); !strings.Contains(text, "ORCHIS_API_TOKEN") || strings.Contains(text, "Filter") {
		t.Fatalf("it is not asked for: %s", content(text))
	}
	v.post("/login", url.Values{"token": {"guess"}}, http.StatusUnauthorized)
	if text := v.post("/login", url.Values{"token": {token}, "back": {"/orchis/runs?state=failed"}}, http.StatusOK); !strings.Contains(text, "Filter") {
		t.Fatalf("one is not led back: %s", content(text))
	}
	id := s.Submit("ask", nil)
	redistest.Until(t, "both wait", func() bool { r, err := s.Client.Get(t.Context(), id); return err == nil && r.Counts.Waiting == 2 })
	for _, path := range append(lists(), ofRun(id)...) {
		text := v.get(path, http.StatusOK)
		if strings.Count(text, `method="post"`) > 2 || strings.Contains(text, `name="op"`) { // the sign out, and the list's own
			t.Errorf("%s has a form that changes something", path)
		}
		if strings.Contains(text, token) {
			t.Errorf("%s has the token", path)
		}
	}
	v.post("/runs/"+id, url.Values{"op": {"cancel"}}, http.StatusForbidden)
	v.post("/logout", nil, http.StatusOK)
	if text := v.get("/", http.StatusOK); !strings.Contains(text, "ORCHIS_API_TOKEN") {
		t.Error("still signed in")
	}
}
