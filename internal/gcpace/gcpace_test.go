package gcpace

import (
	"runtime"
	"testing"
)

func TestPercent_IsSetByWhatIsInUse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 4800},
		{mib, 4800},
		{8 * mib, 600},
		{12 * mib, 400},
		{40 * mib, 400},
		{50 * mib, 300},
		{100 * mib, 100},
		{150 * mib, 100},
		{1 << 40, 100},
	} {
		if got := Percent(c.live); got != c.want {
			t.Errorf("with %d MiB in use GOGC is %d, want %d", c.live/mib, got, c.want)
		}
	}
}

// TestPacer_AdjustsAfterACollection also sees that it starts no goroutine and
// that nothing is set after its end.
func TestPacer_AdjustsAfterACollection(t *testing.T) {
	t.Parallel()
	live := make(chan uint64)
	set := make(chan int, 10)
	p := &pacer{live: func() uint64 { return <-live }, set: func(percent int) int { set <- percent; return 77 }}
	collect := func(inUse uint64) {
		for {
			select {
			case live <- inUse:
				return
			default:
				runtime.GC()
			}
		}
	}
	go p.adjust()
	for _, c := range []struct {
		live uint64
		want int
	}{{50 * mib, 300}, {100 * mib, 100}, {40 * mib, 400}} {
		collect(c.live)
		if got := <-set; got != c.want {
			t.Errorf("with %d MiB in use GOGC is set to %d, want %d", c.live/mib, got, c.want)
		}
	}
	collect(41 * mib) // no change worth stopping the world
	collect(100 * mib)
	if got := <-set; got != 100 {
		t.Errorf("GOGC is set to %d, want 100", got)
	}
	p.stop()
	p.stop()
	if got := <-set; got != 77 {
		t.Errorf("GOGC is set back to %d, want 77", got)
	}
	close(live)
	p.adjust()
	if len(set) > 0 {
		t.Errorf("GOGC is set to %d after the end", <-set)
	}
}

func TestStart_LeavesAnExplicitSettingAlone(t *testing.T) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "100")
			before := runtime.NumGoroutine()
			Start()()
			if after := runtime.NumGoroutine(); after > before {
				t.Errorf("%d goroutines were started", after-before)
			}
		})
	}
}

func TestStart_ReadsTheLiveHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	stop := Start()
	runtime.GC()
	if liveHeap() == 0 {
		t.Error("nothing is in use")
	}
	stop()
}
