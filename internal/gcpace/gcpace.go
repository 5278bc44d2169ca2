// Package gcpace sets how often Go's garbage collector runs, by how much memory
// is in use. With little in use it would run dozens of times a second under load;
// with a fixed GOGC that prevents this, much in use would take several times as
// much memory.
package gcpace

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	mib = 1 << 20

	// target is the size of the heap, garbage included, that is aimed at.
	target = 200 * mib
	// least is how much garbage there may be however little is in use.
	least = 48 * mib

	minPercent = 100
	maxPercent = 400
)

// Percent returns the GOGC value for a number of bytes in use: garbage may fill
// the heap up to 200 MiB, but be no less than what is in use and no more than
// four times as much. 48 MiB of garbage are always allowed.
func Percent(live uint64) int {
	inUse := math.Max(1, float64(live))
	percent := 100 * (target - inUse) / inUse
	percent = math.Max(minPercent, math.Min(percent, maxPercent))
	return int(math.Ceil(math.Max(percent, math.Min(100*least/inUse, 100*least/mib))))
}

// Start adjusts GOGC after each collection until stop is called, which sets it
// back. It does nothing when GOGC or GOMEMLIMIT are set in the environment.
func Start() (stop func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	p := &pacer{live: liveHeap, set: debug.SetGCPercent}
	p.adjust()
	return p.stop
}

// pacer adjusts GOGC. The runtime calls it: it has no goroutine of its own.
type pacer struct {
	live func() uint64
	set  func(percent int) (before int)

	mu      sync.Mutex
	started bool
	stopped bool
	percent int // that was set last
	before  int // that was in force before Start
}

// sentinel is unreachable from the beginning, so that the next collection frees
// it and has its cleanup run. The pointer keeps it apart from other small objects.
type sentinel struct{ _ *sentinel }

// adjust sets GOGC by what is in use now, and waits for the next collection.
func (p *pacer) adjust() {
	percent := Percent(p.live())
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	// Each change stops the world for a moment.
	if diff := percent - p.percent; !p.started || diff*diff > p.percent*p.percent/100 {
		before := p.set(percent)
		if !p.started {
			p.before = before
		}
		p.started, p.percent = true, percent
	}
	runtime.AddCleanup(&sentinel{}, (*pacer).adjust, p)
}

func (p *pacer) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopped {
		p.stopped = true
		p.set(p.before)
	}
}

// liveHeap is how many bytes the last collection found in use.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}
