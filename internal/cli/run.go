package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/orchis-run/orchis/internal/config"
	"github.com/orchis-run/orchis/internal/daemon"
	"github.com/orchis-run/orchis/internal/embedded"
	"github.com/orchis-run/orchis/internal/executable"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/run"
)

func (a *app) runCommand() *cobra.Command {
	var g given
	var workers int
	var how string
	var limit time.Duration
	c := &cobra.Command{
		Use: "run FILE|NAME", Short: "Run a recipe here and now, with workers of its own", Args: cobra.ExactArgs(1),
		Example: "  orchis run recipes/hello.yaml -i name=Ada",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if limit > 0 {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, limit)
				defer stop()
			}
			return a.run(ctx, args[0], g, workers, how)
		},
	}
	c.Long = "Ctrl-C cancels the run; a second one kills what still runs, at once. Without REDIS_URL nothing of the run is kept when it has ended, but for what the job wrote that failed it: in orchis/failed.log of the user's cache, until another run fails."
	c.Flags().StringArrayVarP(&g.pairs, "input", "i", nil, "an input, as name=value; may be given often")
	c.Flags().StringVarP(&g.file, "inputs", "f", "", "a JSON or YAML file with inputs")
	c.Flags().StringToStringVar(&g.labels, "label", nil, "a label of the run, as name=value; may be given often")
	c.Flags().BoolVar(&g.noCache, "no-cache", false, "use no cached results of other runs")
	c.Flags().IntVar(&workers, "workers", 2, "number of workers")
	progressFlag(c, &how)
	c.Flags().DurationVar(&limit, "timeout", 0, "cancel the run after this time")
	c.Flags().BoolVar(&a.approves, "approve", false, "say yes to every approval, to try a recipe")
	return c
}

