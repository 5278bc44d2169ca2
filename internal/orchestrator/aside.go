package orchestrator

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/wire"
)

// asideFrom is the size in bytes from which a definition is read aside: those
// who submit something small do not wait for it.
const asideFrom = 128 << 10

// mostAside is the size of the definitions that may wait for that, in bytes;
// what is beyond it stays in the stream and comes again.
const mostAside = 64 << 20

// aside reads large definitions, one after another.
type aside struct {
	mu      sync.Mutex
	entries map[string]bool
	size    int64
	turn    sync.Mutex
	accept  func(context.Context, []wire.Submission) error
	all     sync.WaitGroup
}

// setAside begins to deal with the submissions that are large and returns the
// others.
func (o *Orchestrator) setAside(ctx context.Context, subs []wire.Submission) []wire.Submission {
	var rest []wire.Submission
	for i := range subs {
		sub := &subs[i]
		size := int64(len(sub.Definition))
		if sub.Recipe != "" {
			size = o.loader.Size(sub.Recipe)
		}
		switch {
		case size < asideFrom:
			rest = append(rest, *sub)
		case o.aside.admit(sub.Entry, size):
			o.aside.all.Go(func() {
				defer o.aside.done(sub.Entry, size)
				o.aside.turn.Lock()
				defer o.aside.turn.Unlock()
				if err := o.aside.accept(ctx, []wire.Submission{*sub}); err != nil {
					o.log.Warn("a large submission comes again", zap.String("entry", sub.Entry), zap.Error(err))
				}
			})
		}
	}
	return rest
}

// admit reports whether there is room for a submission that is not here yet.
func (a *aside) admit(entry string, size int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.entries[entry] || len(a.entries) > 0 && a.size+size > mostAside {
		return false
	}
	if a.entries == nil {
		a.entries = map[string]bool{}
	}
	a.entries[entry] = true
	a.size += size
	return true
}

func (a *aside) done(entry string, size int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.entries, entry)
	a.size -= size
}
