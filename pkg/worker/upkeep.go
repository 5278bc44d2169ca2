package worker

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/wire"
)

// heartbeats says every third of a lease that the tickets in hand are in work.
func (w *Worker) heartbeats(ctx context.Context) {
	tick := time.NewTicker(w.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.heartbeat(ctx)
		}
	}
}

// heartbeat sends one for each partition, so that a node of a Cluster that is
// gone takes no work away that belongs to the others.
func (w *Worker) heartbeat(ctx context.Context) {
	hands := map[int][]*attempt{}
	for _, a := range w.inHand() {
		hands[a.ticket.Partition] = append(hands[a.ticket.Partition], a)
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Lease/3)
	defer cancel()
	var all sync.WaitGroup
	for _, hand := range hands {
		all.Go(func() { w.heartbeatOf(ctx, hand) })
	}
	all.Wait()
}

func (w *Worker) heartbeatOf(ctx context.Context, hand []*attempt) {
	var tickets []wire.Ticket
	for _, a := range hand {
		tickets = append(tickets, a.ticket)
	}
	sent := time.Now()
	kept, err := w.store.Heartbeat(ctx, w.cfg.Name, tickets)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range hand {
		switch {
		case err == nil && slices.ContainsFunc(kept, func(t wire.Ticket) bool {
			return t.ID == a.ticket.ID && t.Run == a.ticket.Run && t.Fence == a.ticket.Fence
		}):
			a.heard = sent
		case err == nil:
			a.cancel(ErrRevoked) // mutant: revoked-ticket-cancels (skip)
		case time.Since(a.heard) > w.cfg.Lease*8/10-w.cfg.Lease/3:
			a.cancel(ErrLeaseLost) // mutant: lost-lease-cancels (skip)
		}
	}
}

// registerEvery is how often the worker's entry in the registry is renewed, and
// changedEvery how soon when what it says has changed.
const (
	registerEvery = 3 * time.Second
	changedEvery  = time.Second
)

// register keeps the worker's entry in the registry fresh.
func (w *Worker) register(ctx context.Context) {
	tick := time.NewTicker(changedEvery)
	defer tick.Stop()
	var said string
	var at time.Time
	for {
		var now wire.Worker
		w.mu.Lock()
		now.Busy, now.Draining, now.Paused = w.running, w.draining, slices.Sorted(maps.Keys(w.paused))
		w.mu.Unlock()
		state := fmt.Sprint(now.Busy, now.Draining, now.Paused)
		if state != said || time.Since(at) > registerEvery-changedEvery/2 {
			err := w.store.PutWorker(ctx, w.entry(now))
			if err == nil {
				said, at = state, time.Now()
			} else if ctx.Err() == nil {
				w.log.Debug("the registry cannot be written", zap.Error(err))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// entry adds to what changes what does not.
func (w *Worker) entry(e wire.Worker) wire.Worker {
	e.Name, e.PID, e.Version, e.Slots = w.cfg.Name, os.Getpid(), w.cfg.Version, w.cfg.Slots
	e.Queues, e.Started = w.cfg.Queues, w.started.UnixMilli()
	e.Host, _ = os.Hostname()
	for _, c := range w.jobs.Contracts() {
		e.Handlers = append(e.Handlers, wire.HandlerInfo{Name: c.Name, Description: c.Description, Version: c.Version, Inputs: c.Inputs, Outputs: c.Outputs})
	}
	return e
}
