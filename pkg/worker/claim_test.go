package worker_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

// offer publishes n tickets in a stream, whose tasks have the stream's name.
func (b *bench) offer(stream wire.Stream, handler string, n int) {
	b.t.Helper()
	b.offerAll([]wire.Stream{stream}, handler, n)
}

// offerAll publishes n tickets in each of several streams, all at once.
func (b *bench) offerAll(streams []wire.Stream, handler string, n int) {
	b.t.Helper()
	var all []wire.Ticket
	for _, s := range streams {
		for i := range n {
			fence := fmt.Sprint(s, " ", b.n, "-", i)
			all = append(all, wire.Ticket{Run: "r", Task: s.String(), Queue: s.Queue, Route: s.Handler, Priority: s.Priority, Fence: fence, Handler: handler, Attempt: 1})
		}
	}
	res, err := b.store.Commit(b.t.Context(), 0, []wire.Commit{{Run: "r", Version: b.n, Fields: []string{"state", "running"}, Tickets: all}})
	if err != nil || res[0].Err != nil {
		b.t.Fatal(err, res)
	}
	b.n++
}

// diary notes which tasks a handler did, in order.
type diary struct {
	mu    sync.Mutex
	tasks []string
}

func (d *diary) note(task string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tasks = append(d.tasks, task)
}

func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.tasks...)
}

// handles registers a handler that takes a while and is noted.
func (d *diary) handles(jobs *job.Registry, name string, takes time.Duration) {
	job.Handle(jobs, name, func(ctx context.Context, _ map[string]any) (any, error) {
		d.note(job.Info(ctx).Task)
		if takes > 0 {
			pause := time.NewTimer(takes)
			defer pause.Stop()
			<-pause.C
		}
		return nil, nil
	})
}

func stream(p wire.Priority) wire.Stream { return wire.Stream{Queue: "default", Priority: p} }

// releases counts the tickets that the worker handed back, of all its reports.
func (b *bench) releases(total int) int {
	b.t.Helper()
	n := 0
	for range total {
		if b.event(wire.Started).Type == wire.Released {
			n++
		}
	}
	return n
}

// TestClaim_LanesGetTheirShare: a worker with one slot and tickets in all lanes
// takes 16 high, 4 normal and 1 low ones in turn, and never more than it has
// slots: none is handed back.
func TestClaim_LanesGetTheirShare(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	var d diary
	b := newBench(t, redistest.Real(t), func(c *worker.Config, jobs *job.Registry) {
		c.Slots, c.Lease = 1, time.Minute
		d.handles(jobs, "work", time.Millisecond)
		job.Handle(jobs, "gate", func(context.Context, map[string]any) (any, error) { <-gate; return nil, nil })
	})
	b.offer(stream(wire.Normal), "gate", 1)
	redistest.Until(t, "the slot is taken", func() bool {
		stats, err := b.store.QueueStats(t.Context())
		return err == nil && len(stats) == 1 && stats[0].InFlight == 1
	})
	// While its slot is taken, the worker looks for tickets in its lanes. It asks
	// for what is pending in those that are not empty.
	before := b.calls("xpending")
	b.offerAll(wire.LanesOf("default"), "work", 200)
	redistest.Until(t, "the worker has looked at its lanes", func() bool { return b.calls("xpending") >= before+2 })
	close(gate)
	redistest.Until(t, "84 are done", func() bool { return len(d.all()) >= 84 })
	got := map[string]int{}
	for _, task := range d.all()[:84] {
		got[task]++
	}
	for p, want := range map[wire.Priority]int{wire.High: 64, wire.Normal: 16, wire.Low: 4} {
		if n := got[stream(p).String()]; n < want-3 || n > want+3 {
			t.Errorf("%d of 84 tickets are %s, want about %d", n, p, want)
		}
	}
	if n := b.releases(84); n > 0 {
		t.Errorf("%d tickets were handed back", n)
	}
}

