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
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/pkg/client"
)

// place is an installation of its own: Redis, an orchestrator and workers, each
// a process.
type place struct {
	dir   string
	url   string
	redis *redis.Client // nil on a Cluster
	procs []*exec.Cmd
	orch  *exec.Cmd
	*client.Client
}

// slow is what a command of Redis may take.
const slow = 10 * time.Millisecond

// build builds a program of this working copy, whose own module says what it
// needs.
func build(ctx context.Context, dir, name string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/orchis-run/orchis").Output()
	if err != nil {
		return "", fmt.Errorf("find the sources: %w", err)
	}
	program := filepath.Join(dir, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/"+name)
	cmd.Dir = strings.TrimSpace(string(root))
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, text)
	}
	return program, nil
}

// freePort finds a port of this machine that nobody uses.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only asks for a free port
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port //nolint:errcheck // it is TCP
	return port, l.Close()
}

// startRedis starts a redis-server without persistence.
func startRedis(ctx context.Context, dir string) (*exec.Cmd, *redis.Client, string, error) {
	port, err := freePort()
	if err != nil {
		return nil, nil, "", err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	cmd := exec.CommandContext(ctx, "redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no",
		"--slowlog-log-slower-than", strconv.Itoa(int(slow.Microseconds())), "--slowlog-max-len", "1000")
	if err := cmd.Start(); err != nil {
		return nil, nil, "", fmt.Errorf("start redis-server: %w", err)
	}
	c := redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: time.Minute})
	for range 200 {
		if c.Ping(ctx).Err() == nil {
			return cmd, c, "redis://" + addr, nil
		}
		pause(ctx, 20*time.Millisecond)
	}
	return cmd, c, "", fmt.Errorf("redis-server at %s does not answer", addr)
}

// settle starts Redis and an orchestrator; workers come later.
func settle(ctx context.Context, dir, orchestrator string) (*place, error) {
	own, err := os.MkdirTemp(dir, "place-")
	if err != nil {
		return nil, err
	}
	p := &place{dir: own}
	cmd, c, url, err := startRedis(ctx, own)
	if cmd != nil {
		p.procs = append(p.procs, cmd)
	}
	if err == nil {
		p.redis, p.url = c, url
		p.orch, err = p.start(ctx, orchestrator, "LOG_LEVEL=warn")
	}
	if err == nil {
		err = p.connect(ctx)
	}
	if err != nil {
		p.leave()
		return nil, err
	}
	return p, nil
}

func (p *place) connect(ctx context.Context) (err error) {
	p.Client, err = client.Open(ctx, client.Config{URL: p.url, MaxDefinition: 64 << 20})
	return err
}

// start starts a program of ours.
func (p *place) start(ctx context.Context, program string, env ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir, cmd.Stderr = p.dir, os.Stderr
	cmd.Env = append(append(os.Environ(), "REDIS_URL="+p.url, "ORCHIS_PROJECT="+p.dir, "ORCHIS_LISTEN=off", "ORCHIS_LOG_FORMAT=json",
		"ORCHIS_RETENTION_COUNT=100000000", "ORCHIS_UNKNOWN_HANDLERS=wait", "ORCHIS_DEFINITION_MAX=64MiB", "ORCHIS_SHUTDOWN_GRACE=2s"), env...)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	p.procs = append(p.procs, cmd)
	return cmd, nil
}

// work starts a process with so many workers, of so many slots each.
func (p *place) work(ctx context.Context, workers, slots int) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return p.start(ctx, self, "LARGE_WORKERS="+strconv.Itoa(workers), "ORCHIS_SLOTS="+strconv.Itoa(slots), "GOMAXPROCS=2")
}

// stop ends one of the processes.
func (p *place) stop(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
}

// leave ends all processes, the youngest first.
func (p *place) leave() {
	if p.Client != nil {
		_ = p.Close()
	}
	for i := len(p.procs) - 1; i >= 0; i-- {
		if cmd := p.procs[i]; cmd.ProcessState == nil {
			p.stop(cmd)
		}
	}
	if p.redis != nil {
		_ = p.redis.Close()
	}
}

// slowCommands are those that took longer than they may since they were last
// asked for: name and number of arguments, with the longest time of each.
func (p *place) slowCommands(ctx context.Context) ([]string, error) {
	log, err := p.redis.SlowLogGet(ctx, 1000).Result()
	if err == nil {
		err = p.redis.Do(ctx, "SLOWLOG", "RESET").Err()
	}
	if err != nil {
		return nil, fmt.Errorf("read the slow log: %w", err)
	}
	var out []string
	for _, l := range log {
		key := ""
		if len(l.Args) > 1 {
			key = l.Args[1]
		}
		if len(l.Args) > 3 && strings.HasPrefix(strings.ToUpper(l.Args[0]), "EVAL") {
			key = l.Args[3]
		}
		out = append(out, fmt.Sprintf("%s %.60s (%d arguments) %.1f ms", l.Args[0], key, len(l.Args), float64(l.Duration.Microseconds())/1000))
	}
	return out, nil
}

// memory is what Redis uses.
func (p *place) memory(ctx context.Context) int64 {
	text, err := p.redis.Info(ctx, "memory").Result()
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(text, "used_memory:")
	n, _ := strconv.ParseInt(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]), 10, 64)
	return n
}

// status reads a number of kilobytes from what the system tells of a process.
func status(cmd *exec.Cmd, name string) int64 {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, is := strings.CutPrefix(line, name+":"); is {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// until waits for a condition.
func until(ctx context.Context, d time.Duration, holds func() (bool, error)) error {
	for {
		done, err := holds()
		if err != nil || done {
			return err
		}
		if pause(ctx, d); ctx.Err() != nil {
			return errors.Join(errors.New("it takes too long"), ctx.Err())
		}
	}
}
