package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/wire"
)

func timeout(ctx context.Context, k *kit) error {
	began := time.Now()
	ev, err := k.end(ctx, "sleep", map[string]any{"ms": 60_000}, func(t *wire.Ticket) { t.TimeoutMs = 500 })
	switch {
	case err != nil:
		return err
	case ev.Type != wire.Failed || ev.Error == nil || ev.Error.Code != "timeout":
		return fmt.Errorf("it reports %s (%s); want failed with the code timeout", ev.Type, told(ev))
	case time.Since(began) < 400*time.Millisecond:
		return errors.New("it gave up before the timeout")
	}
	return nil
}

func heartbeat(ctx context.Context, k *kit) error {
	t, err := k.publish(ctx, "sleep", map[string]any{"ms": (3 * Lease).Milliseconds()}, nil)
	if err != nil {
		return err
	}
	until := time.Now().Add(3*Lease + patience)
	began := false
	for time.Now().Before(until) {
		ev, err := k.await(ctx, t, 200*time.Millisecond, func(wire.Event) { began = true })
		if err == nil {
			if !began {
				return errors.New("it never reported started, although the job took longer than 200 ms")
			}
			if ev.Type != wire.Succeeded {
				return fmt.Errorf("it reports %s: %s", ev.Type, told(ev))
			}
			return k.cleared(ctx, t)
		}
		silent, err := k.store.PendingTickets(ctx, t.Partition, wire.LanesOf(queue), Lease, 10)
		if err != nil {
			return err
		}
		if len(silent) > 0 {
			return fmt.Errorf("its ticket was silent for %s, a lease is %s: send XCLAIM ... JUSTID every third of one", silent[0].Idle, Lease)
		}
	}
	return errors.New("the job did not end")
}

func cancelled(ctx context.Context, k *kit) error {
	t, err := k.publish(ctx, "sleep", map[string]any{"ms": 60_000}, nil)
	if err != nil {
		return err
	}
	if err := k.taken(ctx, t); err != nil {
		return err
	}
	if err := k.revoke(ctx, t); err != nil {
		return err
	}
	if ev, err := k.await(ctx, t, Lease, nil); err == nil {
		return fmt.Errorf("it reports %s for a ticket that was taken back", ev.Type)
	}
	// Both of its slots must be free again.
	for range slots {
		if _, err := k.end(ctx, "sleep", map[string]any{"ms": 1}, nil); err != nil {
			return fmt.Errorf("after the cancel: %w", err)
		}
	}
	one, err := k.publish(ctx, "sleep", map[string]any{"ms": 1500}, nil)
	if err != nil {
		return err
	}
	if _, err := k.end(ctx, "sleep", map[string]any{"ms": 1}, nil); err != nil {
		return fmt.Errorf("the slot of the job that was cancelled is still taken: %w", err)
	}
	_, err = k.ended(ctx, one)
	return err
}

// taken waits until a worker has a ticket.
func (k *kit) taken(ctx context.Context, t wire.Ticket) error {
	until := time.Now().Add(patience)
	for time.Now().Before(until) {
		held, err := k.store.PendingTickets(ctx, t.Partition, []wire.Stream{t.Stream()}, 0, 100)
		if err != nil {
			return err
		}
		for _, p := range held {
			if p.ID == t.ID {
				return nil
			}
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("nobody took the ticket within %s", patience)
}

// lanes keeps both slots busy, offers tickets in the wrong order, and looks at
// the order in which they end.
func lanes(ctx context.Context, k *kit) error {
	var busy []wire.Ticket
	for range slots {
		t, err := k.publish(ctx, "sleep", map[string]any{"ms": 1200}, nil)
		if err != nil {
			return err
		}
		if err := k.taken(ctx, t); err != nil {
			return err
		}
		busy = append(busy, t)
	}
	var all []wire.Ticket
	for _, lane := range []wire.Priority{wire.Low, wire.Low, wire.Low, wire.High, wire.High, wire.High} {
		t, err := k.publish(ctx, "sleep", map[string]any{"ms": 100}, func(t *wire.Ticket) { t.Priority = lane })
		if err != nil {
			return err
		}
		all = append(all, t)
	}
	for _, t := range busy {
		if _, err := k.ended(ctx, t); err != nil {
			return err
		}
	}
	// When the last of the high lane has ended, some of the low one must wait.
	for _, t := range all[3:] {
		if _, err := k.ended(ctx, t); err != nil {
			return err
		}
	}
	early := 0
	for _, t := range all[:3] {
		for _, ev := range k.events {
			if ev.Run == t.Run && ev.Type == wire.Succeeded {
				early++
			}
		}
	}
	for _, t := range all[:3] {
		if _, err := k.ended(ctx, t); err != nil {
			return err
		}
	}
	if early > 1 {
		return fmt.Errorf("%d of 3 tickets of the low lane had ended when those of the high lane had", early)
	}
	return nil
}

func large(ctx context.Context, k *kit) error {
	text := strings.Repeat("large inputs ", 30_000)
	ev, err := k.end(ctx, "echo", map[string]any{"text": text}, nil)
	if err != nil {
		return err
	}
	var out struct{ Text string }
	if err := json.Unmarshal(ev.Result, &out); err != nil || ev.Type != wire.Succeeded || out.Text != text {
		return fmt.Errorf("of inputs of %d bytes it reports %s with %d bytes (%s)", len(text), ev.Type, len(ev.Result), told(ev))
	}
	ev, err = k.end(ctx, "large", map[string]any{"size": 200_000}, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(ev.Result, &out); err != nil || len(out.Text) != 200_000 {
		return fmt.Errorf("a result of 200,000 bytes arrives with %d (%v, %s)", len(out.Text), ev.Type, told(ev))
	}
	return nil
}
