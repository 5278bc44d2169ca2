// Package conformance proves that a worker written in any language keeps the
// protocol: it plays the orchestrator and looks at what the worker does.
package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/wire"
)

const (
	queue = "conformance"
	name  = "conformance-worker"
	// Lease is that of the worker under test; short, so that checks are.
	Lease = 2 * time.Second
	slots = 2
	// patience is how long something may take that should be quick.
	patience = 10 * time.Second
)

// Result is what became of a check.
type Result struct {
	Check string `json:"check"`
	// Why says what the check is good for.
	Why   string `json:"why"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// Config says what is tested, and where.
type Config struct {
	URL     string
	Prefix  string
	Command []string
	Log     io.Writer // of the worker
	// Only runs the checks with these names; all when it is empty.
	Only []string
}

// kit is a worker under test.
type kit struct {
	cfg    Config
	store  *redisstore.Store
	proc   *exec.Cmd
	exited chan error
	tail   *tail // of what the worker prints
	runs   int
	events []wire.Event // not asked for yet
}

// Run tests a worker and calls tell with each result.
func Run(ctx context.Context, cfg Config, tell func(Result)) error {
	store, err := redisstore.Open(ctx, redisstore.Config{URL: cfg.URL, Prefix: cfg.Prefix, Name: "orchis-conformance"})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	if err := store.Ensure(ctx, []string{queue}); err != nil {
		return err
	}
	k := &kit{cfg: cfg, store: store}
	defer k.kill()
	if err := k.start(); err != nil {
		return err
	}
	for _, c := range checks() {
		if len(cfg.Only) > 0 && !slices.Contains(cfg.Only, c.name) && c.name != "register" {
			continue
		}
		r := Result{Check: c.name, Why: c.why}
		if err := c.do(ctx, k); err != nil {
			r.Error = err.Error()
		} else {
			r.OK = true
		}
		tell(r)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if c.name == "register" && !r.OK {
			return errors.New("the worker does not register: nothing else can be tested")
		}
		if err := k.again(); err != nil {
			return err
		}
	}
	return nil
}

// start starts the worker.
func (k *kit) start() error {
	k.proc = exec.Command(k.cfg.Command[0], k.cfg.Command[1:]...) //nolint:noctx // it is stopped by signals, as workers are
	k.proc.Env = append(os.Environ(), "REDIS_URL="+k.cfg.URL, "ORCHIS_PREFIX="+k.cfg.Prefix, "ORCHIS_QUEUES="+queue,
		fmt.Sprintf("ORCHIS_SLOTS=%d", slots), "ORCHIS_LEASE="+Lease.String(), "ORCHIS_GRACE=5s", "ORCHIS_WORKER_NAME="+name)
	k.tail = &tail{to: k.cfg.Log}
	k.proc.Stdout, k.proc.Stderr = k.tail, k.tail
	k.proc.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := k.proc.Start(); err != nil {
		return fmt.Errorf("start the worker: %w", err)
	}
	exited := make(chan error, 1)
	proc := k.proc
	go func() { exited <- proc.Wait(); close(exited) }()
	k.exited = exited
	return nil
}

// again starts the worker anew when a check has ended it, or has left it busy.
func (k *kit) again() error {
	select {
	case <-k.exited:
		return k.start()
	default:
		return nil
	}
}

func (k *kit) kill() {
	if k.proc != nil && k.proc.Process != nil {
		_ = syscall.Kill(-k.proc.Process.Pid, syscall.SIGKILL)
		<-k.exited
	}
}

// publish offers a ticket, as an orchestrator does.
func (k *kit) publish(ctx context.Context, handler string, inputs any, change func(*wire.Ticket)) (wire.Ticket, error) {
	raw, err := json.Marshal(inputs)
	if err != nil {
		return wire.Ticket{}, err
	}
	k.runs++
	t := wire.Ticket{
		Queue: queue, Priority: wire.Normal, Run: fmt.Sprintf("%s-%d-%d", name, os.Getpid(), k.runs), Task: "job", Fence: fmt.Sprintf("fence%d", k.runs),
		Attempt: 1, Handler: "conformance." + handler, Inputs: raw, Recipe: "conformance", PublishedMs: time.Now().UnixMilli(),
	}
	if change != nil {
		change(&t)
	}
	p := k.store.PartitionOf(t.Run)
	res, err := k.store.Commit(ctx, p, []wire.Commit{{Run: t.Run, Fields: []string{"state", "running"}, Tickets: []wire.Ticket{t}}})
	if err != nil {
		return t, err
	}
	t.Partition, t.ID = p, res[0].TicketIDs[0]
	return t, nil
}

// publishRaw offers a ticket of another version of the protocol.
func (k *kit) publishRaw(ctx context.Context, version string) (wire.Ticket, error) {
	k.runs++
	t := wire.Ticket{Queue: queue, Priority: wire.Normal, Run: fmt.Sprintf("%s-%d-%d", name, os.Getpid(), k.runs), Task: "job", Fence: "x", Attempt: 1, Handler: "conformance.echo"}
	t.Partition = k.store.PartitionOf(t.Run)
	id, err := k.store.AddTicket(ctx, t.Partition, queue, []any{"v", version, "ticket", t.Append(nil, false)})
	t.ID = id
	return t, err
}

// revoke takes a ticket back.
func (k *kit) revoke(ctx context.Context, t wire.Ticket) error {
	return k.store.DropTickets(ctx, t.Partition, []wire.TicketRef{{Stream: t.Stream(), ID: t.ID}})
}

// await waits for an event of a ticket that ends its attempt; others are passed
// to also.
func (k *kit) await(ctx context.Context, t wire.Ticket, limit time.Duration, also func(wire.Event)) (wire.Event, error) {
	until := time.Now().Add(limit)
	for {
		for i, ev := range k.events {
			if ev.Run != t.Run {
				continue
			}
			k.events = append(k.events[:i:i], k.events[i+1:]...)
			if ev.Type == wire.Started || ev.Type == wire.Progress {
				if also != nil {
					also(ev)
				}
				return k.await(ctx, t, time.Until(until), also)
			}
			return ev, nil
		}
		if time.Now().After(until) || ctx.Err() != nil {
			return wire.Event{}, fmt.Errorf("there is no event of %s within %s", t.Handler, limit.Round(time.Second))
		}
		got, err := k.store.ReadEvents(ctx, t.Partition, "conformance", 100, 100*time.Millisecond)
		if err != nil {
			return wire.Event{}, err
		}
		for _, ev := range got {
			if err := k.store.AckEvents(ctx, t.Partition, []string{ev.Entry.ID}); err != nil {
				return ev, err
			}
		}
		k.events = append(k.events, got...)
	}
}

// end publishes a ticket and waits for its end, of which it checks what all
// reports must have.
func (k *kit) end(ctx context.Context, handler string, inputs any, change func(*wire.Ticket)) (wire.Event, error) {
	t, err := k.publish(ctx, handler, inputs, change)
	if err != nil {
		return wire.Event{}, err
	}
	return k.ended(ctx, t)
}

func (k *kit) ended(ctx context.Context, t wire.Ticket) (wire.Event, error) {
	ev, err := k.await(ctx, t, patience, nil)
	if err != nil {
		return ev, err
	}
	switch {
	case ev.Fence != t.Fence:
		return ev, fmt.Errorf("the report has fence %q, the ticket %q", ev.Fence, t.Fence)
	case ev.Task != t.Task:
		return ev, fmt.Errorf("the report has task %q, the ticket %q", ev.Task, t.Task)
	case ev.Worker != name:
		return ev, fmt.Errorf("the report has worker %q, the name is %q", ev.Worker, name)
	case ev.At == 0:
		return ev, errors.New("the report does not say when (at)")
	}
	return ev, k.cleared(ctx, t)
}

// cleared wants the ticket acknowledged and deleted with its report.
func (k *kit) cleared(ctx context.Context, t wire.Ticket) error {
	_, err := k.store.Ticket(ctx, t.Partition, wire.TicketRef{Stream: t.Stream(), ID: t.ID})
	switch {
	case errors.Is(err, wire.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return errors.New("the ticket is still there after its report: XADD, XACK and XDEL belong into one transaction")
}
