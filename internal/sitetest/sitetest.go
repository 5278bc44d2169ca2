// Package sitetest gives tests a whole installation in their own process: an
// orchestrator, a worker, and the dashboard and API before them.
package sitetest

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/config"
	"github.com/orchis-run/orchis/internal/daemon"
	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
)

// Site is what a test has.
type Site struct {
	URL    string
	Client *client.Client
	t      *testing.T
}

// Project writes files, by their path, into a new folder.
func Project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Start starts all of it on a Redis, for the recipes in a folder; change may
// change the settings before. It ends with the test.
func Start(t *testing.T, srv redistest.Server, project string, change func(*config.Settings)) *Site {
	t.Helper()
	s := config.Settings{
		RedisURL: srv.URL, Project: project, MaxRetries: 1, JobTimeout: time.Minute, Lease: time.Second, Window: 100,
		Artifacts: t.TempDir(), ArtifactAge: -1, BlobMax: "8MiB", Slots: 4, ShutdownGrace: time.Second, Queues: []string{"default"},
		WorkerName: "worker-1", UnknownHandlers: "reject", API: "on",
	}
	if change != nil {
		change(&s)
	}
	store, err := redisstore.Open(t.Context(), redisstore.Config{URL: srv.URL})
	must(t, err)
	jobs, err := daemon.Jobs(s)
	must(t, err)
	o, err := daemon.NewOrchestrator(s, 50*time.Millisecond, store, nil, zap.NewNop())
	must(t, err)
	w, err := daemon.NewWorker(s, 50*time.Millisecond, jobs, nil, zap.NewNop())
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 2)
	go func() { ended <- o.Run(ctx) }()
	go func() { ended <- w.Run(ctx) }()
	c, err := client.Open(t.Context(), client.Config{URL: srv.URL})
	must(t, err)
	handler, closeSite, err := daemon.Site(t.Context(), s, "127.0.0.1:0", func(context.Context) []string { return nil }, nil, zap.NewNop())
	must(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		closeSite()
		_ = c.Close()
		_ = store.Close()
	})
	return &Site{URL: server.URL + s.BasePath, Client: c, t: t}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Submit starts a run of a recipe.
func (s *Site) Submit(recipe string, inputs map[string]any) (id string) {
	s.t.Helper()
	id, err := s.Client.Start(s.t.Context(), client.Request{Recipe: recipe, Inputs: inputs, By: "ann"})
	must(s.t, err)
	return id
}

// Ended starts a run and waits for its end.
func (s *Site) Ended(recipe string, inputs map[string]any) (id string) {
	s.t.Helper()
	id = s.Submit(recipe, inputs)
	_, err := s.Client.Wait(s.t.Context(), id)
	must(s.t, err)
	return id
}
