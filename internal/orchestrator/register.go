package orchestrator

import (
	"context"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/wire"
)

// register keeps the orchestrator's entry in the registry fresh until ctx ends,
// and marks it as stopped then. People who wait for an answer learn from it
// whether an orchestrator is running, and since when none is.
func (o *Orchestrator) register(ctx context.Context) {
	entry := wire.Orchestrator{Name: o.cfg.Name, PID: os.Getpid(), Version: o.cfg.Version}
	if host, err := os.Hostname(); err == nil {
		entry.Host = host
	}
	put := func(ctx context.Context) {
		written, err := o.store.PutOrchestrator(ctx, entry)
		if err == nil {
			entry.Started = written.Started
		} else if ctx.Err() == nil {
			o.log.Debug("the registry of orchestrators cannot be written", zap.Error(err))
		}
	}
	for ctx.Err() == nil {
		put(ctx)
		o.sleep(ctx, wire.OrchestratorRenews)
	}
	entry.Stopped = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	put(ctx)
}
