package api

import (
	"context"
	"net"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
)

func TestHealthTellsWhetherItWorks(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	reasons := make(chan []string, 1)
	reasons <- nil
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, address, Health(func(context.Context) []string { r := <-reasons; reasons <- r; return r }, "v1", nil))
	}()
	redistest.Until(t, "it is ready", func() bool { return Check(t.Context(), address) == nil })
	<-reasons
	reasons <- []string{"draining"}
	if err := Check(t.Context(), address); err == nil || err.Error() != "check health: not ready (503 Service Unavailable)" {
		t.Errorf("while draining: %v", err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := Check(t.Context(), address); err == nil {
		t.Error("it still answers")
	}
	if err := Serve(t.Context(), "", nil); err != nil {
		t.Errorf("switched off: %v", err)
	}
}
