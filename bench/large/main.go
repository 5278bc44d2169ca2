// Command large measures what becomes of Orchis when work is large: flows of
// 100,000 jobs, 10,000 runs at once, a million runs in the history, 200
// workers. It needs redis-server, and says of each load whether a command of
// Redis took longer than 10 ms.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := start(ctx)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// measure is one of the things that can be measured.
type measure struct {
	name string
	do   func(ctx context.Context, b *bench) error
}

// bench is the whole undertaking.
type bench struct {
	dir, orchestrator string
	tasks, history    int
	lines             []string
}

// say prints a line of the report and keeps it.
func (b *bench) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	b.lines = append(b.lines, line)
	_, _ = fmt.Fprintln(os.Stdout, line)
}

func measures() []measure {
	return []measure{
		{"flows", flows}, {"runs", manyRuns}, {"fair", fairness}, {"workers", manyWorkers}, {"history", history}, {"waiting", waiting}, {"cluster", clustered},
	}
}

func start(ctx context.Context) (err error) {
	if n := os.Getenv("LARGE_WORKERS"); n != "" {
		workers, err := strconv.Atoi(n)
		if err != nil {
			return fmt.Errorf("read LARGE_WORKERS: %w", err)
		}
		return work(ctx, workers)
	}
	only := flag.String("only", "", "names of measures, with commas between; empty: all")
	b := &bench{}
	flag.IntVar(&b.tasks, "tasks", 100_000, "tasks of a large run")
	flag.IntVar(&b.history, "history", 1_000_000, "runs in the history")
	report := flag.String("report", "", "a Markdown file whose part between <!-- large --> and <!-- end large --> is written anew")
	flag.Parse()
	if b.dir, err = os.MkdirTemp("", "orchis-large-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(b.dir) }()
	if b.orchestrator, err = build(ctx, b.dir, "orchestrator"); err != nil {
		return err
	}
	for _, m := range measures() {
		if *only != "" && !strings.Contains(","+*only+",", ","+m.name+",") {
			continue
		}
		if err := m.do(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return b.write(*report)
}

// write puts the report into a page.
func (b *bench) write(file string) error {
	if file == "" {
		return nil
	}
	const from, to = "<!-- large -->\n", "<!-- end large -->"
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(page), from)
	_, after, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no part between %s and %s", file, strings.TrimSpace(from), to)
	}
	when := fmt.Sprintf("%s, %d processors:\n\n```text\n", time.Now().Format("2 January 2006"), runtime.NumCPU())
	return os.WriteFile(file, []byte(before+from+when+strings.Join(b.lines, "\n")+"\n```\n"+to+after), 0o644) //nolint:gosec // a page to be read
}
