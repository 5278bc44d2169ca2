// Package daemon wires the long-running programs together.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/internal/artifact"
	"github.com/orchis-run/orchis/internal/config"
	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/executable"
	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/internal/gcpace"
	"github.com/orchis-run/orchis/internal/handlers"
	"github.com/orchis-run/orchis/internal/orchestrator"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/secret"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

// The exit codes of the daemons.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 5
)

// Version is the version of the build.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}

// Jobs returns the handlers a worker offers: built-ins and the files of jobs/.
func Jobs(s config.Settings) (*job.Registry, error) {
	r := job.NewRegistry()
	memory, err := config.Bytes(s.LimitMemory)
	if err != nil {
		return nil, err
	}
	limits, err := executable.Limits{Memory: memory, CPU: s.LimitCPU, Files: s.LimitFiles}.As(s.ExecUser)
	if err != nil {
		return nil, fmt.Errorf("ORCHIS_EXEC_USER: %w", err)
	}
	handlers.Register(r, handlers.Config{
		Disabled: s.Disabled, AllowPrivate: s.AllowPrivate,
		Files: append([]string{s.Project}, s.Files...), Limits: limits,
	})
	known, err := contracts(s.Project)
	if err != nil {
		return nil, err
	}
	if err := executable.Register(r, filepath.Join(s.Project, "jobs"), limits, known); err != nil {
		return nil, err
	}
	return r, allow(r, s)
}

// contracts reads what the project says of its handlers, in jobs/*.yaml.
func contracts(project string) (map[string]job.Contract, error) {
	l, err := flow.NewLoader(flow.Options{Root: project})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }()
	all, diags := l.FileContracts()
	if err := diags.Err(); err != nil {
		return nil, fmt.Errorf("read the contracts of handlers: %w", err)
	}
	out := make(map[string]job.Contract, len(all))
	for name, c := range all {
		out[name] = job.Contract{Name: name, Description: c.Description, Version: c.Version, Inputs: c.Inputs.Schema(), Outputs: c.Outputs.Schema()}
	}
	return out, nil
}

// allow leaves only the handlers that the settings name. A name that is no
// handler is a mistake that must not go unnoticed.
func allow(r *job.Registry, s config.Settings) error {
	var names []string
	for _, c := range r.Contracts() {
		names = append(names, c.Name)
	}
	known := append(handlers.Names(), names...)
	for setting, given := range map[string][]string{"ORCHIS_HANDLERS": s.Handlers, "ORCHIS_HANDLERS_DISABLED": s.Disabled} {
		for _, name := range given {
			if slices.Contains(known, name) {
				continue
			}
			hint := "this worker has " + strings.Join(names, ", ")
			if near := expr.Nearest(name, known); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			return fmt.Errorf("%s: there is no handler %q: %s", setting, name, hint)
		}
	}
	for _, name := range names {
		if len(s.Handlers) > 0 && !slices.Contains(s.Handlers, name) || slices.Contains(s.Disabled, name) {
			r.Remove(name)
		}
	}
	return nil
}

// NewOrchestrator makes an orchestrator of the settings.
// poll is how long one read waits for something to do; 0 is the default.
func NewOrchestrator(s config.Settings, poll time.Duration, store *redisstore.Store, watch *Watch, log *zap.Logger) (*orchestrator.Orchestrator, error) {
	keys, err := wire.ParseKeys(s.SigningKey)
	if err != nil {
		return nil, fmt.Errorf("ORCHIS_SIGNING_KEY: %w", err)
	}
	budget, err := config.Bytes(s.RetentionBytes)
	if err != nil {
		return nil, fmt.Errorf("ORCHIS_RETENTION_BYTES: %w", err)
	}
	files, err := artifact.Open(s.Artifacts, s.Prefix)
	if err != nil {
		return nil, fmt.Errorf("ORCHIS_ARTIFACTS: %w", err)
	}
	store.SignTickets(keys)
	return watch.orchestrator(s, store, orchestrator.Config{
		Version:   Version(),
		Artifacts: files, ArtifactAge: s.ArtifactAge,
		Definitions: s.Definitions(),
		Lease:       s.Lease, WaitForHandlers: s.UnknownHandlers == "wait",
		RetentionAge: s.RetentionAge, RetentionCount: s.RetentionCount,
		RetentionBytes: budget, Export: s.Export, MemoryHigh: s.MemoryHigh,
		Limits: engine.Limits{Window: s.Window, InFlight: s.RunWindow, MaxInput: s.LargestValue(), MaxResult: s.LargestValue()}, Poll: poll,
	}, log)
}

// NewWorker makes a worker of the settings.
// poll is how long one read waits for tickets; 0 is the default.
func NewWorker(s config.Settings, poll time.Duration, jobs *job.Registry, watch *Watch, log *zap.Logger) (*worker.Worker, error) {
	certificates, err := redisstore.LoadTLS(s.RedisCA, s.RedisCert, s.RedisKey)
	if err != nil {
		return nil, err
	}
	return worker.New(worker.Config{
		URL: s.RedisURL, TLS: certificates, Prefix: s.Prefix, Partitions: s.Partitions, Name: s.WorkerName, Queues: s.Queues, Slots: s.Slots,
		Lease: s.Lease, Grace: s.ShutdownGrace, Poll: poll, MaxResult: s.LargestValue(), Version: Version(), Logger: log, Artifacts: s.Artifacts, AllowPrivate: s.AllowPrivate,
		Observer: watch.worker(s.Slots), Secrets: secret.From(s.SecretsDir), SigningKeys: s.SigningKey, SignedWithin: s.SignedWithin,
	}, jobs)
}

