package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	rawBatch  = 100
	rawWindow = 5000 // jobs under way
)

// rawLoop does for each job the least that any protocol on streams must do:
// XADD the job, XREADGROUP it, XADD its completion and XACK it, XREADGROUP the
// completion, XACK that; all in batches of a hundred, with nothing in between.
func rawLoop(ctx context.Context, s *server, jobs int, payload string) (time.Duration, error) {
	if err := rawStreams(ctx, s); err != nil {
		return 0, err
	}
	c := rawClient(s)
	defer func() { _ = c.Close() }()
	began := time.Now()
	var finished atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return rawSend(ctx, c, jobs, payload, &finished) })
	g.Go(func() error { return rawWork(ctx, c, jobs) })
	g.Go(func() error {
		return rawEach(ctx, c, "raw:done", jobs, func(entries []redis.XMessage) error {
			finished.Add(int64(len(entries)))
			return c.XAck(ctx, "raw:done", "g", ids(entries)...).Err()
		})
	})
	err := g.Wait()
	return time.Since(began), err
}

// rawStreams makes the two streams of a raw loop on an empty server.
func rawStreams(ctx context.Context, s *server) error {
	if err := s.client.FlushAll(ctx).Err(); err != nil {
		return err
	}
	for _, stream := range []string{"raw:jobs", "raw:done"} {
		if err := s.client.XGroupCreateMkStream(ctx, stream, "g", "0").Err(); err != nil {
			return err
		}
	}
	return nil
}

func rawClient(s *server) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.addr, ReadTimeout: time.Minute, MaxRetries: -1})
}

func rawSend(ctx context.Context, c *redis.Client, jobs int, payload string, finished *atomic.Int64) error {
	for sent := 0; sent < jobs; sent += rawBatch {
		for sent-int(finished.Load()) > rawWindow {
			if pause(ctx, 200*time.Microsecond); ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if err := rawSendBatch(ctx, c, sent, min(sent+rawBatch, jobs), payload); err != nil {
			return err
		}
	}
	return nil
}

func rawSendBatch(ctx context.Context, c *redis.Client, from, to int, payload string) error {
	pipe := c.Pipeline()
	for i := from; i < to; i++ {
		pipe.XAdd(ctx, &redis.XAddArgs{Stream: "raw:jobs", Values: []any{"run", "run-1", "job", strconv.Itoa(i), "payload", payload}})
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("send jobs: %w", err)
	}
	return nil
}

func rawWork(ctx context.Context, c *redis.Client, jobs int) error {
	return rawEach(ctx, c, "raw:jobs", jobs, func(entries []redis.XMessage) error {
		pipe := c.Pipeline()
		for _, e := range entries {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: "raw:done", Values: []any{"run", e.Values["run"], "job", e.Values["job"], "state", "ok"}})
		}
		pipe.XAck(ctx, "raw:jobs", "g", ids(entries)...)
		_, err := pipe.Exec(ctx)
		return err
	})
}

func rawEach(ctx context.Context, c *redis.Client, stream string, jobs int, do func([]redis.XMessage) error) error {
	for seen := 0; seen < jobs; {
		got, err := c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{stream, ">"}, Count: rawBatch, Block: time.Second}).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		entries := got[0].Messages
		if err := do(entries); err != nil {
			return fmt.Errorf("deal with %s: %w", stream, err)
		}
		seen += len(entries)
	}
	return nil
}

func ids(entries []redis.XMessage) []string {
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.ID
	}
	return out
}

func textOf(size int) string { return strings.Repeat("x", size) }
