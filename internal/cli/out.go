package cli

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/orchis-run/orchis/internal/cli/progress"
	"github.com/orchis-run/orchis/pkg/flow"
)

// outputs are what --output may be.
func outputs() []string { return []string{"", "json", "yaml", "wide", "name"} }

// structured reports whether the answer is for a program.
func (a *app) structured() bool { return a.output == "json" || a.output == "yaml" }

// names reports whether only names are wanted.
func (a *app) names() bool { return a.output == "name" || a.quiet && !a.structured() }

// json writes data for programs: as JSON, or as YAML if that is wanted. A list
// of nothing is a list too.
func (a *app) json(v any) error {
	if list := reflect.ValueOf(v); list.Kind() == reflect.Slice && list.IsNil() {
		v = []any{}
	}
	if a.output == "yaml" {
		return flow.Encode(a.out, v)
	}
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table writes rows under a head, in columns that fit the terminal. Columns
// whose head begins with a plus are for --output wide. The first one names what
// the row is about.
func (a *app) table(head string, rows [][]string) {
	if a.names() {
		for _, r := range rows {
			a.print("%s\n", progress.Clean(r[0]))
		}
		return
	}
	heads := strings.Fields(head)
	var shown []int
	for i, h := range heads {
		if name, more := strings.CutPrefix(h, "+"); !more || a.output == "wide" {
			heads[i] = name
			shown = append(shown, i)
		}
	}
	lines := make([][]string, 0, len(rows)+1)
	if !a.headless {
		lines = append(lines, heads)
	}
	for _, r := range rows {
		cells := make([]string, len(r))
		for i := range r {
			cells[i] = progress.Clean(r[i])
		}
		lines = append(lines, cells)
	}
	limit := a.columns
	if a.output == "wide" {
		limit = 0
	}
	width := widths(lines, shown, limit)
	for n, cells := range lines {
		var b strings.Builder
		for k, i := range shown {
			text := cells[i]
			if width[k] < lipgloss.Width(text) {
				text = ansi.Truncate(text, width[k], "…")
			}
			space := width[k] - lipgloss.Width(text)
			switch {
			case n == 0 && !a.headless:
				text = progress.Faint(text)
			case heads[i] == "STATE":
				text = progress.Tint(text)
			}
			b.WriteString(text)
			if k < len(shown)-1 {
				b.WriteString(strings.Repeat(" ", space+2))
			}
		}
		a.print("%s\n", strings.TrimRight(b.String(), " "))
	}
}

// widths returns how wide columns are, so that all of them fit the limit, if
// there is one: the widest give way, but not the first one, and none below a
// few letters.
func widths(lines [][]string, shown []int, limit int) []int {
	const least = 6
	width := make([]int, len(shown))
	total := 2 * (len(shown) - 1)
	for k, i := range shown {
		for _, cells := range lines {
			width[k] = max(width[k], lipgloss.Width(cells[i]))
		}
		total += width[k]
	}
	for limit > 0 && total > limit {
		widest := -1
		for k := 1; k < len(width); k++ {
			if width[k] > least && (widest < 0 || width[k] > width[widest]) {
				widest = k
			}
		}
		if widest < 0 {
			break
		}
		width[widest]--
		total--
	}
	return width
}

// at is a time as tables show it.
func (a *app) at(ms int64) time.Time {
	t := time.UnixMilli(ms)
	if a.utc {
		return t.UTC()
	}
	return t.Local()
}

func (a *app) clock(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return a.at(ms).Format("2006-01-02 15:04:05")
}

func took(from, to int64) string {
	if from == 0 || to == 0 {
		return "-"
	}
	return progress.Duration(time.Duration(to-from) * time.Millisecond)
}