// Main is the main function of both daemons; role is orchestrator or worker.
func Main(role string, args []string) int {
	s, err := config.Load()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	if s.RedisURL == "" {
		s.RedisURL = "redis://localhost:6379"
	}
	address := s.Listen
	if role == "worker" {
		address = s.WorkerListen
	}
	if address == config.Off {
		address = ""
	}
	switch {
	case len(args) == 0:
	case args[0] == "version":
		_, _ = fmt.Fprintln(os.Stdout, role, Version())
		return exitOK
	case args[0] == "healthcheck":
		if address == "" {
			_, _ = fmt.Fprintln(os.Stderr, "health checks are off; ORCHIS_LISTEN or ORCHIS_WORKER_LISTEN says where they are answered")
			return exitUsage
		}
		if err := api.Check(context.Background(), address); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			return exitFailed
		}
		return exitOK
	default:
		_, _ = fmt.Fprintf(os.Stderr, "unknown argument %q: known are healthcheck and version; settings come from the environment\n", args[0])
		return exitUsage
	}
	log, err := s.Logger(isatty.IsTerminal(os.Stderr.Fd()))
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	defer gcpace.Start()()
	return serve(role, s, address, log)
}

func serve(role string, s config.Settings, address string, log *zap.Logger) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	watch, err := NewWatch(ctx, role, log)
	if err != nil {
		log.Error("cannot start", zap.Error(err))
		return exitUsage
	}
	defer watch.Close(ctx)
	store, err := open(ctx, s, watch, log)
	if err != nil {
		advice, _ := redisstore.IsFatal(err)
		log.Error("Redis cannot be reached", zap.Error(err), zap.String("advice", advice))
		return exitUnreachable
	}
	defer func() { _ = store.Close() }()
	if role == "orchestrator" && !healthy(ctx, store, log) {
		return exitUsage
	}
	g, ctx := errgroup.WithContext(ctx)
	work, ready, err := build(ctx, role, s, store, watch, log)
	if err != nil {
		log.Error("cannot start", zap.Error(err))
		return exitUsage
	}
	site, closeSite := api.Health(ready, Version(), watch.Handler()), func() {}
	if role == "orchestrator" {
		if site, closeSite, err = Site(ctx, s, address, ready, watch.Handler(), log); err != nil {
			log.Error("cannot start", zap.Error(err))
			return exitUsage
		}
	}
	defer closeSite()
	health, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	g.Go(func() error { return api.Serve(health, address, site) })
	g.Go(func() error { defer end(); return work(ctx) })
	if err := g.Wait(); err != nil {
		log.Error("stopped", zap.Error(err))
		return exitFailed
	}
	return exitOK
}

// healthy looks at the settings of Redis before an orchestrator begins. What is
// fatal keeps it from starting; what is not is logged with what to do.
func healthy(ctx context.Context, store *redisstore.Store, log *zap.Logger) bool {
	found, err := store.Check(ctx)
	if err != nil {
		log.Warn("the settings of Redis could not be checked", zap.Error(err))
		return true
	}
	good := true
	for _, f := range found {
		fields := []zap.Field{zap.String("what", f.Name), zap.String("found", f.Message), zap.String("advice", f.Fix)}
		switch f.Level {
		case "warning":
			log.Warn("Redis could be set up better", fields...)
		case "fatal":
			log.Error("Redis is not fit for Orchis", fields...)
			good = false
		}
	}
	return good
}

func build(ctx context.Context, role string, s config.Settings, store *redisstore.Store, watch *Watch, log *zap.Logger) (work func(context.Context) error, ready func(context.Context) []string, err error) {
	if role == "orchestrator" {
		o, err := NewOrchestrator(s, 0, store, watch, log)
		if err != nil {
			return nil, nil, err
		}
		return o.Run, o.Ready, nil
	}
	closeOff()
	jobs, err := Jobs(s)
	if err != nil {
		return nil, nil, err
	}
	w, err := NewWorker(s, 0, jobs, watch, log)
	if err != nil {
		return nil, nil, err
	}
	context.AfterFunc(ctx, func() { // a second signal ends the drain
		again := make(chan os.Signal, 1)
		signal.Notify(again, syscall.SIGTERM, os.Interrupt)
		<-again
		w.Kill()
	})
	return patient(w.Run, s.StartTimeout, time.Second, log), w.Ready, nil
}

// patient begins again when Redis, which was there a moment ago, does not let a
// worker start; it tries for as long as programs wait for Redis.
func patient(work func(context.Context) error, most, pause time.Duration, log *zap.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		end := time.Now().Add(most)
		for {
			err := work(ctx)
			if err == nil || !redisstore.IsRetryable(err) || time.Now().After(end) {
				return err
			}
			log.Warn("waiting for Redis", zap.Error(err))
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
		}
	}
}

// open connects to Redis, waiting for it to come up.
func open(ctx context.Context, s config.Settings, watch *Watch, log *zap.Logger) (*redisstore.Store, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.StartTimeout, errors.New("it did not come up in time"))
	defer cancel()
	certificates, err := redisstore.LoadTLS(s.RedisCA, s.RedisCert, s.RedisKey)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for first := true; ; first = false {
		store, err := redisstore.Open(ctx, redisstore.Config{URL: s.RedisURL, TLS: certificates, Prefix: s.Prefix, Partitions: s.Partitions, Name: "orchis", OnError: watch.RedisError})
		if err == nil && s.Partitions > 0 && s.Partitions != store.Partitions() {
			log.Warn(fmt.Sprintf("ORCHIS_PARTITIONS=%d has no effect: this installation was begun with another number", s.Partitions), zap.Int("partitions", store.Partitions()))
		}
		if err == nil || !redisstore.IsRetryable(err) {
			return store, err
		}
		if first {
			log.Warn("waiting for Redis", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
