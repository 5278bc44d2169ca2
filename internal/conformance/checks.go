package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-cmp/cmp"

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

func echo(ctx context.Context, k *kit) error {
	want := map[string]any{
		"text": "Grüße, 世界 \"quoted\" \\ \u0001", "number": 1.5, "whole": 9007199254740991, "negative": -3, "yes": true, "no": false,
		"nothing": nil, "list": []any{1, "two", []any{}}, "map": map[string]any{"a": map[string]any{}}, "empty": "",
	}
	ev, err := k.end(ctx, "echo", want, nil)
	if err != nil {
		return err
	}
	if ev.Type != wire.Succeeded {
		return fmt.Errorf("it reports %s: %s", ev.Type, told(ev))
	}
	raw, err := json.Marshal(want)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(plain(raw), plain(ev.Result)); diff != "" {
		return fmt.Errorf("the result is not what went in (-in +out):\n%s", diff)
	}
	if ev.Started == 0 {
		return errors.New("the report does not say when the work began (started)")
	}
	return nil
}

func plain(raw []byte) any {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err.Error()
	}
	return v
}

func fail(ctx context.Context, k *kit) error {
	ev, err := k.end(ctx, "fail", map[string]any{"code": "busy", "message": "not now", "permanent": true}, nil)
	switch {
	case err != nil:
		return err
	case ev.Type != wire.Failed || ev.Error == nil:
		return fmt.Errorf("it reports %s", ev.Type)
	case ev.Error.Code != "busy" || !strings.Contains(ev.Error.Message, "not now") || !ev.Permanent:
		return fmt.Errorf("it reports %q, %q, permanent %v; want busy, not now, true", ev.Error.Code, ev.Error.Message, ev.Permanent)
	}
	return nil
}

func unknownHandler(ctx context.Context, k *kit) error {
	ev, err := k.end(ctx, "unknown", map[string]any{}, nil)
	switch {
	case err != nil:
		return err
	case ev.Type != wire.Released || ev.Error == nil || ev.Error.Code != "handler":
		return fmt.Errorf("it reports %s (%s); want released with the code handler", ev.Type, told(ev))
	}
	return nil
}

func version(ctx context.Context, k *kit) error {
	t, err := k.publishRaw(ctx, "9")
	if err != nil {
		return err
	}
	if ev, err := k.await(ctx, t, Lease, nil); err == nil {
		return fmt.Errorf("it reports %s for a ticket of version 9", ev.Type)
	}
	return k.cleared(ctx, t)
}

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
		silent, err := k.store.PendingTickets(ctx, t.Partition, queue, wire.Normal, Lease, 10)
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
		held, err := k.store.PendingTickets(ctx, t.Partition, t.Queue, t.Priority, 0, 100)
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
