package conformance

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/orchis-run/orchis/internal/wire"
)

type check struct {
	name, why string
	do        func(ctx context.Context, k *kit) error
}

func checks() []check {
	return []check{
		{"register", "orchestrators refuse runs whose handlers no worker names", register},
		{"echo", "inputs and results are JSON of every kind, and arrive as they were sent", echo},
		{"handler-version", "a cached result is used again only for the version of the handler that made it", handlerVersion},
		{"fail", "an error has a code that retry rules match on", fail},
		{"unknown-handler", "a worker that cannot do a job hands it back", unknownHandler},
		{"version", "a ticket of a version that is not known is not worked on", version},
		{"timeout", "an attempt that takes too long is stopped and fails with timeout", timeout},
		{"heartbeat", "a job that takes longer than a lease stays with its worker", heartbeat},
		{"cancel", "work on a ticket that was taken back stops, and reports nothing", cancelled},
		{"fence", "of two publications of a task each is reported as itself", fence},
		{"duplicate", "a ticket that stands there twice leaves nothing behind", duplicate},
		{"lanes", "tickets of the high lane come first", lanes},
		{"large", "large inputs and results stand in keys of their own", large},
		{"pause", "nothing is taken from a queue that is paused", paused},
		{"drain", "SIGTERM: no more tickets, what is in hand ends, exit code 0", drained},
		{"restart", "what a worker held when it was killed is reported lost", restarted},
	}
}

func register(ctx context.Context, k *kit) error {
	until := time.Now().Add(2 * patience)
	for {
		all, err := k.store.Workers(ctx)
		if err != nil {
			return err
		}
		for _, w := range all {
			if w.Name == name {
				return registered(w)
			}
		}
		select {
		case <-k.exited:
			return fmt.Errorf("the command ended before it did anything: %s%s", k.proc.ProcessState, k.tail.last())
		default:
		}
		if time.Now().After(until) {
			return fmt.Errorf("there is no entry %q in the hash of workers after %s", name, 2*patience)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func registered(w wire.Worker) error {
	for _, want := range []string{"echo", "fail", "sleep", "large"} {
		found := false
		for _, h := range w.Handlers {
			found = found || h.Name == "conformance."+want
		}
		if !found {
			return fmt.Errorf("its entry does not name the handler conformance.%s", want)
		}
	}
	if !slices.Contains(w.Queues, queue) || w.Slots != slots || w.Seen == 0 {
		return fmt.Errorf("its entry has queues %v, slots %d, seen %d; want %s, %d and the time of Redis", w.Queues, w.Slots, w.Seen, queue, slots)
	}
	return nil
}

// told is the error of a report, in words.
func told(ev wire.Event) string {
	if ev.Error == nil {
		return "without an error"
	}
	return ev.Error.Error()
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
