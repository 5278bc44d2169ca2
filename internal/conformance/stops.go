package conformance

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/orchis-run/orchis/internal/wire"
)

func paused(ctx context.Context, k *kit) error {
	if err := k.store.PauseQueue(ctx, queue, wire.Paused{By: "conformance"}); err != nil {
		return err
	}
	if err := pause(ctx, 2500*time.Millisecond); err != nil {
		return err
	}
	t, err := k.publish(ctx, "echo", map[string]any{}, nil)
	if err != nil {
		return err
	}
	ev, early := k.await(ctx, t, Lease, nil)
	if err := k.store.ResumeQueue(ctx, queue); err != nil {
		return err
	}
	if early == nil {
		return fmt.Errorf("it reports %s although the queue is paused", ev.Type)
	}
	_, err = k.ended(ctx, t)
	return err
}

func drained(ctx context.Context, k *kit) error {
	t, err := k.publish(ctx, "sleep", map[string]any{"ms": 1000}, nil)
	if err != nil {
		return err
	}
	if err := k.taken(ctx, t); err != nil {
		return err
	}
	if err := k.proc.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	ev, err := k.ended(ctx, t)
	if err != nil {
		return err
	}
	if ev.Type != wire.Succeeded {
		return fmt.Errorf("the job in hand is reported as %s; it had time to end", ev.Type)
	}
	select {
	case err := <-k.exited:
		if err != nil {
			return fmt.Errorf("it ends with %w, want exit code 0", err)
		}
	case <-time.After(2 * patience):
		return fmt.Errorf("it does not end within %s of SIGTERM", 2*patience)
	}
	all, err := k.store.Workers(ctx)
	for _, w := range all {
		if w.Name == name {
			return errors.New("its entry is still among the workers")
		}
	}
	return err
}

func restarted(ctx context.Context, k *kit) error {
	t, err := k.publish(ctx, "sleep", map[string]any{"ms": 60_000}, nil)
	if err != nil {
		return err
	}
	if err := k.taken(ctx, t); err != nil {
		return err
	}
	k.kill()
	if err := k.start(); err != nil {
		return err
	}
	ev, err := k.ended(ctx, t)
	if err != nil {
		return fmt.Errorf("of the ticket it held when it was killed: %w", err)
	}
	if ev.Type != wire.Lost {
		return fmt.Errorf("it reports %s for the ticket it held when it was killed; want lost", ev.Type)
	}
	return nil
}
