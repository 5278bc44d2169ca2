package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/sitetest"
	"github.com/orchis-run/orchis/pkg/run"
)

// browser is a real one, with a window of its own.
type browser struct {
	t    *testing.T
	ctx  context.Context //nolint:containedctx // it is the window
	base string
	mu   sync.Mutex
	said []string // errors in its console
}

// open starts a Chromium and a window; without one the test is skipped, but not
// when CI is true.
func open(t *testing.T, s *sitetest.Site) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI=true and there is no chromium on PATH")
		}
		t.Skip("no chromium on PATH: the pages were not seen by a browser")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true), chromedp.WindowSize(1440, 900))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(stop)
	b := &browser{t: t, ctx: ctx, base: s.URL}
	console := chromedp.Console(ctx)
	go func() {
		for m, err := range console {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				b.mu.Lock()
				b.said = append(b.said, m.String())
				b.mu.Unlock()
			}
		}
	}()
	return b
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for i, step := range steps {
		ctx, stop := context.WithTimeout(b.ctx, 20*time.Second)
		err := chromedp.Do(ctx, step)
		for err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "Could not find node") {
			err = chromedp.Do(ctx, step) // the page put a new one in its place meanwhile
		}
		stop()
		if err != nil {
			b.shot("failed")
			b.t.Fatalf("action %d: %v", i+1, err)
		}
	}
}

func eval[T any](b *browser, script string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return v
}

// ready opens a page and waits until its scripts have run.
func (b *browser) ready(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base+path), chromedp.WaitReady("html[data-ready]"))
}

// quiet wants nothing in the console.
func (b *browser) quiet(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.said) > 0 {
		b.t.Errorf("%s: the console says %s", where, strings.Join(b.said, "; "))
		b.said = nil
	}
}

// shot keeps a picture of the window in ORCHIS_SCREENSHOTS, for people.
func (b *browser) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("ORCHIS_SCREENSHOTS")
	if dir == "" {
		dir = b.t.ArtifactDir()
	}
	raw, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if len(raw) < 5000 {
		b.t.Errorf("the picture of %s has %d bytes", name, len(raw))
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), raw, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// TestEveryPageInABrowser looks at all pages in both themes: nothing in the
// console, nothing that keeps people out.
func TestEveryPageInABrowser(t *testing.T) {
	t.Parallel()
	s := sitetest.Start(t, redistest.Real(t), sitetest.Project(t, files()), nil)
	b := open(t, s)
	shop, broken := s.Ended("shop", nil), s.Ended("broken", nil)
	s.Ended("outer", nil)
	ask := s.Submit("ask", nil)
	redistest.Until(t, "both wait", func() bool { r, err := s.Client.Get(t.Context(), ask); return err == nil && r.Counts.Waiting == 2 })
	paths := append(lists(), append(append(ofRun(shop), ofRun(ask)...), "/runs/"+broken+"?job=fail", "/runs/"+shop+"?job=count[1]", "/runs/"+ask+"?job=signal")...)
	axe := axeScript(t)
	for _, theme := range []string{"light", "dark"} {
		b.ready("/")
		eval[bool](b, `localStorage.setItem("orchis-theme", "`+theme+`"), true`)
		for i, path := range paths {
			if theme == "dark" && i%3 > 0 { // the colours of a third of the pages are those of all
				continue
			}
			b.ready(path)
			if got := eval[string](b, `document.documentElement.dataset.theme`); got != theme {
				t.Fatalf("%s: the theme is %q", path, got)
			}
			b.shot(fmt.Sprintf("%s-%02d-%s", theme, i, strings.Trim(strings.Map(plainName, strings.ReplaceAll(path, shop, "shop")), "-")))
			b.quiet(path)
			b.accessible(path, axe)
		}
	}
}

