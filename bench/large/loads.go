package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// layers is a flow of jobs in ten layers, each after two of the layer before.
func layers(jobs int) string {
	var b strings.Builder
	b.WriteString("name: layers\njobs:\n")
	wide := jobs / 10
	for l := range 10 {
		for i := range wide {
			if l == 0 {
				fmt.Fprintf(&b, "  j%d_%d: {job: noop}\n", l, i)
				continue
			}
			fmt.Fprintf(&b, "  j%d_%d: {job: noop, dependsOn: [j%d_%d, j%d_%d]}\n", l, i, l-1, i, l-1, (i+1)%wide)
		}
	}
	return b.String()
}

// chain is a flow of jobs one after another.
func chain(jobs int) string {
	var b strings.Builder
	b.WriteString("name: chain\njobs:\n  j0: {job: noop}\n")
	for i := 1; i < jobs; i++ {
		fmt.Fprintf(&b, "  j%d: {job: noop, dependsOn: j%d}\n", i, i-1)
	}
	return b.String()
}

// fanIn is a flow with a job that waits for all others.
func fanIn(jobs int) string {
	var b strings.Builder
	b.WriteString("name: fan-in\njobs:\n")
	names := make([]string, jobs-1)
	for i := range names {
		names[i] = fmt.Sprint("j", i)
		fmt.Fprintf(&b, "  %s: {job: noop}\n", names[i])
	}
	fmt.Fprintf(&b, "  last: {job: noop, dependsOn: [%s]}\n", strings.Join(names, ", "))
	return b.String()
}

// items is a flow with an iteration.
func items(count int) string {
	return fmt.Sprintf("name: items\njobs:\n  each: {job: noop, iterate: {from: 1, to: %d}}\noutputs: {count: \"${len(each)}\"}\n", count)
}

// outcome is what one run took.
type outcome struct {
	accepted, first, whole time.Duration
	most                   int64 // memory of Redis above that before, at most
	left                   int64 // and afterwards
	resident               int64 // of the orchestrator, at most
	processor              time.Duration
}

// through submits a definition and follows its run to the end.
func (p *place) through(ctx context.Context, text string) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	var out outcome
	before, spent := p.memory(ctx), processorTime(p.orch)
	began := time.Now()
	id, err := p.Start(ctx, client.Request{Definition: text})
	if err != nil {
		return out, err
	}
	out.accepted = time.Since(began)
	looked := time.Now()
	err = until(ctx, 5*time.Millisecond, func() (bool, error) {
		r, err := p.Get(ctx, id)
		if err != nil {
			return false, err
		}
		if out.first == 0 && r.Counts.Final() > 0 {
			out.first = time.Since(began)
		}
		if time.Since(looked) > 100*time.Millisecond {
			looked = time.Now()
			out.most = max(out.most, p.memory(ctx)-before)
		}
		if r.State.Final() && r.State != run.Succeeded {
			return true, fmt.Errorf("the run is %s: %w", r.State, r.Error)
		}
		return r.State.Final(), nil
	})
	out.whole = time.Since(began)
	out.left, out.processor = p.memory(ctx)-before, processorTime(p.orch)-spent
	out.most, out.resident = max(out.most, out.left), status(p.orch, "VmHWM")
	return out, err
}

// flows sends large runs of several shapes, and smaller ones beside them.
func flows(ctx context.Context, b *bench) error {
	n := b.tasks
	began := time.Now()
	l, err := flow.NewLoader(flow.Options{Root: b.dir, MaxBytes: 64 << 20})
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	if _, diags := l.LoadText("layers", []byte(layers(n))); diags.Err() != nil {
		return diags.Err()
	}
	b.say("a flow of %d jobs (%d bytes) is read and checked in %.2f s", n, len(layers(n)), time.Since(began).Seconds())
	for _, shape := range []struct {
		name  string
		text  string
		tasks int
	}{
		{"layers", layers(n / 100), n / 100},
		{"layers", layers(n), n},
		{"chain", chain(n / 10), n / 10},
		{"fan-in", fanIn(n / 10), n / 10},
		{"iteration", items(n / 100), n / 100},
		{"iteration", items(n), n},
	} {
		if err := b.shape(ctx, shape.name, shape.text, shape.tasks); err != nil {
			return fmt.Errorf("%s of %d: %w", shape.name, shape.tasks, err)
		}
	}
	return nil
}

func (b *bench) shape(ctx context.Context, name, text string, tasks int) error {
	p, err := settle(ctx, b.dir, b.orchestrator)
	if err != nil {
		return err
	}
	defer p.leave()
	if _, err := p.work(ctx, 1, 200); err != nil {
		return err
	}
	if _, err := p.through(ctx, layers(1000)); err != nil { // all are awake
		return err
	}
	out, err := p.through(ctx, text)
	if err != nil {
		return err
	}
	t := float64(tasks)
	b.say("%s of %d: accepted after %.2f s, first task done after %.2f s, all after %.1f s; %.0f us a task, %.0f us of the orchestrator; Redis %.0f B a task at most, %.0f B at the end; orchestrator %d MiB at most",
		name, tasks, out.accepted.Seconds(), out.first.Seconds(), out.whole.Seconds(), float64(out.whole.Microseconds())/t, float64(out.processor.Microseconds())/t,
		float64(out.most)/t, float64(out.left)/t, out.resident>>20)
	return b.slow(ctx, p)
}

// slow tells of commands that took too long.
func (b *bench) slow(ctx context.Context, p *place) error {
	found, err := p.slowCommands(ctx)
	if err != nil {
		return err
	}
	for i, line := range found {
		if i == 8 {
			b.say("  and %d more", len(found)-8)
			break
		}
		b.say("  over %s: %s", slow, line)
	}
	return nil
}

// waiting measures what a task costs in Redis that waits for a worker.
func waiting(ctx context.Context, b *bench) error {
	p, err := settle(ctx, b.dir, b.orchestrator)
	if err != nil {
		return err
	}
	defer p.leave()
	before := p.memory(ctx)
	id, err := p.Start(ctx, client.Request{Definition: "jobs: {each: {job: noop, parallelism: 2000, iterate: {from: 1, to: 2000}}}"})
	if err != nil {
		return err
	}
	queued := 0
	err = until(ctx, 20*time.Millisecond, func() (bool, error) {
		r, err := p.Get(ctx, id)
		queued = r.Counts.Queued
		return queued == 2000, err
	})
	b.say("a task that waits takes %d B of Redis", (p.memory(ctx)-before)/int64(max(queued, 1)))
	return err
}

// processorTime is what a process has used.
func processorTime(cmd *exec.Cmd) time.Duration {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	var ticks int64
	for i, f := range strings.Fields(rest) {
		if i == 11 || i == 12 { // user and system, in hundredths of a second
			n, _ := strconv.ParseInt(f, 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
