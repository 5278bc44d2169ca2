package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// hops are the times from the end of a job's handler to the start of the next
// one's, in milliseconds, shortest first.
type hops []float64

func (h hops) at(share float64) float64 {
	if len(h) == 0 {
		return 0
	}
	return h[int(share*float64(len(h)-1))]
}

// idleHops lets one chain of ten run after another.
func (in *installation) idleHops(ctx context.Context, runs int) (hops, error) {
	var ids []string
	for i := range runs {
		id := "idle-" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-" + strconv.Itoa(i)
		if err := in.submitAs(ctx, "hop", id); err != nil {
			return nil, err
		}
		if err := in.await(ctx, in.ended+1); err != nil {
			return nil, err
		}
		in.ended++
		ids = append(ids, id)
	}
	return in.hopsOf(ctx, ids)
}

// loadedHops submits chains of ten at a rate (runs a second) for a time.
func (in *installation) loadedHops(ctx context.Context, rate float64, d time.Duration) (hops, error) {
	began := time.Now()
	stamp := strconv.FormatInt(began.UnixNano(), 36)
	var ids []string
	for time.Since(began) < d {
		due := int(rate * time.Since(began).Seconds())
		pipe := in.client.Pipeline()
		for len(ids) < due {
			id := "load-" + stamp + "-" + strconv.Itoa(len(ids))
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: "orchis:submit", Values: []any{"recipe", "hop", "id", id}})
			ids = append(ids, id)
		}
		if pipe.Len() > 0 {
			if _, err := pipe.Exec(ctx); err != nil {
				return nil, err
			}
		}
		pause(ctx, time.Millisecond)
	}
	if err := in.await(ctx, in.ended+int64(len(ids))); err != nil {
		return nil, err
	}
	in.ended += int64(len(ids))
	return in.hopsOf(ctx, ids)
}

func (in *installation) submitAs(ctx context.Context, flow, id string) error {
	return in.client.XAdd(ctx, &redis.XAddArgs{Stream: "orchis:submit", Values: []any{"recipe", flow, "id", id}}).Err()
}

// hopsOf reads what the handlers of runs noted.
func (in *installation) hopsOf(ctx context.Context, ids []string) (hops, error) {
	var out hops
	for some := range slices.Chunk(ids, 200) {
		pipe := in.client.Pipeline()
		var replies []*redis.MapStringStringCmd
		for _, id := range some {
			replies = append(replies, pipe.HGetAll(ctx, "orchis:{0}:run:"+id+":tasks"))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, err
		}
		for i, r := range replies {
			times := make([]struct{ Result struct{ Began, Ended int64 } }, chainLength)
			for k := range times {
				if err := json.Unmarshal([]byte(r.Val()["job_"+strconv.Itoa(k)]), &times[k]); err != nil {
					return nil, fmt.Errorf("read the record of job %d of run %s: %w", k, some[i], err)
				}
				if k > 0 {
					out = append(out, float64(times[k].Result.Began-times[k-1].Result.Ended)/1e6)
				}
			}
		}
	}
	slices.Sort(out)
	return out, nil
}