// projectOf finds the project of a file: the folder above its recipes/ or
// flows/, else the one that is set.
func (a *app) projectOf(name string) {
	abs, err := filepath.Abs(name)
	if err != nil || a.project != "" {
		return
	}
	dir := filepath.Dir(abs)
	if !strings.ContainsAny(name, `/\`) && filepath.Ext(name) == "" {
		return // a name, not a path
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return
	}
	if base := filepath.Base(dir); base == "recipes" || base == "flows" {
		a.settings.Project = filepath.Dir(dir)
		return
	}
	if here, err := filepath.Abs(a.settings.Project); err != nil || !strings.HasPrefix(dir+"/", here+"/") {
		a.settings.Project = dir
	}
}

func (a *app) run(ctx context.Context, name string, g given, workers int, how string) error {
	a.projectOf(name)
	bundle, err := a.load(name)
	if err != nil {
		return err
	}
	inputs, err := a.gather(bundle.RootFlow(), g)
	if err != nil {
		return err
	}
	if err := a.upload(ctx, bundle.RootFlow(), inputs); err != nil {
		return err
	}
	a.settings.Files = []string{"/"} // it is the user's own machine
	a.settings.ArtifactAge = -1      // there is no other run here to ask
	jobs, err := daemon.Jobs(a.settings)
	if err != nil {
		return &exit{exitUsage, err}
	}
	if err := a.served(bundle, jobs); err != nil {
		return err
	}
	request := client.Request{Recipe: bundle.Root, Inputs: inputs, By: who(), NoCache: g.noCache, Labels: g.labels}
	if a.settings.RedisURL == "" {
		server, err := embedded.Start()
		if err != nil {
			return err
		}
		defer server.Close()
		a.settings.RedisURL, a.alone = server.URL(), true
		if how != "quiet" && how != "json" {
			a.tell("embedded Redis, in memory: gone with this command (set REDIS_URL to keep runs)\n")
		}
	}
	return a.locally(ctx, jobs, workers, func(ctx context.Context, _ *daemon.Watch) error {
		return a.with(ctx, func(c *client.Client) error { return a.follow(ctx, c, bundle, request, how) })
	})
}

// served refuses jobs that nobody could do.
func (a *app) served(b *flow.Bundle, jobs *job.Registry) error {
	var lines []string
	for _, use := range b.Handlers() {
		if _, ok := jobs.Lookup(use.Handler); !ok {
			lines = append(lines, fmt.Sprintf("%s: job %q wants the handler %q, which is neither built in nor in %s", use.Flow, use.Job, use.Handler, filepath.Join(a.settings.Project, "jobs")))
		}
	}
	if len(lines) > 0 {
		return &exit{exitInvalid, errors.New(strings.Join(lines, "\n"))}
	}
	return nil
}

// locally runs an orchestrator and workers in this process while do runs.
func (a *app) locally(ctx context.Context, jobs *job.Registry, workers int, do func(context.Context, *daemon.Watch) error) error {
	s := a.settings
	level := s.LogLevel
	if level == "info" {
		s.LogLevel = "warn"
	}
	// These workers are there for one run. What they hold when it has ended, or
	// when nobody wants to wait for it any longer, others can do again.
	s.ShutdownGrace = min(s.ShutdownGrace, 5*time.Second)
	if a.alone {
		s.ShutdownGrace = min(s.ShutdownGrace, 500*time.Millisecond)
	}
	log, err := s.Logger(a.terminal)
	if err != nil {
		return &exit{exitUsage, err}
	}
	certificates, err := redisstore.LoadTLS(s.RedisCA, s.RedisCert, s.RedisKey)
	if err != nil {
		return &exit{exitUsage, err}
	}
	watch, err := daemon.NewWatch(ctx, "dev", log)
	if err != nil {
		return &exit{exitUsage, err}
	}
	defer watch.Close(ctx)
	store, err := redisstore.Open(ctx, redisstore.Config{URL: s.RedisURL, TLS: certificates, Prefix: s.Prefix, Partitions: s.Partitions, Name: "orchis-run", OnError: watch.RedisError})
	if err != nil {
		return &exit{exitUnreachable, err}
	}
	defer func() { _ = store.Close() }()
	hurry, calm := impatience(ctx)
	defer calm()
	alive, stop := context.WithCancel(executable.WithAtOnce(context.WithoutCancel(ctx), hurry))
	defer stop()
	var daemons errgroup.Group
	if err := a.start(alive, hurry, &daemons, s, store, jobs, max(1, workers), watch, log); err != nil {
		return err
	}
	err = do(ctx, watch)
	stop()
	return errors.Join(err, daemons.Wait())
}

// impatience is a context that ends with the second signal that wants the
// command to stop.
func impatience(ctx context.Context) (hurry context.Context, end func()) {
	hurry, end = context.WithCancel(context.WithoutCancel(ctx))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer signal.Stop(signals)
		for range 2 {
			select {
			case <-signals:
			case <-hurry.Done():
				return
			}
		}
		end()
	}()
	return hurry, end
}

// poll is how long reads of a run in this process wait: its end should not be
// waited for.
const poll = 50 * time.Millisecond

// start starts an orchestrator and workers. When hurry ends, workers wait for
// nothing.
func (a *app) start(ctx, hurry context.Context, g *errgroup.Group, s config.Settings, store *redisstore.Store, jobs *job.Registry, workers int, watch *daemon.Watch, log *zap.Logger) error {
	o, err := daemon.NewOrchestrator(s, poll, store, watch, log)
	if err != nil {
		return &exit{exitUsage, err}
	}
	g.Go(func() error { return o.Run(ctx) })
	for n := range workers {
		s.WorkerName = fmt.Sprintf("worker-%d", n+1)
		if !a.alone {
			s.WorkerName = fmt.Sprintf("worker-%d-%d", os.Getpid(), n+1)
		}
		w, err := daemon.NewWorker(s, poll, jobs, watch, log)
		if err != nil {
			return &exit{exitUsage, err}
		}
		context.AfterFunc(hurry, w.Kill)
		g.Go(func() error { return w.Run(ctx) })
	}
	return nil
}

// approveAll says yes to every approval of a run.
func (a *app) approveAll(ctx context.Context, c *client.Client, id string) {
	_ = c.Watch(ctx, id, func(changes []run.Change) error {
		for _, ch := range changes {
			if ch.State != run.TaskWaiting || ch.Wait == nil || ch.Wait.Kind != run.WaitApproval {
				continue
			}
			by := who()
			if len(ch.Wait.By) > 0 {
				by = ch.Wait.By[0]
			}
			var no *client.RejectedError
			if err := c.Approve(ctx, id, ch.Task, by, "--approve", nil); errors.As(err, &no) {
				a.tell("%s: %v\n", ch.Task, err)
			}
		}
		return nil
	})
}

// acceptedLate is how long an interrupted command waits to hear that its run has
// begun.
const acceptedLate = 2 * time.Second

// follow submits, shows the progress and prints the outputs. The first Ctrl-C
// cancels the run, the second ends the command.
func (a *app) follow(ctx context.Context, c *client.Client, b *flow.Bundle, request client.Request, how string) error {
	entry, err := c.Submit(ctx, request)
	if err != nil {
		return err
	}
	id, err := c.Accepted(ctx, entry)
	if err != nil && ctx.Err() != nil { // it may be under way: then it is to be cancelled
		late, end := context.WithTimeout(context.WithoutCancel(ctx), acceptedLate)
		defer end()
		if one, lateErr := c.Accepted(late, entry); lateErr == nil {
			id, err = one, nil
		}
	}
	if err != nil {
		return err
	}
	if a.approves {
		go a.approveAll(ctx, c, id)
	}
	watching, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stop := context.AfterFunc(ctx, func() {
		reason := "interrupted"
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			reason = "the time of --timeout ran out"
		}
		select {
		case a.asides <- "cancelling the run; press Ctrl-C again to stop at once":
		default:
		}
		again, _ := signal.NotifyContext(watching, os.Interrupt)
		context.AfterFunc(again, end)
		_ = c.Cancel(watching, id, who(), reason)
	})
	defer stop()
	if err := a.show(watching, c, id, b, how); err != nil {
		if watching.Err() != nil {
			return &exit{code: exitInterrupted}
		}
		return err
	}
	err = a.conclude(watching, c, id, how)
	var e *exit
	if ctx.Err() == nil || !errors.As(err, &e) || e.code != exitCancelled {
		return err
	}
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return &exit{code: exitTimeout}
	}
	return &exit{code: exitInterrupted}
}
