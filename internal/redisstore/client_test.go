package redisstore

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/redistest"
)

// deaf is a connection that breaks once, after a command was sent and before
// its reply is read.
type deaf struct {
	net.Conn
	word   []byte
	broken *atomic.Bool
}

func (d *deaf) Write(p []byte) (int, error) {
	n, err := d.Conn.Write(p)
	if err == nil && bytes.Contains(bytes.ToLower(p), d.word) && d.broken.CompareAndSwap(false, true) {
		reply := make([]byte, 1)
		_, err = d.Read(reply) // it was carried out
		_ = d.Close()
		return n, err
	}
	return n, err
}

// TestAClusterIsSentACommandOnce: the library would send it again.
func TestAClusterIsSentACommandOnce(t *testing.T) {
	t.Parallel()
	c := redistest.NewCluster(t, false)
	for name, send := range map[string]func(c redis.UniversalClient) error{
		"command":     func(c redis.UniversalClient) error { return add(c).Err() },
		"pipeline":    func(c redis.UniversalClient) error { return piped(c.Pipeline()) },
		"transaction": func(c redis.UniversalClient) error { return piped(c.TxPipeline()) },
	} {
		goal, err := parseURL(c.URL)
		if err != nil {
			t.Fatal(err)
		}
		var broken atomic.Bool
		goal.cluster.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return &deaf{conn, []byte("xadd"), &broken}, err
		}
		client := goal.connect("test", 1)
		err = send(client)
		if !IsRetryable(err) || !broken.Load() {
			t.Errorf("%s: a lost reply gives %v", name, err)
		}
		n, err := client.XLen(t.Context(), "stream").Result()
		if err != nil || n != 1 {
			t.Errorf("%s: there are %d entries (%v)", name, n, err)
		}
		if err := client.Del(t.Context(), "stream").Err(); err != nil {
			t.Error(err)
		}
		_ = client.Close()
	}
}

func add(c redis.Cmdable) *redis.StringCmd {
	return c.XAdd(context.Background(), &redis.XAddArgs{Stream: "stream", Values: []any{"a", 1}})
}

func piped(p redis.Pipeliner) error {
	add(p)
	_, err := p.Exec(context.Background())
	return err
}

// TestReadersThatWaitLeaveConnectionsToOthers: a worker and an orchestrator may
// wait in every partition, and commands must not wait for them.
func TestReadersThatWaitLeaveConnectionsToOthers(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	s, err := Open(t.Context(), Config{URL: srv.URL, Partitions: 40})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	again, err := Open(t.Context(), Config{URL: srv.URL}) // the number is in Redis
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	const wait = 4 * time.Second
	done := make(chan error, 80)
	for p := range 40 {
		for range 2 {
			go func() { _, err := again.ReadEvents(context.Background(), p, "o", 1, wait); done <- err }()
		}
	}
	redistest.Until(t, "all readers wait", func() bool {
		text, err := s.client.Info(t.Context(), "clients").Result()
		return err == nil && bytes.Contains([]byte(text), []byte("blocked_clients:80"))
	})
	if _, err := again.Workers(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(done); n > 0 {
		t.Errorf("a command was answered when %d readers had given their connections back", n)
	}
	for range 80 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
