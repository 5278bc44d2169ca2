package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/orchis-run/orchis/internal/wire"
)

// twice publishes a ticket and then another of the same task.
func (k *kit) twice(ctx context.Context, change func(*wire.Ticket)) (one, two wire.Ticket, err error) {
	if one, err = k.publish(ctx, "sleep", map[string]any{"ms": 600}, nil); err != nil {
		return one, two, err
	}
	two = one
	if change != nil {
		change(&two)
	}
	two.ID, err = k.store.AddTicket(ctx, two.Partition, two.Queue, two.Fields(wire.Keys{}))
	return one, two, err
}

// fence: the old publication may still be at work when the new one arrives at
// the same worker. Orchestrators tell the reports apart by their fence.
func fence(ctx context.Context, k *kit) error {
	one, two, err := k.twice(ctx, func(t *wire.Ticket) { t.Fence, t.Attempt = t.Fence+"b", 2 })
	if err != nil {
		return err
	}
	fences := map[string]int{}
	for range 2 {
		ev, err := k.await(ctx, one, patience, nil)
		if err != nil {
			return fmt.Errorf("after %d of two reports: %w", len(fences), err)
		}
		fences[ev.Fence]++
	}
	if fences[one.Fence] != 1 || fences[two.Fence] != 1 {
		return fmt.Errorf("the reports have the fences %v, the tickets %s and %s", fences, one.Fence, two.Fence)
	}
	return errors.Join(k.cleared(ctx, one), k.cleared(ctx, two))
}

// duplicate: one report is enough, two do no harm, but both entries must go.
func duplicate(ctx context.Context, k *kit) error {
	one, two, err := k.twice(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := k.await(ctx, one, patience, nil); err != nil {
		return err
	}
	second, err := k.await(ctx, one, 2*Lease, nil)
	if err == nil && second.Fence != two.Fence {
		return fmt.Errorf("the second report has fence %q, the ticket %q", second.Fence, two.Fence)
	}
	return errors.Join(k.cleared(ctx, one), k.cleared(ctx, two))
}
