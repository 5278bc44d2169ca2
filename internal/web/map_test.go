package web_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/sitetest"
)

// TestTheProgressOfAJobIsSeen on its card, and moves while it works.
func TestTheProgressOfAJobIsSeen(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "gate")
	project := map[string]string{"recipes/film.yaml": fmt.Sprintf(`
name: film
jobs:
  encode:
    job: exec
    inputs: { progress: percent, command: "echo 42%%%% >&2; until [ -e %[1]s ]; do sleep 0.1; done; sleep 1; echo 80%%%% >&2; until [ -e %[1]s.end ]; do sleep 0.1; done" }
`, gate)}
	s := sitetest.Start(t, redistest.Real(t), sitetest.Project(t, project), nil)
	b := open(t, s)
	id := s.Submit("film", nil)
	b.ready("/runs/" + id)
	shows := func(percent string) float64 {
		t.Helper()
		b.do(chromedp.WaitReady(`.node.s-running [data-progress="` + percent + `"]`))
		return eval[float64](b, `(() => { const bar = document.querySelector('[data-progress]'), all = bar.previousElementSibling; return bar.getBoundingClientRect().width / all.getBoundingClientRect().width })()`)
	}
	if part := shows("42"); part < 0.40 || part > 0.44 {
		t.Errorf("the bar is %.2f of its width, want 0.42", part)
	}
	b.shot("progress-42")
	for _, name := range []string{gate, gate + ".end"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if name == gate {
			if part := shows("80"); part < 0.78 || part > 0.82 {
				t.Errorf("the bar is %.2f of its width, want 0.80", part)
			}
			b.shot("progress-80")
		}
	}
	b.do(chromedp.WaitReady(`.node.s-succeeded`))
	if eval[int](b, `document.querySelectorAll('[data-progress]').length`) != 0 {
		t.Error("a job that has ended still has a bar")
	}
	b.quiet("progress")
}

// TestALargeGraphHasAMap that shows what is in view and leads elsewhere; a
// small one needs none.
func TestALargeGraphHasAMap(t *testing.T) {
	t.Parallel()
	project := files()
	project["recipes/large.yaml"] = large(2000, 3)
	s := sitetest.Start(t, redistest.Real(t), sitetest.Project(t, project), nil)
	b := open(t, s)
	b.ready("/runs/" + s.Ended("shop", nil))
	const shown = `getComputedStyle(document.querySelector('.mini')).display !== 'none'`
	if eval[bool](b, shown) {
		t.Error("a small graph has a map")
	}
	b.ready("/runs/" + s.Ended("large", nil))
	if !eval[bool](b, shown) || eval[int](b, `document.querySelectorAll('.mini rect').length`) != eval[int](b, `document.querySelectorAll('.node').length`)+1 {
		t.Error("a large graph has no map of its cards")
	}
	const left = `+document.querySelector('.mini .view').getAttribute('x')`
	before := eval[float64](b, left)
	eval[bool](b, `(() => { const m = document.querySelector('.mini').getBoundingClientRect(); document.querySelector('.mini').dispatchEvent(new PointerEvent('pointerdown', { bubbles: true, buttons: 1, clientX: m.right - 5, clientY: m.top + m.height / 2 })); return true })()`)
	if after := eval[float64](b, left); after <= before {
		t.Errorf("a click on the end of the map leads from %.0f to %.0f", before, after)
	}
	b.shot("map")
	b.quiet("map")
}
