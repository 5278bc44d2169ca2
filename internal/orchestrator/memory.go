package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/resume"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
)

// load returns a run from memory or from Redis.
func (pt *partition) load(ctx context.Context, id string) (*live, error) {
	if l := pt.runs[id]; l != nil {
		return l, nil
	}
	if l := pt.o.takeOver(ctx, pt.p, id); l != nil {
		pt.runs[id] = l
		pt.size += l.size
		return l, nil
	}
	stored, err := pt.o.store.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	snap, err := resume.Snapshot(id, pt.p, stored)
	if err != nil {
		return nil, err
	}
	rec := snap.Run
	program, err := pt.program(ctx, rec.Definition)
	if err != nil {
		return nil, err
	}
	r, err := engine.Restore(program, snap)
	if err != nil {
		return nil, err
	}
	l := &live{run: r, version: rec.Version, before: rec, tickets: map[string]wire.TicketRef{}, size: r.Size()}
	pt.runs[id] = l
	pt.size += l.size
	return l, nil
}

func (pt *partition) program(ctx context.Context, digest string) (*engine.Program, error) {
	if p := pt.programs[digest]; p != nil {
		return p, nil
	}
	raw, err := pt.o.store.Definition(ctx, pt.p, digest)
	// mutant: missing-definition-is-error (false)
	if errors.Is(err, wire.ErrNotFound) { // the run is there, which is another thing
		return nil, fmt.Errorf("definition %s is gone", digest)
	}
	if err != nil {
		return nil, fmt.Errorf("definition %s: %w", digest, err)
	}
	b, err := flow.DecodeBundle(raw)
	if err != nil {
		return nil, err
	}
	p, err := engine.Compile(b, pt.o.cfg.Limits)
	if err != nil {
		return nil, err
	}
	if len(pt.programs) > 500 {
		clear(pt.programs)
	}
	pt.programs[digest] = p
	return p, nil
}

func (pt *partition) forget(id string) {
	if l := pt.runs[id]; l != nil {
		pt.size -= l.size
		delete(pt.runs, id)
	}
}

// shrink drops runs from memory when there are too many; any may go, since
// they can be loaded again.
func (pt *partition) shrink() {
	for id := range pt.runs {
		if pt.size <= cacheTasks {
			return
		}
		pt.forget(id)
	}
}

// fresh reports whether the run in memory is the one in Redis. Events that have
// no effect may be thrown away only then: one that knows of a publication
// existed after it, so a run that is current knows of it too. A run that is not
// current is forgotten. (Events that have effects need no such check: their
// commit has one.)
func (pt *partition) fresh(ctx context.Context, id string, l *live) (bool, error) {
	version, err := pt.o.store.Version(ctx, id)
	if err != nil || version == l.version { // mutant: stale-cache-keeps-report (true)
		return err == nil, err
	}
	pt.forget(id)
	return false, nil
}

// nursery holds runs that were just created here, until their first event. Those
// for which there is no room are loaded when it comes.
type nursery struct {
	runs map[string]*live
	size int // tasks
	// coming are those that are being created: a report may be faster than the
	// answer to the commit. Each channel is closed when it is known what became
	// of the run.
	coming map[string]chan struct{}
}

// nursery returns that of a partition; the caller holds the lock.
func (o *Orchestrator) nursery(p int) *nursery {
	n := o.newborn[p]
	if n == nil {
		n = &nursery{runs: map[string]*live{}, coming: map[string]chan struct{}{}}
		if o.newborn == nil {
			o.newborn = map[int]*nursery{}
		}
		o.newborn[p] = n
	}
	return n
}

// expect says that runs are being created. What it returns is called when they
// are, or are not.
func (o *Orchestrator) expect(p int, born []*birth) (known func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, end := o.nursery(p), make(chan struct{})
	for _, b := range born {
		n.coming[b.id] = end
	}
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, b := range born {
			if n.coming[b.id] == end {
				delete(n.coming, b.id)
			}
		}
		close(end)
	}
}

// handOver leaves a run that was just created to the partition that drives it,
// if that is ours, so that it need not be loaded.
func (o *Orchestrator) handOver(b *birth, tickets []string) {
	l := &live{run: b.run, version: 1, before: b.fx.Run, tickets: map[string]wire.TicketRef{}, size: b.run.Size(), active: b.commit.Active}
	for i := range b.commit.Tickets {
		t := &b.commit.Tickets[i]
		l.tickets[t.Fence] = wire.TicketRef{Stream: t.Stream(), ID: tickets[i]}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.nursery(b.p)
	if !o.owned[b.p] || b.run.Final() || n.size+l.size > cacheTasks {
		return
	}
	n.runs[b.id] = l
	n.size += l.size
}

// birthWait is how long a partition waits for a run that is being created with
// others; then it is loaded, since a report of it says that it is there.
const birthWait = 100 * time.Millisecond

// takeOver returns a run that was handed over; nil when there is none. It waits
// a little for one that is being created.
func (o *Orchestrator) takeOver(ctx context.Context, p int, id string) *live {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.newborn[p]
	if n == nil {
		return nil
	}
	if end := n.coming[id]; end != nil {
		o.mu.Unlock()
		late := time.NewTimer(birthWait)
		select {
		case <-end:
		case <-late.C:
		case <-ctx.Done():
		}
		late.Stop()
		o.mu.Lock()
	}
	if n.runs[id] == nil {
		return nil
	}
	l := n.runs[id]
	delete(n.runs, id)
	n.size -= l.size
	return l
}

// forgetNewborn drops the runs that were handed over.
func (o *Orchestrator) forgetNewborn(p int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.newborn, p)
}
