package worker

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// watchPauses keeps in mind which queues are paused.
func (w *Worker) watchPauses(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, w.cfg.Poll)
		w.lookForPauses(ctx)
	}
}

// lookForPauses asks which queues are paused. Without an answer what was known
// stays.
func (w *Worker) lookForPauses(ctx context.Context) {
	now, err := w.store.PausedQueues(ctx)
	if err != nil {
		if ctx.Err() == nil {
			w.log.Debug("it is not known which queues are paused", zap.Error(err))
		}
		return
	}
	paused := make(map[string]bool, len(now))
	for queue := range now {
		paused[queue] = true
	}
	w.mu.Lock()
	w.paused = paused
	w.mu.Unlock()
	open := slices.DeleteFunc(slices.Clone(w.cfg.Queues), func(q string) bool { return paused[q] })
	w.served.set(wire.LanesOf(open...))
}

// handBack is the report that a ticket was not worked at.
func (a *attempt) handBack(code, message string) *wire.Event {
	ev := a.event(wire.Released)
	ev.Error = &run.Error{Code: code, Message: message}
	return &ev
}

func (w *Worker) isPaused(queue string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.paused[queue]
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
