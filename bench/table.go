package main

import (
	"fmt"
	"slices"
	"strings"
)

// sample is one measurement. What was not measured is 0.
type sample struct {
	perSecond                   float64 // jobs
	redis, orchestrator, worker float64 // microseconds of processor a job
	commands, memory            float64 // of Redis, a job
}

func (m measured) sample(l load) sample {
	jobs := float64(l.total())
	us := func(d interface{ Microseconds() int64 }) float64 { return float64(d.Microseconds()) / jobs }
	return sample{
		perSecond: jobs / m.took.Seconds(), redis: us(m.cpu), orchestrator: us(m.orchestrator), worker: us(m.worker),
		commands: float64(m.commands) / jobs, memory: float64(m.memory) / jobs,
	}
}

// table gathers samples by what they are of.
type table struct {
	names   []string
	samples map[string][]sample
	bases   map[string]string // what a load is compared with, if not with the raw loop
}

// compare says that a load is compared with another one than the raw loop.
func (t *table) compare(name, base string) {
	if t.bases == nil {
		t.bases = map[string]string{}
	}
	t.bases[name] = base
}

func (t *table) base(name string) string {
	if base := t.bases[name]; base != "" {
		return base
	}
	return rawName
}

func (t *table) add(name string, s sample) {
	if t.samples == nil {
		t.samples = map[string][]sample{}
	}
	if t.samples[name] == nil {
		t.names = append(t.names, name)
	}
	t.samples[name] = append(t.samples[name], s)
}

func (t *table) has(name string) bool { return len(t.samples[name]) > 0 }

// median of one property.
func (t *table) median(name string, of func(sample) float64) float64 {
	var all []float64
	for _, s := range t.samples[name] {
		all = append(all, of(s))
	}
	return middle(all)
}

func middle(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// ratio is how many times as fast one is as another: the median over the rounds
// of the ratio within a round, since the machine may have been another in each.
func (t *table) ratio(name, to string) float64 {
	var all []float64
	for i, s := range t.samples[name] {
		if other := t.samples[to]; len(other) > 0 {
			all = append(all, s.perSecond/other[min(i, len(other)-1)].perSecond)
		}
	}
	return middle(all)
}

// The columns after the name.
func columns() []string {
	return []string{"jobs/s", "of raw", "Redis µs/job", "orchestrator µs/job", "worker µs/job", "commands/job", "Redis B/job"}
}

func (t *table) cells(name string) []string {
	number := func(f float64, format string) string {
		if f == 0 {
			return "–"
		}
		return fmt.Sprintf(format, f)
	}
	m := func(of func(sample) float64) float64 { return t.median(name, of) }
	return []string{
		fmt.Sprintf("%.0f", m(func(s sample) float64 { return s.perSecond })),
		number(t.ratio(name, t.base(name)), "%.3f"),
		number(m(func(s sample) float64 { return s.redis }), "%.1f"),
		number(m(func(s sample) float64 { return s.orchestrator }), "%.1f"),
		number(m(func(s sample) float64 { return s.worker }), "%.1f"),
		number(m(func(s sample) float64 { return s.commands }), "%.1f"),
		number(m(func(s sample) float64 { return s.memory }), "%.0f"),
	}
}

// plain is the table for a terminal.
func (t *table) plain() string {
	var b strings.Builder
	row := func(name string, cells []string) {
		fmt.Fprintf(&b, "%-36s", name)
		for i, c := range cells {
			fmt.Fprintf(&b, "  %*s", max(8, len([]rune(columns()[i]))), c)
		}
		b.WriteByte('\n')
	}
	row("", columns())
	for _, name := range t.names {
		row(name, t.cells(name))
	}
	return b.String()
}

// markdown is the table for a page.
func (t *table) markdown() string {
	var b strings.Builder
	b.WriteString("| load | " + strings.Join(columns(), " | ") + " |\n|---|" + strings.Repeat("--:|", len(columns())) + "\n")
	for _, name := range t.names {
		b.WriteString("| " + name + " | " + strings.Join(t.cells(name), " | ") + " |\n")
	}
	return b.String()
}
