package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/pkg/run"
)

func (s *site) functions() template.FuncMap {
	return template.FuncMap{
		"asset": func(name string) string { return s.api.BasePath() + "/assets/" + name + "?" + s.stamp[name] },
		"icon":  func(state any) template.HTML { return icon(fmt.Sprint(state)) },
		"short": short, "since": since, "took": took, "clock": clock, "ago": ago, "json": pretty, "q": with,
		"bar": bar, "join": strings.Join, "path": url.PathEscape, "dict": dict, "percent": func(f float64) string { return fmt.Sprintf("%.0f %%", f) },
		"cronWords": cronWords, "ansi": ansi,
		"final":      func(st run.State) bool { return st.Final() },
		"taskStates": run.TaskStates, "clockShort": clockShort, "firstLine": firstLine,
	}
}

// icon is the sign of a state, told apart without colour: a symbol of
// pages/icons.html.
func icon(state string) template.HTML {
	name := "pending"
	if slices.Contains(run.TaskStates(), run.TaskState(state)) || slices.Contains(run.States(), run.State(state)) || state == "warning" {
		name = state
	}
	return template.HTML(`<svg class="ic" aria-hidden="true"><use href="#i-` + name + `"/></svg>`) //nolint:gosec // one of our own names
}

// short is the end of an id, which tells runs of the same second apart.
func short(id string) string {
	if len(id) == 36 && strings.Count(id, "-") == 4 {
		return id[24:]
	}
	if len(id) > 24 {
		return id[:23] + "…"
	}
	return id
}

// took is the time between two moments in Unix milliseconds; with no end yet it
// is the time until now.
func took(from, to int64, now time.Time) string {
	if from == 0 {
		return ""
	}
	if to == 0 {
		to = now.UnixMilli()
	}
	return length(time.Duration(max(0, to-from)) * time.Millisecond)
}

func length(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d m %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d m", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %02d h", int(d.Hours())/24, int(d.Hours())%24)
}

func since(at int64, now time.Time) string { return took(at, 0, now) }

// ago is how long ago something was, in the largest unit that says it.
func ago(at int64, now time.Time) string {
	if at == 0 {
		return ""
	}
	switch d := time.Duration(max(0, now.UnixMilli()-at)) * time.Millisecond; {
	case d < 2*time.Second:
		return "now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours())/24)
	}
}

func clock(at int64) string {
	if at == 0 {
		return ""
	}
	return time.UnixMilli(at).UTC().Format("2006-01-02 15:04:05")
}

// firstLine is the first line of a text, cut where it gets long.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return clip(line, 160)
}

// clockShort is the time of a day, to the millisecond.
func clockShort(at int64) string { return time.UnixMilli(at).UTC().Format("15:04:05.000") }

// pretty writes JSON for people.
func pretty(v any) string {
	raw, ok := v.([]byte)
	if m, is := v.(json.RawMessage); is {
		raw, ok = m, true
	}
	if !ok {
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false) // the page does that
		if err := e.Encode(v); err != nil {
			return err.Error()
		}
		raw = text.Bytes()
	}
	var out bytes.Buffer
	if json.Indent(&out, raw, "", "  ") != nil {
		return string(raw)
	}
	return out.String()
}

// with is a query with some parameters changed; an empty value removes one.
func with(q url.Values, pairs ...string) template.URL {
	out := url.Values{}
	for k, v := range q {
		if k != "error" {
			out[k] = v
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if out.Del(pairs[i]); pairs[i+1] != "" {
			out.Set(pairs[i], pairs[i+1])
		}
	}
	return template.URL("?" + out.Encode()) //nolint:gosec // Encode escapes
}

func dict(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if k, ok := pairs[i].(string); ok {
			m[k] = pairs[i+1]
		}
	}
	return m
}

// segment is a part of a bar.
type segment struct {
	State    string
	Count    int
	X, Width float64
}

// bar is the counts of a run as parts of a bar a hundred wide.
func bar(c run.Counts) []segment {
	return segments(map[run.TaskState]int{
		run.TaskSucceeded: c.Succeeded, run.TaskCached: c.Cached, run.TaskFailed: c.Failed, run.TaskSkipped: c.Skipped, run.TaskBlocked: c.Blocked,
		run.TaskCancelled: c.Cancelled, run.TaskRunning: c.Running, run.TaskQueued: c.Queued, run.TaskRetrying: c.Retrying,
		run.TaskWaiting: c.Waiting, run.TaskDelayed: c.Delayed, run.TaskPending: c.Pending,
	})
}

func segments(counts map[run.TaskState]int) []segment {
	total := 0
	for _, n := range counts {
		total += n
	}
	var out []segment
	x := 0.0
	for _, st := range []run.TaskState{
		run.TaskSucceeded, run.TaskCached, run.TaskFailed, run.TaskRunning, run.TaskRetrying, run.TaskQueued, run.TaskWaiting, run.TaskDelayed,
		run.TaskSkipped, run.TaskBlocked, run.TaskCancelled, run.TaskPending,
	} {
		if n := counts[st]; n > 0 {
			w := 100 * float64(n) / float64(total)
			out = append(out, segment{string(st), n, x, w})
			x += w
		}
	}
	return out
}

// cronWords says in words what simple cron lines mean; others as they are.
func cronWords(line string) string {
	f := strings.Fields(line)
	if len(f) != 5 {
		return line
	}
	plain := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	pad := func(s string) string { return strings.Repeat("0", max(0, 2-len(s))) + s }
	switch {
	case f[0] == "*" && f[1] == "*" && f[2] == "*" && f[3] == "*" && f[4] == "*":
		return "every minute"
	case strings.HasPrefix(f[0], "*/") && strings.Join(f[1:], " ") == "* * * *":
		return "every " + f[0][2:] + " minutes"
	case plain(f[0]) && strings.Join(f[1:], " ") == "* * * *":
		return "every hour at minute " + f[0]
	case plain(f[0]) && plain(f[1]) && strings.Join(f[2:], " ") == "* * *":
		return "every day at " + pad(f[1]) + ":" + pad(f[0])
	case plain(f[0]) && plain(f[1]) && f[2] == "*" && f[3] == "*" && plain(f[4]):
		return "every " + time.Weekday(int(f[4][0]-'0')%7).String() + " at " + pad(f[1]) + ":" + pad(f[0])
	}
	return line
}
