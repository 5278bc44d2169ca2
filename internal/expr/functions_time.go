package expr

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// longest is the longest duration that can be read: a hundred years.
const longest = 36_500 * 24 * time.Hour

// fnDuration reads 90s, 1h30m, 2d, 2w or 1y as seconds.
func fnDuration(c *call) (any, error) {
	s := c.text(0)
	if c.err != nil {
		return nil, c.err
	}
	text, days := s, 0.0
	for _, unit := range []struct {
		name string
		days float64
	}{{"y", 365}, {"w", 7}, {"d", 1}} {
		number, rest, ok := strings.Cut(text, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return nil, c.fail("%q is no duration", s)
		}
		days, text = days+n*unit.days, rest
	}
	seconds := days * 24 * 3600
	if text != "" || s == "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, c.fail("%q is no duration", s)
		}
		seconds += d.Seconds()
	}
	if !(math.Abs(seconds) <= longest.Seconds()) {
		return nil, c.fail("%q is longer than a hundred years", s)
	}
	return whole(seconds), nil
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
