package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/internal/config"
	"github.com/orchis-run/orchis/internal/daemon"
	"github.com/orchis-run/orchis/internal/embedded"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/pkg/client"
)

func (a *app) devCommand() *cobra.Command {
	var workers int
	var listen string
	c := &cobra.Command{
		Use: "dev", Short: "Run an orchestrator and workers here until Ctrl-C", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if listen != "" {
				a.settings.Listen = listen
			}
			a.settings.Files = []string{"/"} // it is the user's own machine
			jobs, err := daemon.Jobs(a.settings)
			if err != nil {
				return &exit{exitUsage, err}
			}
			if a.settings.RedisURL == "" {
				stop, err := a.ownRedis(cmd.Context())
				if err != nil {
					return err
				}
				defer stop()
				forget, err := a.announce()
				if err != nil {
					return err
				}
				defer forget()
			}
			if err := a.adopt(cmd.Context()); err != nil {
				return err
			}
			a.tell("Redis:  %s\nsubmit: orchis submit NAME, in this folder, or with --redis %[1]s\nCtrl-C stops\n", redisstore.Masked(a.settings.RedisURL))
			return a.locally(cmd.Context(), jobs, workers, func(ctx context.Context, watch *daemon.Watch) error {
				address := a.settings.Listen
				if address == config.Off {
					<-ctx.Done()
					return nil
				}
				site, closeSite, err := daemon.Site(ctx, a.settings, address, func(context.Context) []string { return nil }, watch.Handler(), zap.NewNop())
				if err != nil {
					return &exit{exitUsage, err}
				}
				defer closeSite()
				a.tell("open:   http://%s%s/\n", daemon.Shown(address), a.settings.BasePath)
				return api.Serve(ctx, address, site)
			})
		},
	}
	c.Flags().StringVar(&listen, "listen", "", "where the dashboard is served, or off (ORCHIS_LISTEN)")
	c.Flags().IntVar(&workers, "workers", 2, "number of workers")
	return c
}

// ownRedis starts a redis-server that keeps its data in .orchis/redis, or,
// where none is installed, the embedded one.
func (a *app) ownRedis(ctx context.Context) (stop func(), err error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		server, err := embedded.Start()
		if err != nil {
			return nil, err
		}
		a.settings.RedisURL = server.URL()
		a.tell("embedded Redis, in memory: nothing is kept when this command ends (install redis-server to keep runs)\n")
		return server.Close, nil
	}
	dir, err := filepath.Abs(filepath.Join(a.settings.Project, ".orchis", "redis"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("keep the data of Redis: %w", err)
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, //nolint:noctx // it is stopped below, after all else
		"--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", "--logfile", filepath.Join(dir, "redis.log"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	a.settings.RedisURL = fmt.Sprintf("redis://127.0.0.1:%d", port)
	if err := a.answers(ctx); err != nil {
		stop()
		return nil, fmt.Errorf("start %s, see %s: %w", program, filepath.Join(dir, "redis.log"), err)
	}
	a.tell("redis-server with its data in %s\n", dir)
	return stop, nil
}

// devFile holds the URL of the Redis that orchis dev has started for a project.
func (a *app) devFile() string { return filepath.Join(a.settings.Project, ".orchis", "dev.url") }

// announce lets other commands in this project find the Redis of this one.
func (a *app) announce() (forget func(), err error) {
	file := a.devFile()
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, fmt.Errorf("say where Redis is: %w", err)
	}
	if err := os.WriteFile(file, []byte(a.settings.RedisURL+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("say where Redis is: %w", err)
	}
	return func() { _ = os.Remove(file) }, nil
}

// announced returns the URL of the Redis of an orchis dev that is running for
// this project.
func (a *app) announced(ctx context.Context) (url string, ok bool) {
	text, err := os.ReadFile(a.devFile())
	if err != nil {
		return "", false
	}
	url = strings.TrimSpace(string(text))
	c, err := client.Open(ctx, client.Config{URL: url, Prefix: a.settings.Prefix, Partitions: a.settings.Partitions})
	if err != nil {
		return "", false // it was killed, and is not there any more
	}
	return url, c.Close() == nil
}

// adopt has artifacts removed when no run of this Redis refers to them, unless
// they are kept where others may have some.
func (a *app) adopt(ctx context.Context) error {
	if a.settings.Source("ORCHIS_ARTIFACTS") != "default" {
		return nil
	}
	return a.with(ctx, func(c *client.Client) error {
		s, err := a.store()
		if err != nil {
			return err
		}
		return c.AdoptArtifacts(ctx, s)
	})
}

// answers waits until Redis does.
func (a *app) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := client.Open(ctx, client.Config{URL: a.settings.RedisURL, Prefix: a.settings.Prefix, Partitions: a.settings.Partitions})
		if err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	at, ok := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil || !ok {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return at.Port, nil
}
