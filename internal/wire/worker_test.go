package wire

import (
	"testing"
	"time"
)

func TestWorker_IsAliveUntilItHasMissedFiveRenewals(t *testing.T) {
	t.Parallel()
	seen := time.UnixMilli(1_000_000)
	w := Worker{Seen: seen.UnixMilli()}
	for after, want := range map[time.Duration]bool{0: true, workerDies: true, workerDies + time.Millisecond: false, -time.Hour: true} {
		if got := w.Alive(seen.Add(after)); got != want {
			t.Errorf("%s after its last renewal: alive is %v", after, got)
		}
	}
}
