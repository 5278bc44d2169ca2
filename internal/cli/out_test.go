package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/google/go-cmp/cmp"
)

func TestTablesFitTheTerminal(t *testing.T) {
	t.Parallel()
	rows := [][]string{
		{"0194-a-long-id-that-stays", "recipe", "failed", "ein sehr langer Grund, der nicht auf die Zeile passt", "x"},
		{"b", "非常に長い名前のレシピ", "ok", "\x1b[31mred\x1b[m\nnext\x07", "y"},
	}
	for columns, want := range map[int]string{
		0: "RUN                        RECIPE                  STATE   WHY\n" +
			"0194-a-long-id-that-stays  recipe                  failed  ein sehr langer Grund, der nicht auf die Zeile passt\n" +
			"b                          非常に長い名前のレシピ  ok      red next\n",
		60: "RUN                        RECIPE       STATE   WHY\n" +
			"0194-a-long-id-that-stays  recipe       failed  ein sehr la…\n" +
			"b                          非常に長い…  ok      red next\n",
		20: "RUN                        RECIPE  STATE   WHY\n" + // no column gets smaller than six letters
			"0194-a-long-id-that-stays  recipe  failed  ein s…\n" +
			"b                          非常…   ok      red n…\n",
	} {
		var out bytes.Buffer
		a := &app{out: colorprofile.NewWriter(&out, nil), columns: columns}
		a.table("RUN RECIPE STATE WHY +MORE", rows)
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("%d columns: %s", columns, diff)
		}
		for l := range strings.SplitSeq(out.String(), "\n") {
			if columns == 60 && lipgloss.Width(l) > columns {
				t.Errorf("%d columns: %q is wider", columns, l)
			}
		}
	}
}

func TestColoursFollowTheEnvironment(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env    []string
		colour bool
	}{
		"a pipe":                      {[]string{"TERM=xterm-256color"}, false},
		"a pipe with CLICOLOR_FORCE":  {[]string{"TERM=xterm-256color", "CLICOLOR_FORCE=1"}, true},
		"CLICOLOR_FORCE and NO_COLOR": {[]string{"TERM=xterm-256color", "CLICOLOR_FORCE=1", "NO_COLOR=1"}, false},
	} {
		var out bytes.Buffer
		a := &app{out: painter(&out, test.env)}
		a.table("RUN STATE", [][]string{{"a", "failed"}})
		if got := strings.Contains(out.String(), "\x1b[31m"); got != test.colour {
			t.Errorf("%s: colours are %v: %q", name, got, out.String())
		}
	}
}

func TestTimesOfLogsAreRead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"10m":                  now.Add(-10 * time.Minute),
		"2026-01-31T12:00:00Z": time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		"11:30":                now.Add(-30 * time.Minute),
		"12:00:01":             now.Add(-24*time.Hour + time.Second),
	} {
		if got, err := sinceOf(text, now); err != nil || got != want.UnixMilli() {
			t.Errorf("%s is %s, %v", text, time.UnixMilli(got).UTC(), err)
		}
	}
	if _, err := sinceOf("yesterday", now); err == nil {
		t.Error("yesterday is a time")
	}
}

func TestManualPagesTellOfEveryCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, errs, code := typed(t.Context(), t, "", "man", dir); code != 0 {
		t.Fatal(errs)
	}
	text, err := os.ReadFile(filepath.Join(dir, "orchis-run.1"))
	if err != nil || !strings.Contains(string(text), "Run a recipe here and now") || !strings.Contains(string(text), "--approve") {
		t.Errorf("%v: %s", err, text)
	}
	a := &app{}
	for _, c := range a.command().Commands() {
		if _, err := os.Stat(filepath.Join(dir, "orchis-"+c.Name()+".1")); err != nil && c.IsAvailableCommand() {
			t.Error(err)
		}
	}
}
