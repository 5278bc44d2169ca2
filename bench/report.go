package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// figures are what is measured beside the table.
type figures struct {
	idle, half                       hops
	halfRate                         float64 // jobs a second
	waiting                          float64 // bytes
	orchestratorIdle, workerIdle     int64
	orchestratorLoaded, workerLoaded int64
	slow                             int64 // commands of Redis that took more than 10 ms
	rounds                           int
	leftOut                          string // why BullMQ is
	profiles                         string
	distances                        []distance
	answers                          []answers
}

// goal is something that was set and what came of it.
type goal struct {
	what, want string
	got        float64
	unit       string
	least      float64 // 0 when it is a bound from above
	most       float64
}

func (g goal) met() bool {
	return g.got != 0 && (g.least == 0 || g.got >= g.least) && (g.most == 0 || g.got <= g.most)
}

func (g goal) verdict() string {
	switch {
	case g.got == 0:
		return "not measured"
	case g.met():
		return "met"
	case g.least > 0:
		return fmt.Sprintf("missed: %.2f of it", g.got/g.least)
	}
	return fmt.Sprintf("missed: %.1f times as much", g.got/g.most)
}

func (r *report) goals() []goal {
	t, f := &r.table, &r.figures
	chain, fan := chain10(), fanOut()
	cost := 0.0
	if t.has(everysec) {
		cost = 100 * (1 - t.ratio(everysec, chain.name))
	}
	redis := t.median(chain.name, func(s sample) float64 { return s.redis })
	wide := t.median("one iteration of 20,000", func(s sample) float64 { return s.memory })
	mib := func(n int64) float64 { return float64(n) / (1 << 20) }
	far := distance{rtt: time.Hour}
	for _, d := range f.distances {
		far = d // the longest is the last
	}
	return append([]goal{
		{"processor of a job, of the base commit", "≤ 0.48", t.versusBase(), "", 0, 0.48},
		{"chain of 10, of the raw loop", "≥ 0.35", t.ratio(chain.name, rawName), "", 0.35, 0},
		{"chain of 10, of asynq's flat queue", "≥ 2.7", t.ratio(chain.name, asynqName), "", 2.7, 0},
		{"chain of 10, of BullMQ's chain of 10", "≥ 4", t.ratio(chain.name, bullName), "", 4, 0},
		{"fan-out, of the raw loop", "≥ 0.60", t.ratio(fan.name, rawName), "", 0.60, 0},
		{"what AOF everysec costs", "≤ 35 %", cost, " %", 0, 35},
		{"hop when idle, p50", "≤ 0.25 ms", f.idle.at(.5), " ms", 0, 0.25},
		{"hop when idle, p99", "≤ 5 ms", f.idle.at(.99), " ms", 0, 5},
		{"hop at half load, p99", "≤ 6 ms", f.half.at(.99), " ms", 0, 6},
		{"processor of Redis a job, chain of 10", "≤ 20 µs", redis, " µs", 0, 20},
		{"Redis memory of a waiting task", "≤ 450 B", f.waiting, " B", 0, 450},
		{"Redis memory of a finished task (of 20,000)", "≤ 400 B", wide, " B", 0, 400},
		{"hop at a round trip of 50 ms, in round trips", "≤ 3", far.trips(.5), "", 0, 3},
		{"300 chains at 50 ms, of slots / round trip", "≥ 80 %", 100 * far.perSecond / far.possible(), " %", 80, 0},
		{"orchestrator idle", "≤ 64 MiB", mib(f.orchestratorIdle), " MiB", 0, 64},
		{"worker of 200 slots idle", "≤ 64 MiB", mib(f.workerIdle), " MiB", 0, 64},
		{"orchestrator under load", "≤ 256 MiB", mib(f.orchestratorLoaded), " MiB", 0, 256},
		{"worker under load", "≤ 256 MiB", mib(f.workerLoaded), " MiB", 0, 256},
	}, append(r.answersGoals(), r.payloadGoals()...)...)
}

// report is what a run of the benchmarks found.
type report struct {
	table
	figures figures
	machine string
	full    bool
}

