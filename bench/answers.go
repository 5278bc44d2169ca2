package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orchis-run/orchis/pkg/client"
)

// What a program sees that submits runs of three no-ops by pkg/client and waits
// for their results.
const (
	latencyName    = "latency of a run of 3"
	throughputName = "runs/s with 200 clients"
	callers        = 200
)

// answers are measurements of one installation.
type answers struct {
	name      string
	latency   hops // from submit to result
	perSecond []float64
	// Microseconds of processor a run, with callers of them in flight.
	redis, orchestrator, worker, client []float64
}

// throughClient lets one run after another go through a client for a time, and
// then for twice as long those of many callers that share it.
func (in *installation) throughClient(ctx context.Context, a *answers, d time.Duration) error {
	c, err := client.Open(ctx, client.Config{URL: "redis://" + in.addr})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	one := func(ctx context.Context) error {
		r, err := c.Run(ctx, client.Request{Recipe: "chain3"})
		if err == nil && r.State != "succeeded" {
			err = fmt.Errorf("run %s is %s: %w", r.ID, r.State, r.Error)
		}
		in.endedByClients.Add(1)
		return err
	}
	for began := time.Now(); time.Since(began) < d; {
		submitted := time.Now()
		if err := one(ctx); err != nil {
			return err
		}
		a.latency = append(a.latency, time.Since(submitted).Seconds()*1000)
	}
	slices.Sort(a.latency)
	before, err := in.processors(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	var runs atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range callers {
		g.Go(func() error {
			for time.Since(began) < 2*d {
				if err := one(ctx); err != nil {
					return err
				}
				runs.Add(1)
			}
			return nil
		})
	}
	err = g.Wait()
	took := time.Since(began)
	after, usedErr := in.processors(context.WithoutCancel(ctx))
	if err = errors.Join(err, usedErr); err != nil {
		return err
	}
	n := float64(runs.Load())
	a.perSecond = append(a.perSecond, n/took.Seconds())
	for i, to := range []*[]float64{&a.redis, &a.orchestrator, &a.worker, &a.client} {
		*to = append(*to, float64((after[i]-before[i]).Microseconds())/n)
	}
	return nil
}

// processors is what Redis, the orchestrator, the worker and this process have
// used of the processors.
func (in *installation) processors(ctx context.Context) (used [4]time.Duration, err error) {
	u, err := in.usage(ctx)
	if err != nil {
		return used, err
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return used, err
	}
	return [4]time.Duration{
		u.cpu, processorTime(in.orchestrator.Process.Pid), processorTime(in.worker.Process.Pid),
		time.Duration(own.Utime.Nano() + own.Stime.Nano()),
	}, nil
}

// answered measures each installation through a client. Those with an
// append-only file have a turn each.
func (b *bench) answered(ctx context.Context) error {
	all := &b.report.figures.answers
	for _, of := range []struct{ name, kept string }{{"no AOF", ""}, {"AOF everysec", everysec}, {"AOF always", always}} {
		in := b.off
		if of.kept != "" {
			in = b.kept[of.kept]
		}
		if in == nil {
			continue
		}
		at := slices.IndexFunc(*all, func(a answers) bool { return a.name == of.name })
		if at < 0 {
			at = len(*all)
			*all = append(*all, answers{name: of.name})
		}
		if err := in.throughClient(ctx, &(*all)[at], time.Second); err != nil {
			return fmt.Errorf("runs through a client, %s: %w", of.name, err)
		}
	}
	return nil
}

// onlyAnswers measures nothing else.
func (b *bench) onlyAnswers(ctx context.Context, rounds int) error {
	b.report.full = true // with an append-only file, too
	if err := b.start(ctx); err != nil {
		return err
	}
	for range rounds {
		if err := b.answered(ctx); err != nil {
			return err
		}
	}
	b.report.figures.rounds = rounds
	return nil
}

// answersGoals are the goals for what a client sees, without AOF as the rest of
// the loads are measured.
func (r *report) answersGoals() []goal {
	var a answers
	if len(r.figures.answers) > 0 {
		a = r.figures.answers[0]
	}
	return []goal{
		{latencyName + ", p50", "≤ 2.5 ms", a.latency.at(.5), " ms", 0, 2.5},
		{throughputName, "≥ 4000", middle(a.perSecond), "", 4000, 0},
	}
}

func answersColumns() []string {
	return []string{latencyName + ", p50", "p99", throughputName, "Redis µs/run", "orchestrator µs/run", "worker µs/run", "client µs/run"}
}

func (a *answers) cells() []string {
	us := func(all []float64) string { return fmt.Sprintf("%.0f", middle(all)) }
	return []string{
		fmt.Sprintf("%.2f ms", a.latency.at(.5)), fmt.Sprintf("%.2f ms", a.latency.at(.99)), us(a.perSecond),
		us(a.redis), us(a.orchestrator), us(a.worker), us(a.client),
	}
}

// answersPlain is the table for a terminal.
func (f *figures) answersPlain() string {
	var b strings.Builder
	for i := range f.answers {
		a := &f.answers[i]
		fmt.Fprintf(&b, "%s\n", a.name)
		for k, cell := range a.cells() {
			fmt.Fprintf(&b, "  %-34s %12s\n", answersColumns()[k], cell)
		}
	}
	return b.String()
}

// answersMarkdown is the section for a page.
func (f *figures) answersMarkdown() string {
	if len(f.answers) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n### What a client sees\n\nOne process submits runs of three no-op jobs by `client.Run` and waits for their results: one after another, then 200 calls at a time that share one Client.\n\n")
	b.WriteString("| | " + strings.Join(answersColumns(), " | ") + " |\n|---|" + strings.Repeat("--:|", len(answersColumns())) + "\n")
	for i := range f.answers {
		b.WriteString("| " + f.answers[i].name + " | " + strings.Join(f.answers[i].cells(), " | ") + " |\n")
	}
	b.WriteString("\n" + published + "\n")
	return b.String()
}

// published are figures that others publish of comparable loads.
const published = `Published figures of others, each from another machine, so that only orders of magnitude compare. **Durability differs:** these engines write to disk (fsync), or to a database that does, before they answer. With ` + "`appendfsync everysec`" + ` Redis may lose a second when the machine fails, with ` + "`always`" + ` nothing that was answered.

| engine | figure | source |
|---|---|---|
| Restate | 3 steps: median 4.1 ms, 2,057 runs/s | harness of Windmill, on one developer machine (windmill-labs/windmill, pull request 8708, April 2026) |
| Windmill | 3 steps: median 103 ms, 152 runs/s | the same |
| Temporal | 3 steps: median 119 ms, 39 runs/s | the same |
| Restate 1.7 | 3 steps: 8.8 ms inline, 21.6 ms as three calls | measured by us on two cores, on a machine on which Orchis took 10.8 ms before clients waited by blocking |
| Restate 1.2 | 3 steps: 16,844 runs/s at p50 58 ms, on three nodes with three replicas | changelog of Restate 1.2.0, February 2025 |
| DBOS | 43,000 workflows/s, with PostgreSQL on 96 vCPU | dbos.dev, "Benchmarking workflow execution scalability on Postgres", April 2026 |
| Hatchet | 2,000 runs/s at 220 ms, with PostgreSQL on 8 vCPU | docs of Hatchet v0.55, self-hosting, benchmarking |
`