// calls is how often Redis has done a command.
func (b *bench) calls(command string) int64 {
	b.t.Helper()
	for line := range strings.Lines(b.srv.Do(b.t, "INFO", "commandstats")) {
		if rest, is := strings.CutPrefix(line, "cmdstat_"+command+":calls="); is {
			text, _, _ := strings.Cut(rest, ",")
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				b.t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// TestClaim_ANewWorkerTakesNoMoreThanItHasSlots: also the first claim, from many
// streams that all hold tickets, brings no more than the worker can do.
func TestClaim_ANewWorkerTakesNoMoreThanItHasSlots(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	var queues []string
	for i := range 40 {
		queues = append(queues, fmt.Sprint("q", i))
	}
	first := newBench(t, srv, func(c *worker.Config, _ *job.Registry) { c.Name, c.Queues = "other", []string{"other"} })
	if err := first.store.Ensure(t.Context(), queues); err != nil {
		t.Fatal(err)
	}
	first.offerAll(wire.LanesOf(queues...), "work", 2)
	gate := make(chan struct{})
	b := newBench(t, srv, func(c *worker.Config, jobs *job.Registry) {
		c.Slots, c.Queues, c.Lease = 2, queues, time.Minute
		job.Handle(jobs, "work", func(context.Context, map[string]any) (any, error) { <-gate; return nil, nil })
	})
	held := func() (n int) {
		all, err := b.store.PendingTickets(t.Context(), 0, wire.LanesOf(queues...), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	redistest.Until(t, "the slots are taken", func() bool { return held() >= 2 })
	if n := held(); n != 2 {
		t.Errorf("a worker with 2 slots holds %d tickets", n)
	}
	close(gate)
	if n := b.releases(240); n > 0 {
		t.Errorf("%d tickets were handed back", n)
	}
}

// TestClaim_AHighTicketIsNoticedWhileNormalOnesAreClaimed, by far before all of
// these are done.
func TestClaim_AHighTicketIsNoticedWhileNormalOnesAreClaimed(t *testing.T) {
	t.Parallel()
	var d diary
	b := newBench(t, redistest.Real(t), func(c *worker.Config, jobs *job.Registry) {
		c.Slots, c.Lease = 1, time.Minute
		d.handles(jobs, "work", 5*time.Millisecond)
	})
	b.offer(stream(wire.Normal), "work", 400)
	redistest.Until(t, "the worker is at it", func() bool { return len(d.all()) > 5 })
	b.offer(stream(wire.High), "work", 1)
	since := len(d.all())
	redistest.Until(t, "the high one is done", func() bool {
		all := d.all()
		return len(all) == 401 || all[len(all)-1] == stream(wire.High).String()
	})
	for i, task := range d.all() {
		if task == stream(wire.High).String() && i > since+100 {
			t.Errorf("%d normal tickets came first", i-since)
		}
	}
}

// TestClaim_AnIdleWorkerWithManyQueues asks Redis little, and starts a job as
// soon as there is one.
func TestClaim_AnIdleWorkerWithManyQueues(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	var queues []string
	for i := range 600 {
		queues = append(queues, fmt.Sprint("q", i))
	}
	started := make(chan time.Time, 1)
	b := newBench(t, srv, func(c *worker.Config, jobs *job.Registry) {
		c.Slots, c.Queues, c.Poll, c.Lease = 8, queues, time.Second, 10*time.Second
		job.Handle(jobs, "work", func(context.Context, map[string]any) (any, error) { started <- time.Now(); return nil, nil })
	})
	b.offer(wire.Stream{Queue: "q7", Priority: wire.Normal}, "work", 1)
	<-started
	const seconds, tries = 3, 4 // the worker is idle soon after its last ticket, on a busy machine a little later
	n := 0
	for range tries {
		before := b.commands()
		<-time.NewTimer(seconds * time.Second).C
		if n = (b.commands() - before - 1) / seconds; n <= 20 {
			break
		}
	}
	if n > 20 {
		t.Errorf("the idle worker sends %d commands a second", n)
	}
	for i := range 20 {
		at := time.Now()
		b.offer(wire.Stream{Queue: fmt.Sprint("q", 30*i), Priority: wire.Lanes()[i%3]}, "work", 1)
		if took := (<-started).Sub(at); took > 2*time.Second {
			t.Errorf("the job starts after %s", took)
		} else {
			t.Logf("the job starts after %s", took)
		}
	}
}

// commands is how many commands Redis has done.
func (b *bench) commands() int {
	b.t.Helper()
	for line := range strings.Lines(b.srv.Do(b.t, "INFO", "stats")) {
		if rest, is := strings.CutPrefix(strings.TrimSpace(line), "total_commands_processed:"); is {
			n, err := strconv.Atoi(rest)
			if err != nil {
				b.t.Fatal(err)
			}
			return n
		}
	}
	b.t.Fatal("Redis does not say how many commands it has done")
	return 0
}

// TestClaim_AWorkerWhoseReportsAreRefusedStopsClaiming, after a few tickets more
// than it has slots, and goes on when they are taken.
func TestClaim_AWorkerWhoseReportsAreRefusedStopsClaiming(t *testing.T) {
	t.Parallel()
	var begun atomic.Int64
	srv := redistest.Real(t)
	b := newBench(t, srv, func(c *worker.Config, jobs *job.Registry) {
		c.Slots, c.Lease = 2, time.Minute
		job.Handle(jobs, "work", func(context.Context, map[string]any) (any, error) { begun.Add(1); return nil, nil })
	})
	gate := make(chan struct{})
	job.Handle(b.jobs, "gate", func(context.Context, map[string]any) (any, error) { <-gate; return nil, nil })
	b.offer(stream(wire.High), "gate", 2)
	redistest.Until(t, "the slots are taken", func() bool {
		all, err := b.store.PendingTickets(t.Context(), 0, wire.LanesOf("default"), 0, 9)
		return err == nil && len(all) == 2
	})
	b.offer(stream(wire.Normal), "work", 100)
	srv.Do(t, "CONFIG", "SET", "maxmemory", "1") // reports are refused, claims are not
	close(gate)
	redistest.Until(t, "the worker has claimed what it may", func() bool { return begun.Load() >= 8 })
	redistest.Until(t, "reports are refused again and again", func() bool {
		return b.calls("xack") == 0 && strings.Contains(b.srv.Do(t, "INFO", "errorstats"), "errorstat_OOM")
	})
	if n := begun.Load(); n > 8 {
		t.Errorf("%d handlers began while no report was taken", n)
	}
	srv.Do(t, "CONFIG", "SET", "maxmemory", "0")
	redistest.Until(t, "all are done", func() bool { return begun.Load() == 100 })
	for range 102 {
		b.event(wire.Started)
	}
	b.empty()
}

// TestClaim_AtADistanceASlotCostsOneRoundTrip: 24 slots and a round trip of
// 50 ms do 480 jobs of no length in about 20 round trips.
func TestClaim_AtADistanceASlotCostsOneRoundTrip(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	link := redistest.NewLink(t, srv, "far")
	var begun atomic.Int64
	var first atomic.Pointer[time.Time]
	all := make(chan struct{})
	const slots, tickets, trip = 24, 480, 50 * time.Millisecond
	b := newBench(t, srv, func(c *worker.Config, jobs *job.Registry) {
		c.URL, c.Slots, c.Lease, c.Poll = link.URL, slots, time.Minute, time.Second
		job.Handle(jobs, "work", func(context.Context, map[string]any) (any, error) {
			now := time.Now()
			first.CompareAndSwap(nil, &now)
			if begun.Add(1) == tickets {
				close(all)
			}
			return nil, nil
		})
	})
	redistest.Until(t, "the worker waits for tickets", func() bool { return strings.Contains(b.srv.Do(t, "CLIENT", "LIST"), "cmd=xreadgroup") })
	link.Slow(trip / 2)
	b.offer(stream(wire.Normal), "work", tickets)
	<-all
	took := time.Since(*first.Load())
	ideal := (tickets/slots - 1) * trip
	t.Logf("%d jobs on %d slots took %s, the ideal is %s", tickets, slots, took, ideal)
	if took > 4*ideal {
		t.Errorf("%d jobs on %d slots took %s, the ideal is %s", tickets, slots, took, ideal)
	}
}
