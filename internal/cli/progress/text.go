package progress

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Duration writes a duration as people read it: 0.4s, 41s, 3m37s, 2h05m.
func Duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// ShortID returns the part of a run id that tells it from others: the last
// letters, since ids made at the same time begin alike.
func ShortID(id string) string {
	const length = 8
	if len(id) <= length+4 {
		return id
	}
	return id[len(id)-length:]
}

// bar draws a bar of the given width, done of total full.
func bar(done, total, width int) string {
	if total <= 0 {
		return strings.Repeat("·", width)
	}
	eighths := min(done, total) * width * 8 / total
	s := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		s += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return s + strings.Repeat("·", max(0, width-(eighths+7)/8))
}

// workerNames joins worker names; many are shown by the first and last.
func workerNames(names []string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	case 2:
		return names[0] + ", " + names[1]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

// oneLine makes text fit a single line: control characters, which could move
// the cursor, become spaces.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s))
}

// escapes are what moves the cursor, sets titles and the like; colours are told
// apart by their last letter.
var escapes = regexp.MustCompile("\x1b(\\[[0-9;:?<=>]*[ -/]*[@-~]|[\\]PX^_][^\a\x1b]*(\a|\x1b\\\\)?|[ -/]*[0-Z\\\\^-~])|\u009b[0-9;:?]*[@-~]")

// Clean returns a text without what would do something to the terminal.
func Clean(s string) string { return oneLine(escapes.ReplaceAllString(s, "")) }

// Colours returns a text that may colour itself and do nothing else to the
// terminal; when it did, its end sets the colours back.
func Colours(s string) string {
	painted := false
	s = escapes.ReplaceAllStringFunc(s, func(e string) string {
		if strings.HasPrefix(e, "\x1b[") && strings.HasSuffix(e, "m") && !strings.ContainsAny(e, "?<=>") {
			painted = true
			return e
		}
		return ""
	})
	s = strings.Map(func(r rune) rune {
		if r == '\t' || r == '\x1b' && painted || r >= ' ' && (r < 0x7f || r >= 0xa0) {
			return r
		}
		return -1
	}, s)
	if painted {
		s += "\x1b[m"
	}
	return s
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
