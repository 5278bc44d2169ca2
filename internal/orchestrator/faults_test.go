package orchestrator

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

const small = "jobs:\n  a: {job: work, inputs: {n: 2}}\n  b: {job: work, iterate: {from: 1, to: 3}, inputs: {n: \"${iterate.item * a.n}\"}}\n  c: {job: fail, retries: {max: 1, delay: 10ms}, continueOnError: true}\noutputs: \"${sum(map(b, x, x.n))}\"\n"

// TestAnyReplyMayBeLost runs the same flow again and again through a proxy that
// drops the first reply of the whole run, the second, the third and so on. With
// ORCHIS_FAULTS=all every reply is dropped once, else every seventh.
func TestAnyReplyMayBeLost(t *testing.T) {
	t.Parallel()
	const most = 160
	step := 7
	if os.Getenv("ORCHIS_FAULTS") == "all" {
		step = 1
	}
	for n := 1; n <= most; n += step {
		t.Run(fmt.Sprint("reply ", n), func(t *testing.T) {
			t.Parallel()
			srv := redistest.Real(t)
			direct := newSite(t, srv)
			p := redistest.DropReply(t, srv, n)
			through := srv
			through.URL = p.URL
			s := &site{t: t, srv: through, lease: 300 * time.Millisecond}
			entry, err := direct.store.Submit(t.Context(), wire.Submission{Definition: small})
			if err != nil {
				t.Fatal(err)
			}
			s.persist(s.driveRuns)
			s.persist(func(ctx context.Context) error { return s.newWorker("w").Run(ctx) })
			id := direct.accepted(entry)
			if r := direct.ended(id, run.Succeeded); string(r.Outputs) != "12" {
				t.Errorf("outputs are %s", r.Outputs)
			}
			direct.until("the reply was dropped", p.Dropped)
			direct.quiet()
		})
	}
}
