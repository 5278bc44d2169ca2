package worker

import (
	"strconv"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/wire"
)

// TestTheNewestMiBOfALogIsKept: whatever is written between two flushes, and in
// however many, what is kept is the end, and no more than the limit.
func TestTheNewestMiBOfALogIsKept(t *testing.T) {
	t.Parallel()
	for name, perFlush := range map[string]int{"all at once": 100_000, "often": 100, "one by one": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tail logTail
			there := map[string]wire.Line{}
			send := func() {
				lines := tail.take()
				for _, id := range tail.room(lines) {
					if _, is := there[id]; !is {
						t.Fatalf("%s is deleted, which is not there", id)
					}
					delete(there, id)
				}
				for _, l := range lines {
					id := strconv.Itoa(l.Number)
					there[id] = l
					tail.sent = append(tail.sent, sentLine{id, sizeOf(l)})
					tail.kept += sizeOf(l)
				}
			}
			const count = 20_000
			for n := range count {
				tail.add(wire.Line{Text: strings.Repeat("x", 100+n%50)}, func() {})
				if n%perFlush == 0 {
					send()
				}
			}
			send()
			tail.stop()
			size := 0
			for _, l := range there {
				size += sizeOf(l)
			}
			if size > maxLog || size < maxLog-maxLog/4 {
				t.Errorf("%d bytes are kept, want a bit less than %d", size, maxLog)
			}
			for n := count; n > count-len(there); n-- {
				if _, is := there[strconv.Itoa(n)]; !is {
					t.Errorf("line %d of %d is gone, and %d lines are kept", n, count, len(there))
				}
			}
		})
	}
}
