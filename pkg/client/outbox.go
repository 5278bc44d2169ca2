package client

import (
	"context"
	"slices"
	"sync"

	"github.com/orchis-run/orchis/internal/wire"
)

// A batch of submissions has at most so many of them, and ends with the one that
// makes it larger than so many bytes.
const (
	mostInBatch  = 100
	batchBytes   = 1 << 20
	bytesOfOther = 500 // about what a submission has beside definition and inputs
)

// outbox sends submissions. One call sends at a time: those that come meanwhile
// queue up, and the first of them sends all, as one pipeline.
type outbox struct {
	send func(ctx context.Context, subs []wire.Submission) ([]string, []error)

	mu    sync.Mutex
	queue []*sending
	busy  bool // a call sends, or was told to
}

// sending is a submission on its way.
type sending struct {
	sub   wire.Submission
	turn  chan bool // capacity 1: true to send the queue, false when it was sent
	entry string
	err   error
}

// submit sends a submission and returns its entry id.
func (o *outbox) submit(ctx context.Context, sub wire.Submission) (entry string, err error) {
	me := &sending{sub: sub, turn: make(chan bool, 1)}
	o.mu.Lock()
	o.queue = append(o.queue, me)
	send := !o.busy
	o.busy = true
	o.mu.Unlock()
	if !send {
		select {
		case send = <-me.turn:
		case <-ctx.Done():
			if o.withdraw(me) {
				return "", context.Cause(ctx)
			}
			send = <-me.turn // it is being sent
		}
	}
	if send {
		o.flush(ctx)
	}
	return me.entry, me.err
}

// withdraw takes a submission out of the queue, unless it is being sent.
func (o *outbox) withdraw(me *sending) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := slices.Index(o.queue, me)
	if at < 0 {
		return false
	}
	o.queue = slices.Delete(o.queue, at, at+1)
	select {
	case <-me.turn: // it was told to send
		o.next()
	default:
	}
	return true
}

// flush sends a batch, which begins with the submission of the caller, and hands
// over to the next.
func (o *outbox) flush(ctx context.Context) {
	o.mu.Lock()
	n, size := 0, 0
	for n < min(len(o.queue), mostInBatch) && size < batchBytes {
		size += len(o.queue[n].sub.Definition) + len(o.queue[n].sub.Inputs) + bytesOfOther
		n++
	}
	batch := slices.Clone(o.queue[:n])
	o.queue = slices.Delete(o.queue, 0, n)
	o.mu.Unlock()
	subs := make([]wire.Submission, n)
	for i, s := range batch {
		subs[i] = s.sub
	}
	entries, errs := o.send(context.WithoutCancel(ctx), subs) // others' submissions are among them
	for i, s := range batch {
		if s.entry, s.err = entries[i], errs[i]; i > 0 {
			s.turn <- false
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next()
}

// next tells the first in the queue to send. The caller holds the lock.
func (o *outbox) next() {
	if o.busy = len(o.queue) > 0; o.busy {
		o.queue[0].turn <- true
	}
}
