package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// payloadLoad is a chain of three jobs that return their inputs, each of which
// gets a text of the result before it, beside a raw loop that carries the same
// text there and back.
type payloadLoad struct {
	label   string
	size    int
	runs    int
	rawJobs int
}

func payloadLoads() []payloadLoad {
	return []payloadLoad{
		{"100 B", 100, 1000, 10_000},
		{"4 KiB", 4 << 10, 500, 4000},
		{"64 KiB", 64<<10 - 4<<10, 60, 400}, // a result above 64 KiB becomes a blob
	}
}

func (p payloadLoad) name() string    { return "results of " + p.label }
func (p payloadLoad) rawName() string { return "raw loop with " + p.label }

func (p payloadLoad) load() (load, error) {
	inputs, err := json.Marshal(map[string]string{"payload": logText(p.size)})
	return load{name: p.name(), flow: "payload", runs: p.runs, jobs: 3, inputs: string(inputs)}, err
}

// logText is text as programs log it: lines, quotes and now and then a letter
// outside ASCII.
func logText(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		_, _ = fmt.Fprintf(&b, "2025-03-%02dT10:%02d:%02d.%03dZ INFO  worker-%d: fetched \"items/%d.json\" in %d ms — ok (café)\n", 1+i%28, i%60, i*7%60, i*13%1000, i%9, i*31, i%97)
	}
	return strings.ToValidUTF8(b.String()[:size], "")
}

// payloads measures each payload load after the raw loop with its text.
func (b *bench) payloads(ctx context.Context) error {
	t := &b.report.table
	for _, p := range payloadLoads() {
		before, err := b.peers.usage(ctx)
		if err != nil {
			return err
		}
		took, err := rawPayloads(ctx, b.peers, p.rawJobs, logText(p.size))
		if err != nil {
			return err
		}
		after, err := b.peers.usage(ctx)
		if err != nil {
			return err
		}
		jobs := float64(p.rawJobs)
		t.add(p.rawName(), sample{perSecond: jobs / took.Seconds(), redis: float64((after.cpu - before.cpu).Microseconds()) / jobs})
		t.compare(p.name(), p.rawName())
		l, err := p.load()
		if err != nil {
			return err
		}
		m, err := b.off.through(ctx, l)
		if err != nil {
			return err
		}
		t.add(l.name, m.sample(l))
		if b.base == nil {
			continue
		}
		if m, err = b.base.through(ctx, l); err != nil {
			return err
		}
		t.add(l.name+", base", m.sample(l))
		t.compare(l.name+", base", p.rawName())
	}
	return nil
}

// onlyPayloads measures nothing but the payload loads, with a base commit those
// of its build in turns with ours.
func (b *bench) onlyPayloads(ctx context.Context, rounds int, base string) error {
	var err error
	if b.built, err = build(ctx, b.dir, false); err != nil {
		return err
	}
	if b.peers, err = startServer(ctx, b.dir, "off"); err != nil {
		return err
	}
	if b.off, err = install(ctx, b.dir, b.built, setup{aof: "off", slots: 200}); err != nil {
		return err
	}
	if base != "" {
		if err := b.startBase(ctx, base); err != nil {
			return err
		}
	}
	b.report.machine = machineOf(ctx, b.peers)
	for range rounds {
		if err := b.payloads(ctx); err != nil {
			return err
		}
	}
	b.report.figures.rounds = rounds
	return nil
}

// payloadGoals are the goals of the payload loads.
func (r *report) payloadGoals() []goal {
	loads := payloadLoads()
	medium, large := loads[1], loads[2]
	orchestrator := r.median(large.name(), func(s sample) float64 { return s.orchestrator })
	return []goal{
		{medium.name() + ", of a raw loop with the same payload", "≥ 0.35", r.ratio(medium.name(), medium.rawName()), "", 0.35, 0},
		{large.name() + ", of a raw loop with the same payload", "≥ 0.25", r.ratio(large.name(), large.rawName()), "", 0.25, 0},
		{"orchestrator a job, " + large.name(), "≤ 300 µs", orchestrator, " µs", 0, 300},
	}
}

// rawPayloads is rawLoop with a payload that comes back with the completion, as
// from a job that returns its inputs. Entries are deleted, since they would fill
// the server's memory.
func rawPayloads(ctx context.Context, s *server, jobs int, payload string) (time.Duration, error) {
	if err := rawStreams(ctx, s); err != nil {
		return 0, err
	}
	c := rawClient(s)
	defer func() { _ = c.Close() }()
	batch := max(1, min(rawBatch, (1<<20)/len(payload)))
	began := time.Now()
	done := make(chan int, jobs)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for sent, finished := 0, 0; sent < jobs; sent += batch {
			for sent-finished > 20*batch {
				select {
				case n := <-done:
					finished += n
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if err := rawSendBatch(ctx, c, sent, min(sent+batch, jobs), payload); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		return rawEach(ctx, c, "raw:jobs", jobs, func(entries []redis.XMessage) error {
			pipe := c.Pipeline()
			for _, e := range entries {
				pipe.XAdd(ctx, &redis.XAddArgs{Stream: "raw:done", Values: []any{"run", e.Values["run"], "job", e.Values["job"], "state", "ok", "result", e.Values["payload"]}})
			}
			pipe.XAck(ctx, "raw:jobs", "g", ids(entries)...)
			pipe.XDel(ctx, "raw:jobs", ids(entries)...)
			_, err := pipe.Exec(ctx)
			return err
		})
	})
	g.Go(func() error {
		return rawEach(ctx, c, "raw:done", jobs, func(entries []redis.XMessage) error {
			pipe := c.Pipeline()
			pipe.XAck(ctx, "raw:done", "g", ids(entries)...)
			pipe.XDel(ctx, "raw:done", ids(entries)...)
			done <- len(entries)
			_, err := pipe.Exec(ctx)
			return err
		})
	})
	err := g.Wait()
	return time.Since(began), err
}
