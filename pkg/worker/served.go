package worker

import (
	"slices"
	"sync"

	"github.com/orchis-run/orchis/internal/wire"
)

// served is the set of streams from which the worker claims tickets. It changes
// while the worker runs.
type served struct {
	mu      sync.Mutex
	streams []wire.Stream
	version int
	changed chan struct{} // closed with each change
}

func newServed() *served { return &served{changed: make(chan struct{})} }

// get returns the streams, a number that differs for each set of streams, and a
// channel that is closed when the set changes.
func (s *served) get() ([]wire.Stream, int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams, s.version, s.changed
}

// set replaces the streams.
func (s *served) set(streams []wire.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(s.streams, streams) {
		return
	}
	s.streams = streams
	s.version++
	close(s.changed)
	s.changed = make(chan struct{})
}
