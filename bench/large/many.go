package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
)

// submit sends many runs of one definition and returns their entries.
func (p *place) submit(ctx context.Context, text string, runs int) ([]string, error) {
	entries := make([]string, runs)
	var errs [8]error
	var all sync.WaitGroup
	for part := range errs {
		all.Go(func() {
			for i := part; i < runs; i += len(errs) {
				if entries[i], errs[part] = p.Submit(ctx, client.Request{Definition: text}); errs[part] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// ended waits until so many runs have ended.
func (p *place) ended(ctx context.Context, runs int64) error {
	return until(ctx, 10*time.Millisecond, func() (bool, error) {
		t, err := p.Count(ctx, 1)
		return t.Ended >= runs, err
	})
}

// manyRuns sends 10,000 runs at once.
func manyRuns(ctx context.Context, b *bench) error {
	p, err := settle(ctx, b.dir, b.orchestrator)
	if err != nil {
		return err
	}
	defer p.leave()
	runs := b.tasks / 10
	began := time.Now()
	if _, err := p.submit(ctx, chain(3), runs); err != nil {
		return err
	}
	sent := time.Since(began)
	err = until(ctx, 10*time.Millisecond, func() (bool, error) {
		t, err := p.Count(ctx, 1)
		return t.Active >= int64(runs), err
	})
	if err != nil {
		return err
	}
	b.say("%d runs sent in %.2f s are all under way after %.2f s; orchestrator %d MiB, Redis %d B a run", runs, sent.Seconds(), time.Since(began).Seconds(),
		status(p.orch, "VmRSS")>>20, p.memory(ctx)/int64(runs))
	began = time.Now()
	if _, err := p.work(ctx, 1, 200); err != nil {
		return err
	}
	if err := p.ended(ctx, int64(runs)); err != nil {
		return err
	}
	took := time.Since(began)
	b.say("with a worker they end in %.1f s, %.0f jobs/s; orchestrator %d MiB at most, Redis %d B a run that has ended", took.Seconds(), float64(3*runs)/took.Seconds(),
		status(p.orch, "VmHWM")>>20, p.memory(ctx)/int64(runs))
	return b.slow(ctx, p)
}

// small sends small runs at a rhythm and says how long they took from sending
// to end.
type small struct {
	mu      sync.Mutex
	entries []string
}

func (s *small) send(ctx context.Context, p *place, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if entry, err := p.Submit(ctx, client.Request{Definition: chain(3)}); err == nil {
			s.mu.Lock()
			s.entries = append(s.entries, entry)
			s.mu.Unlock()
		}
	}
}

// took are the times in milliseconds, the shortest first.
func (s *small) took(ctx context.Context, p *place) ([]int64, error) {
	var out []int64
	for _, entry := range s.entries {
		id, err := p.Accepted(ctx, entry)
		if err != nil {
			return nil, err
		}
		err = until(ctx, 5*time.Millisecond, func() (bool, error) {
			r, err := p.Get(ctx, id)
			if err == nil && r.State.Final() {
				at, _ := strconv.ParseInt(strings.SplitN(entry, "-", 2)[0], 10, 64)
				out = append(out, r.Ended-at)
			}
			return r.State.Final(), err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return out, nil
}

func share(times []int64, percent int) int64 { return times[min(len(times)-1, len(times)*percent/100)] }

// fairness sends small runs alone, and then while a large one goes through.
func fairness(ctx context.Context, b *bench) error {
	p, err := settle(ctx, b.dir, b.orchestrator)
	if err != nil {
		return err
	}
	defer p.leave()
	if _, err := p.work(ctx, 1, 200); err != nil {
		return err
	}
	if _, err := p.through(ctx, chain(3)); err != nil {
		return err
	}
	phase := func(name string, during func() error) error {
		var s small
		sending, stop := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() { s.send(sending, p, 20*time.Millisecond) })
		err := during()
		stop()
		done.Wait()
		if err != nil {
			return err
		}
		times, err := s.took(ctx, p)
		if err != nil || len(times) == 0 {
			return err
		}
		b.say("small runs %s: %d, p50 %d ms, p90 %d ms, p99 %d ms, at most %d ms", name, len(times), share(times, 50), share(times, 90), share(times, 99), times[len(times)-1])
		return nil
	}
	if err := phase("alone", func() error { pause(ctx, 10*time.Second); return nil }); err != nil {
		return err
	}
	large := func(text string) func() error {
		return func() error { _, err := p.through(ctx, text); return err }
	}
	if err := phase(fmt.Sprintf("while %d jobs in layers go through", b.tasks), large(layers(b.tasks))); err != nil {
		return err
	}
	if err := phase(fmt.Sprintf("while %d items go through", b.tasks), large(items(b.tasks))); err != nil {
		return err
	}
	return b.slow(ctx, p)
}

// manyWorkers lets 200 workers work.
func manyWorkers(ctx context.Context, b *bench) error {
	p, err := settle(ctx, b.dir, b.orchestrator)
	if err != nil {
		return err
	}
	defer p.leave()
	before := p.memory(ctx)
	began := time.Now()
	w, err := p.work(ctx, 200, 4)
	if err != nil {
		return err
	}
	err = until(ctx, 20*time.Millisecond, func() (bool, error) {
		all, err := p.Workers(ctx)
		return len(all) == 200, err
	})
	if err != nil {
		return err
	}
	clients, err := p.redis.Info(ctx, "clients").Result()
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(clients, "connected_clients:")
	b.say("200 workers are there after %.1f s, with %s connections; Redis %d KiB for each, %d MiB all workers", time.Since(began).Seconds(),
		strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]), (p.memory(ctx)-before)/200>>10, status(w, "VmRSS")>>20)
	idle := processorTime(p.procs[0])
	pause(ctx, 5*time.Second)
	b.say("idle they cost Redis %.1f %% of a core", 100*(processorTime(p.procs[0])-idle).Seconds()/5)
	runs := b.tasks / 20
	began = time.Now()
	if _, err := p.submit(ctx, chain(3), runs); err != nil {
		return err
	}
	if err := p.ended(ctx, int64(runs)); err != nil {
		return err
	}
	took := time.Since(began)
	b.say("%d runs of 3 go through in %.1f s, %.0f jobs/s", runs, took.Seconds(), float64(3*runs)/took.Seconds())
	return b.slow(ctx, p)
}

// clustered compares one Redis with a Cluster of three masters.
func clustered(ctx context.Context, b *bench) error {
	single, err := settle(ctx, b.dir, b.orchestrator)
	if err != nil {
		return err
	}
	err = b.rate(ctx, single, "one Redis, 1 partition, 1 orchestrator, 1 worker")
	single.leave()
	if err != nil {
		return err
	}
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return err
	}
	c, err := redistest.StartCluster(program, false)
	if err != nil {
		return err
	}
	defer c.Stop()
	for _, n := range []int{1, 2} {
		p := &place{dir: b.dir, url: c.URL}
		for range n {
			if p.orch, err = p.start(ctx, b.orchestrator, "LOG_LEVEL=warn"); err != nil {
				break
			}
		}
		if err == nil {
			err = p.connect(ctx)
		}
		if err == nil {
			err = b.rate(ctx, p, fmt.Sprintf("a Cluster of 3 masters, 16 partitions, %d orchestrators, 1 worker", n))
		}
		p.leave()
		if err != nil {
			return err
		}
	}
	return nil
}

// rate measures how many jobs of chains of ten go through in a second.
func (b *bench) rate(ctx context.Context, p *place, what string) error {
	if _, err := p.work(ctx, 1, 200); err != nil {
		return err
	}
	runs := int64(b.tasks / 50)
	had, err := p.Count(ctx, 1)
	if err != nil {
		return err
	}
	for range 2 { // the second time all are awake
		began := time.Now()
		if _, err := p.submit(ctx, chain(10), int(runs)); err != nil {
			return err
		}
		had.Ended += runs
		if err := p.ended(ctx, had.Ended); err != nil {
			return err
		}
		took := time.Since(began)
		b.say("%s: %.0f jobs/s", what, float64(10*runs)/took.Seconds())
	}
	return nil
}
