package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

// work is the other thing that this program does: workers whose handler does
// nothing, each with connections of its own, as if it were a process.
func work(ctx context.Context, workers int) error {
	slots, err := strconv.Atoi(os.Getenv("ORCHIS_SLOTS"))
	if err != nil {
		return fmt.Errorf("read ORCHIS_SLOTS: %w", err)
	}
	jobs := job.NewRegistry()
	err = jobs.Add(job.Contract{Name: "noop"}, job.HandlerFunc(func(context.Context, json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(`{"ok":true}`), nil
	}))
	if err != nil {
		return err
	}
	var g errgroup.Group
	for i := range workers {
		w, err := worker.New(worker.Config{URL: os.Getenv("REDIS_URL"), Slots: slots, Name: fmt.Sprintf("large-%d-%d", os.Getpid(), i)}, jobs)
		if err != nil {
			return err
		}
		g.Go(func() error { return w.Run(ctx) })
	}
	return g.Wait()
}
