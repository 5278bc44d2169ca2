package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
)

// TestSamplesRunThroughAFailover runs sample recipes on separate processes while
// masters are killed, and slots moved where there are any.
func TestSamplesRunThroughAFailover(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		c := redistest.NewCluster(t, true)
		h := newHouseOn(t, c.Server, 2, 3)
		h.throughFaults(func(n int) error {
			key := fmt.Sprintf("orchis:{%d}:events", n)
			if err := c.MoveSlot(key); err != nil {
				return err
			}
			return c.Failover(key)
		})
	})
	t.Run("sentinels", func(t *testing.T) {
		t.Parallel()
		s := redistest.NewSentinels(t)
		h := newHouseOn(t, s.Server, 2, 3)
		h.throughFaults(func(int) error { return s.Failover() })
	})
}

func (h *house) throughFaults(fault func(n int) error) {
	h.t.Helper()
	byCLI := h.accepted(h.redisCLI("XADD", "orchis:submit", "*", "recipe", "hello", "input.name", "Ada"))
	h.succeeded(byCLI)
	if out, code := h.orchis("doctor"); code == 2 {
		h.t.Errorf("the doctor says %s", out)
	}
	send := func(id string) {
		h.until(id+" is sent", func() bool {
			_, err := h.client.Submit(h.t.Context(), client.Request{Recipe: "words", ID: id})
			return err == nil
		})
	}
	var ids []string
	for n := range 16 {
		ids = append(ids, fmt.Sprint("words-", n))
		send(ids[n])
		if n == 7 {
			if err := fault(n); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	for _, id := range ids {
		tries := 0
		h.until(id+" is there", func() bool {
			_, err := h.client.Get(h.t.Context(), id)
			if tries++; err != nil && tries%500 == 0 {
				h.t.Logf("%s was rolled back and is sent again", id)
				send(id)
			}
			return err == nil
		})
		if got := string(h.succeeded(id).Outputs); got != `{"top":["the","orchid","a"],"total":11}` {
			h.t.Errorf("the words of %s are %s", id, got)
		}
		h.once(id)
	}
}

// TestASingleRedisInPartitions: whoever comes first divides it, two orchestrators
// share the parts, and one takes over those of the other.
func TestASingleRedisInPartitions(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	srv := redistest.Real(t)
	first := exec.Command(filepath.Join(bin, "orchis"), "list")
	first.Env = append(os.Environ(), "REDIS_URL="+srv.URL, "ORCHIS_PARTITIONS=3")
	if out, err := first.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h := newHouseOn(t, srv, 2, 2)
	if n := h.redisCLI("HGET", "orchis:meta", "partitions"); n != "3" {
		t.Fatalf("there are %s partitions", n)
	}
	h.start("late", "orchestrator", "ORCHIS_PARTITIONS=5")
	h.until("the late one says that it comes too late", func() bool {
		return strings.Contains(h.procs["late"].log.String(), "ORCHIS_PARTITIONS=5 has no effect")
	})
	var ids []string
	for n := range 12 {
		ids = append(ids, h.submit(client.Request{Recipe: "words", ID: fmt.Sprint("words-", n)}))
		if n == 6 {
			h.kill("o1")
		}
	}
	for _, id := range ids {
		h.succeeded(id)
		h.once(id)
	}
	for p := range 3 {
		if n := h.redisCLI("ZCARD", fmt.Sprintf("orchis:{%d}:done", p)); n == "0" {
			t.Errorf("no run was in partition %d", p)
		}
	}
	h.quiet()
}
