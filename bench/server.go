package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a redis-server of our own on a free port of this machine.
type server struct {
	addr   string
	cmd    *exec.Cmd
	client *redis.Client
}

// startServer starts one; aof is off, everysec or always.
func startServer(ctx context.Context, dir, aof string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only asks for a free port
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	data, err := os.MkdirTemp(dir, "redis-")
	if err != nil {
		return nil, err
	}
	args := []string{"--port", port, "--bind", "127.0.0.1", "--dir", data, "--save", "", "--appendonly", "no", "--slowlog-log-slower-than", "10000"}
	if aof != "off" {
		args = append(args, "--appendonly", "yes", "--appendfsync", aof)
	}
	s := &server{addr: addr, cmd: exec.CommandContext(ctx, "redis-server", args...), client: redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: time.Minute})}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	for range 200 {
		if s.client.Ping(ctx).Err() == nil {
			return s, nil
		}
		pause(ctx, 20*time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("redis-server at %s does not answer", addr)
}

func (s *server) stop() {
	_ = s.client.Close()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// usage is what a server has used up so far.
type usage struct {
	cpu      time.Duration
	memory   int64
	commands int64
}

func (s *server) usage(ctx context.Context) (usage, error) {
	text, err := s.client.Info(ctx, "cpu", "memory", "stats").Result()
	if err != nil {
		return usage{}, fmt.Errorf("ask Redis what it used: %w", err)
	}
	var u usage
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		switch name {
		case "used_cpu_sys", "used_cpu_user":
			u.cpu += time.Duration(f * float64(time.Second))
		case "used_memory":
			u.memory = int64(f)
		case "total_commands_processed":
			u.commands = int64(f)
		}
	}
	return u, nil
}

// commandStats are the commands that took the most time, as Redis tells it.
func (s *server) commandStats(ctx context.Context) (string, error) {
	return s.client.Info(ctx, "commandstats").Result()
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// resident is the resident memory of a process, in bytes.
func resident(pid int) int64 {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, is := strings.CutPrefix(line, "VmRSS:"); is {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err == nil {
				return kb << 10
			}
		}
	}
	return 0
}

// processorTime is what a process has used of the processors.
func processorTime(pid int) time.Duration {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:13] { // user and system, in hundredths of a second
		if n, err := strconv.ParseInt(f, 10, 64); err == nil {
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
