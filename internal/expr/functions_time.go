package expr

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxDays is the longest duration, a hundred years.
const maxDays = 36_500

// ParseDuration reads 90s, 1h30m, 2d12h, 2w or 1y; a year has 365 days.
func ParseDuration(s string) (time.Duration, error) {
	total, rest := time.Duration(0), s
	for _, unit := range []struct {
		name string
		days float64
	}{{"y", 365}, {"w", 7}, {"d", 1}} {
		number, after, ok := strings.Cut(rest, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || math.IsNaN(n) {
			return 0, fmt.Errorf("%q is no duration", s)
		}
		if math.Abs(n*unit.days) > maxDays {
			return 0, fmt.Errorf("%q is longer than a hundred years", s)
		}
		total, rest = total+time.Duration(n*unit.days*24*float64(time.Hour)), after
	}
	if rest != "" || s == "" {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration", s)
		}
		total += d
	}
	if total.Abs() > maxDays*24*time.Hour {
		return 0, fmt.Errorf("%q is longer than a hundred years", s)
	}
	return total, nil
}

// fnDuration gives the seconds of a duration.
func fnDuration(c *call) (any, error) {
	s := c.text(0)
	if c.err != nil {
		return nil, c.err
	}
	d, err := ParseDuration(s)
	if err != nil {
		return nil, c.fail("%v", err)
	}
	return whole(d.Seconds()), nil
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