func (r *report) plain() string {
	var b strings.Builder
	b.WriteString(r.machine + "\n\n")
	if len(r.names) > 0 {
		b.WriteString(r.table.plain() + "\n")
	}
	b.WriteString(r.figures.answersPlain() + "\n")
	for _, g := range r.goals() {
		if g.got != 0 {
			fmt.Fprintf(&b, "%-46s %-22s %10.2f%-4s %s\n", g.what, g.want, g.got, g.unit, g.verdict())
		}
	}
	if r.figures.leftOut != "" {
		b.WriteString(r.figures.leftOut + "\n")
	}
	return b.String()
}

// The part of the page that is written here stands between these.
const (
	pageBegins = "<!-- What follows is written by make bench. -->"
	pageEnds   = "<!-- Here make bench ends. -->"
)

// write puts the report into the page, between its marks.
func (r *report) write(page string) error {
	old, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	before, rest, found := strings.Cut(string(old), pageBegins)
	_, after, ends := strings.Cut(rest, pageEnds)
	if !found || !ends {
		return fmt.Errorf("%s does not say where the report belongs: %s ... %s", page, pageBegins, pageEnds)
	}
	return os.WriteFile(page, []byte(before+pageBegins+"\n\n"+r.markdown()+"\n"+pageEnds+after), 0o644) //nolint:gosec // a page to be read
}

func (r *report) markdown() string {
	var b strings.Builder
	form := "the short form"
	if r.full {
		form = "the full form"
	}
	fmt.Fprintf(&b, "%s of the benchmarks, %s, medians of %d rounds.\n\n%s\n\n%s\n", strings.ToUpper(form[:1])+form[1:], time.Now().UTC().Format("2 January 2006"), r.figures.rounds, r.machine, r.table.markdown())
	b.WriteString("### Goals\n\n| goal | wanted | found | |\n|---|---|--:|---|\n")
	for _, g := range r.goals() {
		found := "–"
		if g.got != 0 {
			found = fmt.Sprintf("%.2f%s", g.got, g.unit)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", g.what, g.want, found, g.verdict())
	}
	f := &r.figures
	if len(f.half) > 0 {
		fmt.Fprintf(&b, "\nHalf load was %.0f jobs/s; hops then: p50 %.2f ms, p99 %.2f ms.", f.halfRate, f.half.at(.5), f.half.at(.99))
	}
	fmt.Fprintf(&b, "\nCommands of Redis that took more than 10 ms: %d.\n", f.slow)
	if f.leftOut != "" {
		b.WriteString("\n" + f.leftOut + "\n")
	}
	b.WriteString(f.answersMarkdown())
	if f.profiles != "" {
		b.WriteString("\n### Where the time of a chain of 10 goes\n\n" + f.profiles)
	}
	return b.String()
}

// machineOf says what was measured on.
func machineOf(ctx context.Context, s *server) string {
	model := "an unknown processor"
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if rest, is := strings.CutPrefix(line, "model name"); is {
				model = strings.TrimSpace(strings.TrimLeft(rest, "\t: "))
				break
			}
		}
	}
	busy := "unknown"
	if raw, err := os.ReadFile("/proc/loadavg"); err == nil {
		busy, _, _ = strings.Cut(string(raw), " ")
	}
	version := "unknown"
	if text, err := s.client.Info(ctx, "server").Result(); err == nil {
		for line := range strings.Lines(text) {
			if rest, is := strings.CutPrefix(strings.TrimSpace(line), "redis_version:"); is {
				version = rest
			}
		}
	}
	return fmt.Sprintf("Machine: %d cores of %s, %s, Go %s, Redis %s; everything on the same machine. Load average when it began: %s.",
		runtime.NumCPU(), model, runtime.GOOS, strings.TrimPrefix(runtime.Version(), "go"), version, busy)
}

// topOf is the head of a CPU profile, as text.
func topOf(ctx context.Context, program, profile string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-cum", "-nodecount=45", "-show=orchis|redis|json|runtime.mallocgc|runtime.gcBg|Syscall6", program, profile).Output()
	if err != nil {
		return "", fmt.Errorf("read the profile: %w", err)
	}
	return string(out), nil
}
