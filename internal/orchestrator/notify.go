package orchestrator

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/wire"
)

// mostNotices is how many messages may wait to be sent. More are dropped, as
// when Redis is away: a client that gets no message finds out by itself.
const mostNotices = 10_000

// notices are messages to clients that wait to be sent. While one batch is on
// its way, the next one gathers.
type notices struct {
	mu      sync.Mutex
	waiting map[string][]wire.Message // by inbox
	count   int
	sending bool // Invariant: waiting is empty unless sending
	all     sync.WaitGroup
}

// notify tells a client something, without waiting for Redis. It does nothing
// for runs whose submitter does not wait: their inbox is empty.
func (o *Orchestrator) notify(ctx context.Context, inbox string, m wire.Message) {
	if !wire.IsInbox(inbox) {
		return
	}
	if !o.concurrent {
		o.send(ctx, map[string][]wire.Message{inbox: {m}})
		return
	}
	n := &o.notices
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.count >= mostNotices {
		return
	}
	if n.waiting == nil {
		n.waiting = map[string][]wire.Message{}
	}
	n.waiting[inbox] = append(n.waiting[inbox], m)
	n.count++
	if !n.sending {
		n.sending = true
		n.all.Go(func() { o.sendNotices(context.WithoutCancel(ctx)) })
	}
}

// sendNotices sends batches until none is left.
func (o *Orchestrator) sendNotices(ctx context.Context) {
	n := &o.notices
	for {
		n.mu.Lock()
		batch := n.waiting
		n.waiting, n.count = nil, 0
		n.sending = len(batch) > 0
		n.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		o.send(ctx, batch)
	}
}

func (o *Orchestrator) send(ctx context.Context, batch map[string][]wire.Message) {
	if err := o.store.Notify(ctx, batch); err != nil {
		o.log.Debug("clients were not notified", zap.Error(err))
	}
}
