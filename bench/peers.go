package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"
)

// flatAsynq sends jobs to the flat queue of asynq, which has no DAGs, while a
// server works on them, and returns how long that took.
func flatAsynq(ctx context.Context, s *server, jobs int) (time.Duration, error) {
	if err := s.client.FlushAll(ctx).Err(); err != nil {
		return 0, err
	}
	const senders, concurrency = 16, 50
	redis := asynq.RedisClientOpt{Addr: s.addr, PoolSize: senders + concurrency + 8}
	client := asynq.NewClient(redis)
	defer func() { _ = client.Close() }()
	var done atomic.Int64
	end := make(chan struct{})
	srv := asynq.NewServer(redis, asynq.Config{Concurrency: concurrency, LogLevel: asynq.FatalLevel})
	began := time.Now()
	g, sending := errgroup.WithContext(ctx)
	sent := make(chan struct{}, jobs)
	for n := range senders {
		g.Go(func() error {
			for i := n; i < jobs; i += senders {
				if _, err := client.EnqueueContext(sending, asynq.NewTask("noop", []byte(textOf(payload)))); err != nil {
					return fmt.Errorf("send to asynq: %w", err)
				}
				sent <- struct{}{}
			}
			return nil
		})
	}
	select { // a server that finds its queue empty sleeps for a second
	case <-sent:
	case <-sending.Done():
		return 0, g.Wait()
	}
	err := srv.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		if done.Add(1) == int64(jobs) {
			close(end)
		}
		return nil
	}))
	if err != nil {
		return 0, fmt.Errorf("start asynq: %w", err)
	}
	defer srv.Shutdown()
	if err := g.Wait(); err != nil {
		return 0, err
	}
	select {
	case <-end:
		return time.Since(began), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// bullMQ does chains with BullMQ, where Node is at hand.
type bullMQ struct{ dir string }

// openBullMQ installs it into a folder, or says why it cannot.
func openBullMQ(ctx context.Context, dir string) (*bullMQ, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("BullMQ is left out: %w", err)
		}
	}
	b := &bullMQ{filepath.Join(dir, "bullmq")}
	if err := os.CopyFS(b.dir, os.DirFS("bullmq")); err != nil {
		return nil, fmt.Errorf("BullMQ is left out: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir = b.dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("BullMQ is left out: npm install: %w %s", err, text)
	}
	return b, nil
}

// chains returns the jobs per second of so many flows of so many jobs.
func (b *bullMQ) chains(ctx context.Context, s *server, flows, jobs int) (float64, error) {
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return 0, err
	}
	if err := s.client.FlushAll(ctx).Err(); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, "node", "bench.mjs", port, strconv.Itoa(flows), strconv.Itoa(jobs))
	cmd.Dir, cmd.Stderr = b.dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("run BullMQ: %w", err)
	}
	perSecond, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil || perSecond <= 0 {
		return 0, errors.Join(fmt.Errorf("BullMQ said %q", out), err)
	}
	return perSecond, nil
}
