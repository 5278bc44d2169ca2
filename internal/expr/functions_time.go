package expr

import (
	"strconv"
	"strings"
	"time"
)

// fnDuration reads 90s, 1h30m or 2d as seconds.
func fnDuration(c *call) (any, error) {
	s := c.text(0)
	if c.err != nil {
		return nil, c.err
	}
	text, days := s, 0.0
	if d, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseFloat(d, 64)
		if err != nil {
			return nil, c.fail("%q is no duration", s)
		}
		days, text = n, rest
	}
	total := time.Duration(days * 24 * float64(time.Hour))
	if text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, c.fail("%q is no duration", s)
		}
		total += d
	}
	return whole(total.Seconds()), nil
}

// when reads a time: seconds since 1970, or text such as 2026-11-24 or
// 2026-11-24T05:00:00Z.
func (c *call) when(i int) time.Time {
	if f, ok := asFloat(c.args[i]); ok {
		return time.UnixMilli(int64(f * 1000)).UTC()
	}
	s := c.text(i)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	_ = c.fail("%q is no time", s)
	return time.Time{}
}

func fnDate(c *call) (any, error) { return c.done(c.when(0).Format(time.DateOnly), 0) }

// fnFormat writes a time by a layout of YYYY MM DD HH mm and ss, or "iso".
func fnFormat(c *call) (any, error) {
	t, layout := c.when(0), c.text(1)
	if layout == "iso" {
		return c.done(t.Format(time.RFC3339), 0)
	}
	layout = strings.NewReplacer(
		"YYYY", t.Format("2006"), "MM", t.Format("01"), "DD", t.Format("02"),
		"HH", t.Format("15"), "mm", t.Format("04"), "ss", t.Format("05")).Replace(layout)
	return c.done(layout, 0)
}