func plainName(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

// axeScript is the text of axe-core, which ORCHIS_AXE names; its licence keeps it
// out of this repository.
func axeScript(t *testing.T) string {
	t.Helper()
	file := os.Getenv("ORCHIS_AXE")
	if file == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI=true and ORCHIS_AXE does not name the axe.min.js of axe-core")
		}
		t.Log("ORCHIS_AXE does not name the axe.min.js of axe-core: accessibility was not checked")
		return ""
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// accessible wants no serious finding of axe-core.
func (b *browser) accessible(path, axe string) {
	b.t.Helper()
	if axe == "" {
		return
	}
	eval[bool](b, axe+"; true")
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.filter(v => v.impact === "serious" || v.impact === "critical").map(v => [v.id, v.nodes.slice(0, 3).map(n => n.html + " " + n.failureSummary)])))`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	if found != "[]" {
		b.t.Errorf("%s: %s", path, found)
	}
}

// TestARunIsSeenLive: what happens stands on the page within half a second, on
// one of a few tries, as others use the machine as well.
func TestARunIsSeenLive(t *testing.T) {
	t.Parallel()
	project := files()
	project["recipes/live.yaml"] = `
name: live
jobs:
  ask: { waitFor: { signal: go } }
  last: { job: debug, dependsOn: [ask], inputs: { value: 1 } }
