package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// TestManyItems: the elements of an iteration, 2,000 or ORCHIS_ITEMS, are
// offered through a window of 256 and give their results in order.
func TestManyItems(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	items := 2_000
	if text := os.Getenv("ORCHIS_ITEMS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		items = n
	}
	h := newHouse(t, 2, 2)
	id := h.submit(client.Request{Definition: fmt.Sprintf(`
jobs:
  many: { job: debug, iterate: { from: 1, to: %d }, iteratePick: n, inputs: { n: "${iterate.item}" } }
outputs: { inOrder: "${many == range(1, %d)}", sum: "${sum(many)}" }
`, items, items+1)})
	most := 0
	var rec run.Run
	h.until("the run ends, "+strconv.Itoa(items)+" items", func() bool {
		if n, err := strconv.Atoi(strings.TrimSpace(h.redisCLI("XLEN", "orchis:{0}:tickets:default"))); err == nil {
			most = max(most, n)
		}
		var err error
		rec, err = h.client.Get(t.Context(), id)
		return err == nil && rec.State.Final()
	})
	if want := fmt.Sprintf(`{"inOrder":true,"sum":%d}`, items*(items+1)/2); rec.State != run.Succeeded || string(rec.Outputs) != want {
		t.Errorf("the run is %s with %s, want %s", rec.State, rec.Outputs, want)
	}
	if most > 256 {
		t.Errorf("%d tickets stood in the queue at once, the window is 256", most)
	}
	t.Logf("%d items took %s; at most %d tickets at once", items, time.Duration(rec.Ended-rec.Started)*time.Millisecond, most)
	h.quiet()
}
