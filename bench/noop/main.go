// Command noop is the worker of the benchmarks: an ordinary worker whose
// handlers do nothing, so that what is measured is the way to them and back.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"strconv"
	"syscall"
	"time"

	"github.com/orchis-run/orchis/internal/gcpace"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() (err error) {
	defer gcpace.Start()() // as in cmd/worker
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	slots, err := strconv.Atoi(os.Getenv("ORCHIS_SLOTS"))
	if err != nil {
		return fmt.Errorf("read ORCHIS_SLOTS: %w", err)
	}
	if file := os.Getenv("BENCH_PROFILE"); file != "" {
		f, err := os.Create(file) //nolint:gosec // whoever profiles names the file
		if err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		defer func() { pprof.StopCPUProfile(); err = errors.Join(err, f.Close()) }()
	}
	jobs := job.NewRegistry()
	add := func(name string, h job.HandlerFunc) {
		err = errors.Join(err, jobs.Add(job.Contract{Name: name}, h))
	}
	add("noop", func(context.Context, json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(`{"ok":true}`), nil
	})
	add("echo", func(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil })
	// stamp says when it began and ended: the hop between two jobs is from the
	// end of one to the beginning of the next, by one clock.
	add("stamp", func(context.Context, json.RawMessage) (json.RawMessage, error) {
		now := time.Now().UnixNano()
		return fmt.Appendf(nil, `{"began":%d,"ended":%d}`, now, time.Now().UnixNano()), nil
	})
	if err != nil {
		return err
	}
	w, err := worker.New(worker.Config{URL: os.Getenv("REDIS_URL"), Slots: slots, Name: os.Getenv("ORCHIS_WORKER_NAME")}, jobs)
	if err != nil {
		return err
	}
	return w.Run(ctx)
}
