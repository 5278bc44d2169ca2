// Package hostile holds what people with bad intentions, or bad luck, send.
package hostile

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

var update = flag.Bool("update", false, "write the outcomes anew; read them before they are committed")

// attack is one hostile thing. Large ones are made when they are used.
type attack struct {
	family, name string
	text         func() string
	// most is how many MiB dealing with it may allocate; 64 when zero.
	most uint64
}

func is(text string) func() string { return func() string { return text } }

// meet deals with an attack and says what came of it, in one line.
type meet func(text string) error

func families(t *testing.T) map[string]meet {
	t.Helper()
	l, err := flow.NewLoader(flow.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	big, err := flow.NewLoader(flow.Options{Root: t.TempDir(), MaxBytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = big.Close() })
	load := func(l *flow.Loader) meet {
		return func(text string) error { _, diags := l.LoadText("x.yaml", []byte(text)); return diags.Err() }
	}
	return map[string]meet{
		"definition": load(l),
		"graph":      load(big),
		"expression": func(text string) error {
			tpl, err := expr.ParseTemplate(text)
			if err == nil {
				_, err = tpl.Eval(scope{})
			}
			return err
		},
		"inputs":     func(text string) error { _, err := flow.ParseYAML("inputs", []byte(text)); return err },
		"json":       func(text string) error { _, err := expr.Decode([]byte(text)); return err },
		"ticket":     func(text string) error { _, err := wire.ParseTicket("1-1", fields(text)); return err },
		"event":      event,
		"submission": func(text string) error { _, err := wire.ParseSubmission("1-1", fields(text)); return err },
		"task":       func(text string) error { _, err := run.ParseTask("a", text); return err },
		"run":        func(text string) error { _, err := run.Parse("r", 0, texts(text)); return err },
	}
}

// event reads an entry of events and returns the first thing that is wrong.
func event(text string) error {
	_, bad, err := wire.ParseEvents("1-1", fields(text))
	if err == nil && len(bad) > 0 {
		err = bad[0].Err
	}
	return err
}

// scope is what hostile expressions can see.
type scope struct{}

func (scope) Root(name string) (any, bool) {
	return map[string]any{"list": []any{1, 2, 3}, "text": strings.Repeat("x", 1000), "bad": "${inputs.text}"}, name == "inputs"
}
func (scope) Job(string) (expr.Job, bool) { return expr.Job{}, false }
func (scope) Status(string) bool          { return false }
func (scope) Now() time.Time              { return time.Unix(0, 0) }

func texts(text string) map[string]string {
	m := map[string]string{}
	for pair := range strings.SplitSeq(text, "\x1f") {
		name, value, _ := strings.Cut(pair, "=")
		m[name] = value
	}
	return m
}

func fields(text string) map[string]any {
	m := map[string]any{}
	for name, value := range texts(text) {
		m[name] = value
	}
	return m
}

// TestHostileThingsComeToNothing meets every attack and holds what came of it
// against what is written in testdata/outcomes.txt. None panics, and none costs
// more memory than it may. How long each takes is told with -v, and fails the
// test above 100 ms only with ORCHIS_HOSTILE=strict, since machines that run
// tests are busy.
func TestHostileThingsComeToNothing(t *testing.T) { //nolint:paralleltest // it measures memory
	met := families(t)
	all := attacks()
	if len(all) < 300 {
		t.Errorf("only %d attacks", len(all))
	}
	var outcomes strings.Builder
	seen := map[string]bool{}
	slowest, what := time.Duration(0), ""
	for _, a := range all {
		name := a.family + ": " + a.name
		if seen[name] {
			t.Errorf("two attacks are called %s", name)
		}
		seen[name] = true
		text := a.text()
		took, mib, err := measure(met[a.family], text)
		if mib > max(a.most, 64) {
			t.Errorf("%s: %d MiB were allocated", name, mib)
		}
		if took > slowest {
			slowest, what = took, name
		}
		if took > 100*time.Millisecond && os.Getenv("ORCHIS_HOSTILE") == "strict" && a.most == 0 {
			t.Errorf("%s took %s", name, took)
		}
		fmt.Fprintf(&outcomes, "%s -> %s\n", name, line(err))
	}
	t.Logf("%d attacks, the slowest was %s with %s", len(all), what, slowest)
	const path = "testdata/outcomes.txt"
	if *update {
		if err := os.WriteFile(path, []byte(outcomes.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), outcomes.String()); diff != "" {
		t.Errorf("another outcome than written (-written +now):\n%s", diff)
	}
}

// measure meets an attack; of three times it takes the shortest.
func measure(m meet, text string) (took time.Duration, mib uint64, err error) {
	for n := range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		at := time.Now()
		err = m(text)
		once := time.Since(at)
		runtime.ReadMemStats(&after)
		if n == 0 || once < took {
			took, mib = once, (after.TotalAlloc-before.TotalAlloc)>>20
		}
		if once < 20*time.Millisecond {
			break
		}
	}
	return took, mib, err
}

// line is an error's first line, quoted where it must be.
func line(err error) string {
	if err == nil {
		return "accepted"
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	raw, jsonErr := json.Marshal(text)
	if jsonErr != nil {
		return jsonErr.Error()
	}
	if len(raw) > 240 {
		return strings.ToValidUTF8(string(raw[:240]), "") + "..."
	}
	return string(raw)
}
