package explain_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/explain"
	"github.com/orchis-run/orchis/internal/orchestrator"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

const definition = `
jobs:
  first: {job: work}
  slow: {job: wait, iterate: [1, 2, 3], parallelism: 1}
  other: {job: nobody}
  far: {job: work, queue: gpu}
  bad: {job: broken, retries: {max: 5, delay: 1h}}
  skipped: {job: work, dependsOn: [first], if: "1 == 2"}
  after: {job: work, dependsOn: [slow, bad]}
`

func TestEveryTaskHasAnAnswer(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, srv redistest.Server) {
		store, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		stop := start(t, srv, store, engine.Limits{})
		entry, err := store.Submit(t.Context(), wire.Submission{Definition: definition, ID: "r"})
		if err != nil {
			t.Fatal(err)
		}
		redistest.Until(t, "the submission is answered", func() bool { a, err := store.Answer(t.Context(), entry); return err == nil && a.Run == "r" })
		want := map[string]string{
			"first":      `^succeeded$`,
			"slow":       `^waits for its own tasks, since `,
			"slow[0]":    `^worker w has been at it for .*s, 40 % done \(nearly\)$`,
			"slow[...]":  `^2 items have not been started: at most 1 are under way at once$`,
			"slow[2]":    `^2 items have not been started`,
			"other":      `^(published .* ago in queue default; none of the 1 live workers of this queue has the handler nobody|tries again in .*)`,
			"far":        `^published .* ago in queue gpu; no live worker serves this queue$`,
			"bad":        `^tries again in \d+[hm].*; attempt 1 failed: no \(error\)$`,
			"skipped":    `^skipped: its condition was false$`,
			"after":      `^waits for bad, slow$`,
			"after-none": `not found`,
		}
		for task, pattern := range want {
			var got []explain.Reason
			redistest.Until(t, task+" has its answer", func() bool {
				var err error
				got, err = explain.Run(t.Context(), store, "r", task)
				if err != nil {
					return regexp.MustCompile(pattern).MatchString(err.Error())
				}
				for _, r := range got {
					if regexp.MustCompile(pattern).MatchString(r.Text) {
						return true
					}
				}
				return false
			})
		}
		all, err := explain.Run(t.Context(), store, "r", "")
		if err != nil || len(all) != 7 {
			t.Errorf("reasons are %+v, %v", all, err)
		}
		stop()
		if all, err = explain.Run(t.Context(), store, "r", ""); err != nil || all[0].Text != "no orchestrator is running: nothing is published and no result is taken in" {
			t.Errorf("without an orchestrator: %+v, %v", all, err)
		}
	})
}

// TestWhy_KnowsTheLimitsOfTheInstallation: a run waits for the limit that the
// orchestrators have, not for the usual one.
func TestWhy_KnowsTheLimitsOfTheInstallation(t *testing.T) {
	t.Parallel()
	srv := redistest.Embedded(t)
	store, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	start(t, srv, store, engine.Limits{InFlight: 2})
	if _, err := store.Submit(t.Context(), wire.Submission{Definition: "jobs: {a: {job: wait, iterate: {from: 1, to: 6}}}", ID: "r"}); err != nil {
		t.Fatal(err)
	}
	var got []explain.Reason
	redistest.Until(t, "two items are with the worker", func() bool {
		got, err = explain.Run(t.Context(), store, "r", "")
		n := 0
		for _, r := range got {
			if r.Kind == engine.ForResult {
				n++
			}
		}
		return err == nil && n == 2
	})
	waits := 0
	for _, r := range got {
		if r.Kind == engine.ForPlace {
			waits += r.Tasks
			if want := "the run has its 2 tickets in flight (ORCHIS_RUN_WINDOW)"; !strings.HasSuffix(r.Text, ": "+want) {
				t.Errorf("task %s: %s", r.Task, r.Text)
			}
		}
	}
	if waits != 4 {
		t.Errorf("%d of 4 items wait for the run's tickets: %+v", waits, got)
	}
}

// start starts an orchestrator, which stop ends, and a worker.
func start(t *testing.T, srv redistest.Server, store *redisstore.Store, limits engine.Limits) (stop func()) {
	t.Helper()
	o, err := orchestrator.New(store, orchestrator.Config{
		Definitions: flow.Options{Root: t.TempDir()}, WaitForHandlers: true, Poll: 20 * time.Millisecond, Limits: limits,
	}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	jobs := job.NewRegistry()
	job.Handle(jobs, "work", func(context.Context, map[string]any) (any, error) { return 1, nil })
	job.Handle(jobs, "broken", func(context.Context, map[string]any) (any, error) { return nil, brokenError{} })
	job.Handle(jobs, "wait", func(ctx context.Context, _ map[string]any) (any, error) {
		job.Progress(ctx, 40, "nearly")
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	w, err := worker.New(worker.Config{URL: srv.URL, Name: "w", Slots: 4, Grace: 10 * time.Millisecond, Poll: 20 * time.Millisecond}, jobs)
	if err != nil {
		t.Fatal(err)
	}
	stop = background(t, o.Run)
	background(t, w.Run)
	redistest.Until(t, "the worker is registered", func() bool { all, err := store.Workers(t.Context()); return err == nil && len(all) == 1 })
	return stop
}

type brokenError struct{}

func (brokenError) Error() string { return "no" }

func background(t *testing.T, what func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- what(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}