`
	s := sitetest.Start(t, redistest.Real(t), sitetest.Project(t, project), nil)
	b := open(t, s)
	best := time.Hour
	for range 5 {
		id := s.Submit("live", nil)
		redistest.Until(t, "it waits", func() bool { r, err := s.Client.Get(t.Context(), id); return err == nil && r.Counts.Waiting == 1 })
		b.ready("/runs/" + id)
		if got := eval[string](b, `document.querySelector(".head .state").textContent.trim()`); got != "running" {
			t.Fatalf("it is %s", got)
		}
		eval[bool](b, `window.seen = 0, new MutationObserver(() => { if (!window.seen && document.querySelector(".head .state").textContent.trim() === "succeeded") window.seen = Date.now() }).observe(document.body, {subtree: true, childList: true}), true`)
		if err := s.Client.Signal(t.Context(), id, "go", nil, "ann"); err != nil {
			t.Fatal(err)
		}
		seen, err := chromedp.Run(b.ctx, chromedp.Poll[float64](`window.seen`))
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Client.Get(t.Context(), id)
		if err != nil || r.State != run.Succeeded {
			t.Fatalf("the run is %v, %v", r.State, err)
		}
		best = min(best, time.Duration(int64(seen)-r.Ended)*time.Millisecond)
		if got := eval[string](b, `document.getElementById("said").textContent`); !strings.Contains(got, "succeeded") {
			t.Errorf("those who cannot see are told %q", got)
		}
		if got := eval[int](b, `document.querySelectorAll('.node.s-succeeded').length`); got != 2 {
			t.Errorf("%d nodes have succeeded", got)
		}
	}
	t.Logf("seen %v after the event", best)
	if best > 500*time.Millisecond {
		t.Errorf("at best it was seen %v after the event", best)
	}
	b.quiet("live")
}

// TestActionsByHand: what people click does what it says.
func TestActionsByHand(t *testing.T) {
	t.Parallel()
	s := sitetest.Start(t, redistest.Real(t), sitetest.Project(t, files()), nil)
	b := open(t, s)
	b.ready("/recipes/ask")
	b.do(chromedp.Click(`form button.good`), chromedp.WaitReady(`.head.run`), chromedp.WaitVisible(`button[value=approve]`))
	where, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil {
		t.Fatal(err)
	}
	id := where[strings.LastIndex(where, "/")+1:]
	b.do(chromedp.SendKeys(`input[name=reason]`, "fine"), chromedp.Click(`button[value=approve]`), chromedp.WaitReady(`.node.s-succeeded[data-node=ask]`))
	b.do(chromedp.Click(`.node[data-node=signal]`), chromedp.WaitVisible(`.drawer textarea`), chromedp.SendKeys(`.drawer textarea`, `{"sum": 3}`), chromedp.Click(`button[value=signal]`))
	redistest.Until(t, "it ends", func() bool { r, err := s.Client.Get(t.Context(), id); return err == nil && r.State == run.Succeeded })
	other := s.Submit("ask", nil)
	b.ready("/runs/" + other)
	b.do(chromedp.Click(`button[value=pause]`), chromedp.WaitReady(`button[value=resume]`), chromedp.Click(`button[value=resume]`), chromedp.WaitReady(`button[value=pause]`))
	eval[bool](b, `window.confirm = () => true, true`)
	b.do(chromedp.Click(`button[value=cancel]`), chromedp.WaitReady(`button[value=retry]`))
	b.quiet("actions")

	// The keyboard: from card to card, and into one.
	b.ready("/runs/" + id)
	b.do(chromedp.Focus(`.node[data-node=build]`), chromedp.KeyEvent("\u0303")) // arrow right
	if got := eval[string](b, `document.activeElement.dataset.node`); got == "build" || got == "" {
		t.Errorf("the arrow leads to %q", got)
	}
	b.do(chromedp.KeyEvent("\r"), chromedp.WaitVisible(`.drawer`))
	before := eval[string](b, `document.querySelector("[data-scene]").getAttribute("transform")`)
	b.do(chromedp.Click(`[data-zoom=in]`))
	if eval[string](b, `document.querySelector("[data-scene]").getAttribute("transform")`) == before {
		t.Error("it does not zoom")
	}
}

// TestPagesAreReadWithoutScripts in a browser that runs none.
func TestPagesAreReadWithoutScripts(t *testing.T) {
	t.Parallel()
	s := sitetest.Start(t, redistest.Real(t), sitetest.Project(t, files()), nil)
	b := open(t, s)
	id := s.Ended("shop", nil)
	b.do(chromedp.Navigate("about:blank"))
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/runs/" + id: `.node[data-node=count]`, "/runs/" + id + "?tab=timeline": `.lane rect`, "/runs": `td a`, "/": `.grid .cell`,
		"/runs/" + id + "?job=count[0]": `.drawer .log`, "/recipes/shop": `form .field`, "/system": `table`,
	} {
		b.do(chromedp.Navigate(b.base+path), chromedp.WaitVisible(want))
	}
}

// TestALargeRunIsSeen: two thousand jobs with six thousand dependencies are
// grouped, and unfold.
func TestALargeRunIsSeen(t *testing.T) {
	t.Parallel()
	project := files()
	project["recipes/large.yaml"] = large(2000, 3)
	s := sitetest.Start(t, redistest.Real(t), sitetest.Project(t, project), nil)
	b := open(t, s)
	id := s.Ended("large", nil)
	begin := time.Now()
	b.ready("/runs/" + id)
	t.Logf("the page was ready after %v; its answer came after %v ms, was read after %v ms and has %v bytes", time.Since(begin),
		eval[float64](b, `performance.getEntriesByType('navigation')[0].responseStart`), eval[float64](b, `performance.getEntriesByType('navigation')[0].responseEnd`),
		eval[float64](b, `performance.getEntriesByType('navigation')[0].transferSize`))
	nodes := eval[int](b, `document.querySelectorAll('[data-node]').length`)
	if nodes < 3 || nodes > 600 {
		t.Errorf("%d nodes are drawn", nodes)
	}
	if size := eval[int](b, `document.documentElement.outerHTML.length`); size > 400_000 {
		t.Errorf("the page has %d letters", size)
	}
	b.shot("large")
	b.do(chromedp.Click(`.node[data-node^="@"]`), chromedp.WaitReady(`html[data-ready]`))
	b.ready("/runs/" + id + "?tab=timeline")
	b.ready("/runs/" + id + "?tab=jobs")
	b.quiet("large")
}

// large is a recipe in layers of a hundred jobs; each waits for some of the
// layer before.
func large(jobs, each int) string {
	var b strings.Builder
	b.WriteString("name: large\njobs:\n")
	for i := range jobs {
		fmt.Fprintf(&b, "  part_%d: { job: debug, inputs: { value: 1 }", i)
		if i >= 100 {
			var deps []string
			for d := range each {
				deps = append(deps, fmt.Sprintf("part_%d", i/100*100-100+(i+d*7)%100))
			}
			raw, _ := json.Marshal(deps)
			fmt.Fprintf(&b, ", dependsOn: %s", raw)
		}
		b.WriteString(" }\n")
	}
	return b.String()
}
