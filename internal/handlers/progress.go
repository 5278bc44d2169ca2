package handlers

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/orchis-run/orchis/pkg/job"
)

// progressOf returns what reads progress from a line of standard error and says
// whether the line is nothing else. redrawn lines end with a carriage return.
func progressOf(ctx context.Context, in execIn) (func(line string, redrawn bool) bool, error) {
	switch in.Progress {
	case "":
		return nil, nil
	case "ffmpeg":
		f := ffmpeg{duration: in.Duration}
		return func(line string, _ bool) bool {
			percent, note, ok := f.read(line)
			if ok {
				job.Progress(ctx, percent, note)
			}
			return ok
		}, nil
	case "percent":
		return percentOf(ctx), nil
	}
	re, err := regexp.Compile(in.Progress)
	if err != nil || re.NumSubexp() < 1 {
		return nil, badInput("progress must be ffmpeg, percent, or a regular expression with a group for the percent")
	}
	return func(line string, _ bool) bool {
		m := re.FindStringSubmatch(line)
		if m == nil {
			return false
		}
		p, err := strconv.ParseFloat(m[1], 64)
		if err == nil {
			job.Progress(ctx, p, strings.TrimSpace(line))
		}
		return err == nil
	}, nil
}

var percentage = regexp.MustCompile(`(\d+(?:\.\d+)?) ?%`)

// percentOf takes the last percentage of a line. Only a line that the program
// draws over is kept out of the log: another may say more than how far it is.
func percentOf(ctx context.Context) func(string, bool) bool {
	return func(line string, redrawn bool) bool {
		all := percentage.FindAllStringSubmatch(line, -1)
		if all == nil {
			return false
		}
		p, err := strconv.ParseFloat(all[len(all)-1][1], 64)
		if err != nil || p > 100 {
			return false
		}
		job.Progress(ctx, p, "")
		return redrawn
	}
}

var (
	ffmpegTime     = regexp.MustCompile(`time=(\d+):(\d+):(\d+(?:\.\d+)?)`)
	ffmpegSpeed    = regexp.MustCompile(`speed= *(\d[\d.]*x)`)
	ffmpegDuration = regexp.MustCompile(`^ *Duration: (\d+):(\d+):(\d+(?:\.\d+)?)`)
)

// ffmpeg reads what ffmpeg says on standard error.
type ffmpeg struct {
	duration float64 // seconds of what it makes; 0 while unknown
}

func (f *ffmpeg) read(line string) (percent float64, note string, ok bool) {
	if m := ffmpegDuration.FindStringSubmatch(line); m != nil && f.duration == 0 {
		f.duration = seconds(m)
	}
	m := ffmpegTime.FindStringSubmatch(line)
	if m == nil {
		return 0, "", false
	}
	at := seconds(m)
	note = fmt.Sprintf("%.1fs", at)
	if f.duration > 0 {
		percent = min(100, 100*at/f.duration)
		note += fmt.Sprintf(" of %.1fs", f.duration)
	}
	if s := ffmpegSpeed.FindStringSubmatch(line); s != nil {
		note += ", " + s[1]
	}
	return percent, note, true
}

// seconds are those of the three groups of a time.
func seconds(m []string) (sum float64) {
	for _, text := range m[1:] {
		n, _ := strconv.ParseFloat(text, 64)
		sum = sum*60 + n
	}
	return sum
}
