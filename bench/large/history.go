package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/run"
)

// history fills Redis with runs that have ended and asks for lists of them.
func history(ctx context.Context, b *bench) error {
	p, err := settle(ctx, b.dir, b.orchestrator)
	if err != nil {
		return err
	}
	defer p.leave()
	p.stop(p.orch)
	before, began := p.memory(ctx), time.Now()
	if err := fill(ctx, p.url, b.history); err != nil {
		return err
	}
	b.say("%d runs in the history, written in %.0f s; Redis %d B each", b.history, time.Since(began).Seconds(), (p.memory(ctx)-before)/int64(b.history))
	if err := b.slow(ctx, p); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	address := "127.0.0.1:" + strconv.Itoa(port)
	if p.orch, err = p.start(ctx, b.orchestrator, "LOG_LEVEL=warn", "ORCHIS_LISTEN="+address); err != nil {
		return err
	}
	base := "http://" + address
	err = until(ctx, 20*time.Millisecond, func() (bool, error) {
		_, err := get(ctx, base+"/healthz")
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	for _, path := range []string{
		"/api/v1/runs", "/api/v1/runs?limit=500", "/api/v1/runs?recipe=rare", "/api/v1/runs?state=failed", "/api/v1/runs?recipe=recipe3&state=failed",
		"/api/v1/runs?recipe=rare&state=succeeded", "/api/v1/runs?state=running", "/", "/runs", "/runs?recipe=rare", "/runs?state=failed",
	} {
		if err := b.asked(ctx, "GET "+path, func() error { _, err := get(ctx, base+path); return err }); err != nil {
			return err
		}
	}
	if err := b.listed(ctx, p); err != nil {
		return err
	}
	return b.slow(ctx, p)
}

// asked does a thing twenty times.
func (b *bench) asked(ctx context.Context, what string, do func() error) error {
	var times []time.Duration
	for range 20 {
		began := time.Now()
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		times = append(times, time.Since(began))
		pause(ctx, 5*time.Millisecond)
	}
	slices.Sort(times)
	b.say("%s: median %.1f ms, at most %.1f ms", what, times[10].Seconds()*1000, times[19].Seconds()*1000)
	return nil
}

// listed asks by the command of the CLI.
func (b *bench) listed(ctx context.Context, p *place) error {
	program, err := build(ctx, b.dir, "orchis")
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"list"}, {"list", "--recipe", "rare"}, {"list", "--state", "failed"}} {
		err := b.asked(ctx, "orchis "+fmt.Sprint(args), func() error {
			cmd := exec.CommandContext(ctx, program, args...)
			cmd.Env = append(cmd.Environ(), "REDIS_URL="+p.url)
			return cmd.Run()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func get(ctx context.Context, url string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, res.Status)
	}
	return int(n), err
}

// fill writes runs that have ended, as an orchestrator would: a thousand in
// one commit. One in a hundred has failed, and a hundred are of a rare recipe
// and older than all others.
func fill(ctx context.Context, url string, runs int) error {
	s, err := redisstore.Open(ctx, redisstore.Config{URL: url})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	now := time.Now().UnixMilli()
	var batch []wire.Commit
	for i := range runs {
		at := now - int64(runs-i)*100
		rec := run.Run{
			State: run.Succeeded, Recipe: fmt.Sprint("recipe", i%20), Definition: "sha256:history", Inputs: []byte(`{"day":"2026-01-01"}`), Outputs: []byte(`{"ok":true}`),
			SubmittedBy: "bench", Created: at - 900, Started: at - 800, Ended: at, Counts: run.Counts{Succeeded: 3},
		}
		switch {
		case i < 100:
			rec.Recipe = "rare"
		case i%100 == 0:
			rec.State, rec.Error = run.Failed, &run.Error{Code: run.CodeError, Message: "it did not work"}
		}
		id := fmt.Sprintf("%08x-0000-7000-8000-%012x", i, i)
		batch = append(batch, wire.Commit{Run: id, Fields: rec.Fields(), Tasks: []string{"only", `{"state":"succeeded","attempt":1}`}, Done: at})
		if len(batch) == 1000 || i == runs-1 {
			if _, err := s.Commit(ctx, s.PartitionOf(id), batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return nil
}
