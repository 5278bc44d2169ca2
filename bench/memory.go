package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// memoryWaiting is what Redis keeps for a task that waits for a worker, in
// bytes: of an iteration whose queue nobody serves. The run is cancelled then.
func (in *installation) memoryWaiting(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	before, err := in.usage(ctx)
	if err != nil {
		return 0, err
	}
	id := "waiting-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := in.submitAs(ctx, "waiting", id); err != nil {
		return 0, err
	}
	for n := int64(0); n < waiting; {
		n = 0
		for _, lane := range []string{"", ":low"} { // after the first hundred a run's tickets stand lower
			some, err := in.client.XLen(ctx, "orchis:{0}:tickets:idle"+lane).Result()
			if err != nil {
				return 0, err
			}
			n += some
		}
		if pause(ctx, 5*time.Millisecond); ctx.Err() != nil {
			return 0, fmt.Errorf("%d of %d tasks wait: %w", n, waiting, ctx.Err())
		}
	}
	after, err := in.usage(ctx)
	if err != nil {
		return 0, err
	}
	in.ended++
	wish := []any{"op", "cancel", "run", id}
	if err := in.client.Do(ctx, append([]any{"XADD", "orchis:control", "*"}, wish...)...).Err(); err != nil {
		return 0, err
	}
	return float64(after.memory-before.memory) / waiting, in.await(ctx, in.ended)
}
