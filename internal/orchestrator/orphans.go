package orchestrator

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/fact"
	"github.com/orchis-run/orchis/internal/wire"
)

// orphanPage is how many tickets one sweep checks at most. Each takes two reads.
const orphanPage = 50

// orphans is where the search for orphaned tickets continues. Invariant: after
// is an entry of stream, or empty for its beginning.
type orphans struct {
	stream wire.Stream
	after  string
}

// dropOrphans deletes tickets that have been in their queue for two leases and
// belong to no publication. A run whose task records were deleted publishes its
// tasks again and does not know of the tickets from before. A worker of the
// queue would run such a ticket for nothing; without a worker it would stay for
// ever. The reaper sees only tickets that a worker holds.
//
// Each sweep checks a page and continues behind the last one. A ticket is read
// before the record of its task. Both change in one transaction, so a record
// with another fence is newer than the ticket.
func (pt *partition) dropOrphans(ctx context.Context) error {
	streams, err := pt.o.store.Streams(ctx, pt.p)
	if err != nil {
		return err
	}
	left := orphanPage
	for _, stream := range startingAt(streams, pt.orphans.stream) {
		if stream != pt.orphans.stream {
			pt.orphans = orphans{stream: stream}
		}
		n, more, err := pt.dropOrphansOf(ctx, left)
		if err != nil {
			return err
		}
		if left -= n; more || left == 0 {
			return nil
		}
		pt.orphans = orphans{}
	}
	return nil
}

// startingAt returns the streams in a fixed order that begins with first, or
// with any when first is not among them.
func startingAt(streams []wire.Stream, first wire.Stream) []wire.Stream {
	slices.SortFunc(streams, func(a, b wire.Stream) int { return strings.Compare(a.String(), b.String()) })
	i := max(0, slices.Index(streams, first))
	return slices.Concat(streams[i:], streams[:i])
}

// dropOrphansOf checks up to count tickets of the current stream. It returns how
// many it has read, and whether there may be more old ones.
func (pt *partition) dropOrphansOf(ctx context.Context, count int) (read int, more bool, err error) {
	o := pt.o
	old := o.now().Add(-2 * o.cfg.Lease)
	tickets, err := o.store.ScanTickets(ctx, pt.p, pt.orphans.stream, pt.orphans.after, count)
	if err != nil {
		return 0, false, err
	}
	for _, t := range tickets {
		if publishedAt(t.ID).After(old) {
			return len(tickets), false, nil
		}
		pt.orphans.after = t.ID
		dropped, err := pt.dropOrphan(ctx, t)
		if err != nil {
			return 0, false, err
		}
		if dropped {
			o.log.Warn("a ticket of no current task was deleted", fact.Ticket(&t)...)
		}
	}
	return len(tickets), len(tickets) == count, nil
}

// publishedAt returns the time in the id of a stream entry.
func publishedAt(id string) time.Time {
	text, _, _ := strings.Cut(id, "-")
	ms, _ := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(ms)
}
