// Package api is the HTTP API of an orchestrator: runs, control, health.
package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// health adds /healthz (the process is there), /readyz (it works; 503 with the
// reasons when it does not) and /version.
func health(mux *http.ServeMux, ready func(context.Context) []string, version string) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]string{"version": version})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		reasons := ready(r.Context())
		status := http.StatusOK
		if len(reasons) > 0 {
			status = http.StatusServiceUnavailable
		}
		write(w, status, map[string]any{"ready": len(reasons) == 0, "reasons": reasons})
	})
}

// Health is a handler of health checks alone, and of metrics if given.
func Health(ready func(context.Context) []string, version string, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	health(mux, ready, version)
	if metrics != nil {
		mux.Handle("GET /metrics", metrics)
	}
	return mux
}

// Serve answers with a handler at an address until ctx ends. At the address ""
// it serves nothing.
func Serve(ctx context.Context, address string, h http.Handler) error {
	if address == "" {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return ServeOn(ctx, l, h)
}

// ServeOn is Serve on a listener.
func ServeOn(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }, // streams end with it
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer requests: %w", err)
	}
	return nil
}

// Check asks a running process whether it is ready.
func Check(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if host, port, err := net.SplitHostPort(address); err == nil && (host == "" || net.ParseIP(host).IsUnspecified()) {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("check health: not ready (%s)", res.Status)
	}
	return nil
}
