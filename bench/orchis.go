package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// programs are the ones we build: an orchestrator and a worker of no-ops.
type programs struct{ orchestrator, worker string }

// build builds them out of this working copy.
func build(ctx context.Context, dir string, profiled bool) (programs, error) {
	p := programs{filepath.Join(dir, "orchestrator"), filepath.Join(dir, "noop")}
	source := "github.com/orchis-run/orchis/cmd/orchestrator"
	if profiled {
		source = "./profiled"
	}
	for out, from := range map[string]string{p.orchestrator: source, p.worker: "./noop"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", out, from)
		if text, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("build %s: %w\n%s", from, err, text)
		}
	}
	return p, nil
}

// installation is a Redis with an orchestrator and a worker on it.
type installation struct {
	*server
	orchestrator, worker *exec.Cmd
	others               []*exec.Cmd  // more workers
	link                 *delayed     // between our processes and Redis; nil for none
	ended                int64        // runs so far
	endedByClients       atomic.Int64 // and those that clients waited for
	partitions           int
	// The most that our processes took of memory, in bytes.
	orchestratorMost, workerMost int64
}

type setup struct {
	aof        string
	slots      int
	partitions int           // 0: what is usual
	profile    string        // folder for CPU profiles; empty for none
	workers    int           // 0 is one
	rtt        time.Duration // between our processes and Redis
}

func install(ctx context.Context, dir string, p programs, s setup) (*installation, error) {
	project := filepath.Join(dir, "project")
	if err := writeFlows(project); err != nil {
		return nil, err
	}
	redisServer, err := startServer(ctx, dir, s.aof)
	if err != nil {
		return nil, err
	}
	in := &installation{server: redisServer, partitions: s.partitions}
	addr := in.addr
	if s.rtt > 0 {
		if in.link, err = delay(in.addr, s.rtt); err != nil {
			in.stop()
			return nil, err
		}
		addr = in.link.addr()
	}
	env := append(os.Environ(), "REDIS_URL=redis://"+addr, "ORCHIS_PROJECT="+project, "ORCHIS_LISTEN=off", "LOG_LEVEL=error", "ORCHIS_LOG_FORMAT=json",
		"ORCHIS_RETENTION_COUNT=10000000", "ORCHIS_UNKNOWN_HANDLERS=wait", "ORCHIS_SLOTS="+strconv.Itoa(s.slots), "ORCHIS_PARTITIONS="+strconv.Itoa(s.partitions), "ORCHIS_SHUTDOWN_GRACE=2s")
	start := func(program, profile, name string) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, program)
		cmd.Dir, cmd.Env, cmd.Stderr = project, append(slices.Clone(env), "ORCHIS_WORKER_NAME="+name), os.Stderr
		if s.profile != "" {
			cmd.Env = append(cmd.Env, "BENCH_PROFILE="+filepath.Join(s.profile, profile))
		}
		return cmd, cmd.Start()
	}
	if in.orchestrator, err = start(p.orchestrator, "orchestrator.pprof", ""); err == nil {
		in.worker, err = start(p.worker, "worker.pprof", "bench-1")
	}
	for i := 2; i <= s.workers && err == nil; i++ {
		var more *exec.Cmd
		more, err = start(p.worker, "more.pprof", "bench-"+strconv.Itoa(i))
		in.others = append(in.others, more)
	}
	if err == nil {
		err = in.ready(ctx)
	}
	if err != nil {
		in.stop()
		return nil, err
	}
	return in, nil
}

// ready waits until a run goes through.
func (in *installation) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_, err := in.through(ctx, load{flow: "chain3", runs: 1})
	return err
}

func (in *installation) stop() {
	for _, cmd := range append(in.others, in.worker, in.orchestrator) {
		if cmd != nil && cmd.Process != nil {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	}
	if in.link != nil {
		in.link.stop()
	}
	in.server.stop()
}

// submit sends the runs' submissions, a few hundred to a pipeline, and returns
// their entries.
func (in *installation) submit(ctx context.Context, l load) ([]string, error) {
	var entries []string
	for sent := 0; sent < l.runs; sent += 500 {
		pipe := in.client.Pipeline()
		var replies []*redis.StringCmd
		for range min(500, l.runs-sent) {
			values := []any{"recipe", l.flow}
			if l.inputs != "" {
				values = append(values, "inputs", l.inputs)
			}
			replies = append(replies, pipe.XAdd(ctx, &redis.XAddArgs{Stream: "orchis:submit", Values: values}))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("submit runs of %s: %w", l.flow, err)
		}
		for _, r := range replies {
			entries = append(entries, r.Val())
		}
	}
	return entries, nil
}

// measured is what a load took.
type measured struct {
	took             time.Duration
	cpu              time.Duration // of Redis
	commands, memory int64
	// What our processes used.
	orchestrator, worker time.Duration
}

// through sends a load and waits until all its runs have ended.
func (in *installation) through(ctx context.Context, l load) (measured, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	before, err := in.usage(ctx)
	if err != nil {
		return measured{}, err
	}
	orchestrator, worker := processorTime(in.orchestrator.Process.Pid), processorTime(in.worker.Process.Pid)
	began := time.Now()
	entries, err := in.submit(ctx, l)
	if err != nil {
		return measured{}, err
	}
	if err := in.await(ctx, in.ended+int64(l.runs)); err != nil {
		return measured{}, fmt.Errorf("%s: %w", l.flow, errors.Join(err, in.complaint(ctx, entries)))
	}
	took := time.Since(began)
	in.orchestratorMost = max(in.orchestratorMost, resident(in.orchestrator.Process.Pid))
	in.workerMost = max(in.workerMost, resident(in.worker.Process.Pid))
	in.ended += int64(l.runs)
	after, err := in.usage(ctx)
	return measured{
		took: took, cpu: after.cpu - before.cpu, commands: after.commands - before.commands, memory: after.memory - before.memory,
		orchestrator: processorTime(in.orchestrator.Process.Pid) - orchestrator, worker: processorTime(in.worker.Process.Pid) - worker,
	}, err
}

// await waits until so many runs have ended.
func (in *installation) await(ctx context.Context, want int64) error {
	for {
		n, err := in.endedRuns(ctx)
		if err != nil || n-in.endedByClients.Load() >= want {
			return err
		}
		if pause(ctx, 2*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("%d of %d runs have ended: %w", n, want, ctx.Err())
		}
	}
}

// endedRuns counts them.
func (in *installation) endedRuns(ctx context.Context) (n int64, err error) {
	for p := range max(1, in.partitions) {
		some, err := in.client.ZCard(ctx, fmt.Sprintf("orchis:{%d}:done", p)).Result()
		if err != nil {
			return 0, err
		}
		n += some
	}
	return n, nil
}

// complaint is the first answer to a submission that is a refusal.
func (in *installation) complaint(ctx context.Context, entries []string) error {
	for _, e := range entries {
		m, err := in.client.HGetAll(context.WithoutCancel(ctx), "orchis:submission:"+e).Result()
		if err == nil && m["state"] == "rejected" {
			return errors.New(m["error"])
		}
	}
	return nil
}
