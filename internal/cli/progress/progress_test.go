package progress_test

import (
	"bytes"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/cli/progress"
	"github.com/orchis-run/orchis/internal/goldentest"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

var update = flag.Bool("update", false, "write the golden files anew")

const film = `
jobs:
  fetch: {job: download, retries: {max: 2, delay: 1s}}
  cut: {job: exec, iterate: [a, b, c, d], inputs: {x: "${iterate.item}", y: "${fetch.file}"}}
  sign: {approval: {message: "fine?", by: [ann]}, dependsOn: [cut]}
  join: {job: exec, dependsOn: [sign, cut]}
  mail: {job: debug, dependsOn: [join]}
`

// beat is a moment of a run: what its log says then, or nothing but that time
// goes on.
type beat struct {
	at      int // milliseconds
	changes []run.Change
	aside   string
}

func task(path string, s run.TaskState, more ...func(*run.Change)) run.Change {
	c := run.Change{Task: path, State: s}
	for _, m := range more {
		m(&c)
	}
	return c
}

func on(worker string, attempt int) func(*run.Change) {
	return func(c *run.Change) { c.Worker, c.Attempt = worker, attempt }
}

// story is a run in which much happens.
func story() []beat {
	broken := &run.Error{Code: "http:503", Message: "the server\x1b[2J is busy"}
	return []beat{
		{0, []run.Change{{Run: run.Running, By: "ann"}, task("fetch", run.TaskQueued, on("", 1))}, ""},
		{200, []run.Change{task("fetch", run.TaskRunning, on("w1", 1))}, ""},
		{900, []run.Change{{Task: "fetch", Progress: 42, Note: "4 of 9 MB", Worker: "w1"}}, ""},
		{1500, []run.Change{task("fetch", run.TaskRetrying, on("w1", 1), func(c *run.Change) { c.Error, c.Due = broken, 2500 })}, ""},
		{2500, []run.Change{task("fetch", run.TaskQueued, on("", 2))}, ""},
		{2600, []run.Change{task("fetch", run.TaskRunning, on("w2", 2))}, ""},
		{12_600, []run.Change{
			task("fetch", run.TaskSucceeded, on("w2", 2), func(c *run.Change) { c.Started = 2600 }),
			task("cut", run.TaskRunning, func(c *run.Change) { c.Items = 4 }), task("cut[0]", run.TaskQueued), task("cut[1]", run.TaskQueued),
		}, ""},
		{12_700, []run.Change{task("cut[0]", run.TaskRunning, on("w1", 1)), task("cut[1]", run.TaskRunning, on("w2", 1))}, ""},
		{13_000, []run.Change{{Task: "cut[0]", Progress: 50, Worker: "w1"}}, ""},
		{13_500, []run.Change{task("cut[0]", run.TaskSucceeded, on("w1", 1)), task("cut[1]", run.TaskFailed, on("w2", 1), func(c *run.Change) { c.Error = &run.Error{Code: "exit:1", Message: "no such codec"} })}, ""},
		{14_000, nil, "press Ctrl-C again to stop at once"},
		{80_000, []run.Change{
			task("cut[2]", run.TaskSucceeded, on("w1", 1)), task("cut[3]", run.TaskSucceeded, on("w3", 1)),
			task("cut", run.TaskSucceeded, func(c *run.Change) { c.Started = 12_600 }),
			task("sign", run.TaskWaiting, func(c *run.Change) {
				c.Wait = &run.Wait{Kind: "approval", Message: "fine?", By: []string{"ann"}, Due: 3_680_000}
			}),
		}, ""},
		{90_000, []run.Change{{Task: "sign", Op: "approve", By: "ann", Reason: "looks good"}, task("sign", run.TaskSucceeded)}, ""},
		{90_100, []run.Change{task("join", run.TaskQueued, on("", 1))}, ""},
		{90_200, []run.Change{{Op: "pause", By: "ben", Reason: "lunch"}, {Run: run.Paused}}, ""},
		{91_000, nil, ""},
		{95_000, []run.Change{{Run: run.Running}, task("join", run.TaskFailed, on("w1", 1), func(c *run.Change) {
			c.Started, c.Error = 91_000, &run.Error{Code: "exit:1", Message: "it\nbroke"}
		}), task("mail", run.TaskBlocked, func(c *run.Change) { c.Reason = "join failed" })}, ""},
		{95_000, []run.Change{{Run: run.Failed, Error: &run.Error{Code: "exit:1", Message: "it broke", Task: "join"}}}, ""},
	}
}

func bundle(t *testing.T) *flow.Bundle {
	t.Helper()
	loader, err := flow.NewLoader(flow.Options{Retries: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = loader.Close() }()
	b, diags := loader.LoadText("film.yaml", []byte(film))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	return b
}

// shown plays the story and returns what a printer writes; after each moment
// there is a line which says when it was, if marked.
func shown(t *testing.T, marked bool, printer func(b *bytes.Buffer) progress.Printer) string {
	t.Helper()
	var out bytes.Buffer
	p := printer(&out)
	begin := time.UnixMilli(1_795_628_000_000)
	now := begin
	for _, b := range story() {
		now = begin.Add(time.Duration(b.at) * time.Millisecond)
		if marked {
			fmt.Fprintf(&out, "--- %d ms\n", b.at)
		}
		for i := range b.changes {
			c := &b.changes[i]
			c.At = now.UnixMilli()
			for _, at := range []*int64{&c.Due, &c.Started} {
				if *at > 0 {
					*at += begin.UnixMilli()
				}
			}
			if c.Wait != nil {
				c.Wait.Due += begin.UnixMilli()
			}
		}
		var err error
		switch {
		case b.changes != nil:
			err = p.Changes(now, b.changes)
		case b.aside != "":
			err = p.Aside(now, b.aside)
		default:
			err = p.Tick(now)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if marked {
		out.WriteString("--- the end\n")
	}
	if err := p.Close(now); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// golden compares a text with a file. Escapes are written as \e, so that the
// file can be read.
func golden(t *testing.T, name, got string) {
	t.Helper()
	got = strings.ReplaceAll(got, "\x1b", `\e`)
	goldentest.Same(t, filepath.Join("testdata", name), got, *update)
}

func TestARunOnATerminal(t *testing.T) {
	t.Parallel()
	for name, size := range map[string][2]int{"wide.golden": {100, 24}, "narrow.golden": {44, 8}} {
		o := progress.Options{Run: "0199-film-run-1234abcd", Recipe: "film", Bundle: bundle(t), Size: func() (int, int) { return size[0], size[1] }}
		got := shown(t, true, func(b *bytes.Buffer) progress.Printer { return progress.Terminal(b, o) })
		if strings.Contains(got, "\x1b[2J") {
			t.Error("the message of an error clears the screen")
		}
		golden(t, name, got)
	}
}

func TestARunAsLines(t *testing.T) {
	t.Parallel()
	o := progress.Options{Run: "0199-film-run-1234abcd", Recipe: "film", Bundle: bundle(t)}
	got := shown(t, false, func(b *bytes.Buffer) progress.Printer { return progress.Plain(b, o) })
	if strings.Contains(got, "\x1b") {
		t.Error("lines for a pipe have escapes in them")
	}
	golden(t, "plain.golden", got)
	golden(t, "json.golden", shown(t, false, func(b *bytes.Buffer) progress.Printer { return progress.JSON(b, o) }))
	if got := shown(t, false, func(*bytes.Buffer) progress.Printer { return progress.Quiet() }); got != "" {
		t.Errorf("quiet shows %q", got)
	}
}

// TestCancel_ARunThatIsBeingStoppedSaysWhy, and not that it was submitted once more.
func TestCancel_ARunThatIsBeingStoppedSaysWhy(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := progress.Plain(&out, progress.Options{Run: "r", Recipe: "film", Bundle: bundle(t)})
	cause := &run.Error{Code: run.CodeCancelled, Message: "cancelled by bob"}
	changes := []run.Change{{At: 1, Run: run.Running, By: "ann"}, {At: 2, Run: run.Running, Error: cause, By: "bob"}, {At: 3, Run: run.Cancelled, Error: cause, By: "bob"}}
	if err := p.Changes(time.UnixMilli(3), changes); err != nil {
		t.Fatal(err)
	}
	want := "[  0.0s] film: run r running (submitted by ann)\n[  0.0s] film: run r is being stopped: cancelled by bob (cancelled)\n[  0.0s] film: run r cancelled: cancelled by bob (cancelled)\n"
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

func TestTextsForPeople(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0.0s", 440 * time.Millisecond: "0.4s", 41 * time.Second: "41s", 217 * time.Second: "3m37s", 125 * time.Minute: "2h05m", 49 * time.Hour: "2d01h",
	} {
		if got := progress.Duration(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
	for text, want := range map[string]string{
		"plain": "plain", "\x1b[31mred\x1b[0m": "red", "a\nb\tc": "a b c", "\x1b]0;title\aleft": "left", "\u009b2Jgone": "gone",
	} {
		if got := progress.Clean(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"\x1b[31mred\x1b[0m": "\x1b[31mred\x1b[0m\x1b[m", "\x1b[2Jup\x1b[1A": "up", "\x1b[?25lx": "x", "a\rb": "ab",
	} {
		if got := progress.Colours(text); got != want {
			t.Errorf("%q is coloured as %q, want %q", text, got, want)
		}
	}
	for done, want := range map[int]string{0: "····", 1: "▌···", 8: "████", 9: "████", 3: "█▌··"} {
		if got := progress.Bar(done, 8, 4); got != want {
			t.Errorf("%d of 8 is %s, want %s", done, got, want)
		}
	}
}
