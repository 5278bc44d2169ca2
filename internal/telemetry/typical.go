package telemetry

import (
	"slices"
	"sync"
)

const (
	remembered = 256 // durations of each queue
	guessed    = 1.0 // seconds, before the first attempt has ended
)

// typical remembers how long the newest attempts of each queue took.
type typical struct {
	mu     sync.Mutex
	queues map[string]*ring
}

type ring struct {
	took []float64
	next int
}

func (t *typical) note(queue string, took float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.queues[queue]
	if r == nil {
		if len(t.queues) >= most {
			return
		}
		if t.queues == nil {
			t.queues = map[string]*ring{}
		}
		r = &ring{}
		t.queues[queue] = r
	}
	if len(r.took) < remembered {
		r.took = append(r.took, took)
		return
	}
	r.took[r.next] = took
	r.next = (r.next + 1) % remembered
}

// median is how long an attempt of a queue takes, in seconds.
func (t *typical) median(queue string) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.queues[queue]
	if r == nil {
		return guessed
	}
	sorted := slices.Sorted(slices.Values(r.took))
	return sorted[len(sorted)/2]
}
