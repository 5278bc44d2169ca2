// Package redistest gives tests a Redis of their own: the embedded one, and a
// real redis-server where one is installed.
package redistest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/embedded"
)

// Server is a Redis that belongs to one test.
type Server struct {
	URL  string
	Real bool
	// Prefix begins the keys of the test, where several share a Redis.
	Prefix string
	// Partitions are those of a store that finds it empty.
	Partitions int
	cmd        *exec.Cmd
	argv       []string
	cli        func() []string
}

// CLI are the arguments with which redis-cli reaches a real server.
func (s Server) CLI() []string {
	if s.cli != nil {
		return s.cli()
	}
	return []string{"-s", s.Socket()}
}

// Each runs a test against the embedded Redis and against a real one. Without
// a redis-server on PATH the second is skipped, but not when CI is true.
func Each(t *testing.T, test func(t *testing.T, s Server)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, Embedded(t))
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		test(t, Real(t))
	})
}

// Embedded starts an in-process Redis.
func Embedded(t testing.TB) Server {
	t.Helper()
	s, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return Server{URL: s.URL(), Partitions: 1}
}

// Real starts a redis-server on a socket of the test's own.
func Real(t testing.TB) Server {
	t.Helper()
	return serve(t, "no", "")
}

// Durable starts a redis-server that keeps an append-only file, so that it can
// be restarted.
func Durable(t testing.TB) Server {
	t.Helper()
	return serve(t, "yes", "")
}

// DurableIn is Durable with its files in a folder.
func DurableIn(t testing.TB, dir string) Server {
	t.Helper()
	return serve(t, "yes", dir)
}

// binary finds redis-server, or ends the test.
func binary(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI=true and there is no redis-server on PATH")
		}
		t.Skip("no redis-server on PATH: this part ran on the embedded Redis only")
	}
	return path
}

// serve starts a server whose files are in dir, or beside its socket.
func serve(t testing.TB, appendOnly, dir string) Server {
	t.Helper()
	path := binary(t)
	short, err := os.MkdirTemp("", "orchis-redis-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	if dir == "" {
		dir = short
	}
	socket := filepath.Join(short, "redis.sock")
	s := Server{URL: "unix://" + socket, Real: true, Partitions: 1, argv: []string{
		path, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "",
		"--appendonly", appendOnly, "--appendfsync", "everysec", "--logfile", filepath.Join(dir, "log"),
	}}
	s.cmd = s.launch(t)
	return s
}

// launch starts the program; it is killed when the test ends.
func (s Server) launch(t testing.TB) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitFor(t, s.Socket())
	return cmd
}

// Restart kills the server and starts it again on the same data and socket.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	s.cmd = s.launch(t)
}

// Signal sends a signal to the server.
func (s Server) Signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// Do sends a command to a server that is one Redis, as somebody would by hand.
func (s Server) Do(t testing.TB, args ...any) string {
	t.Helper()
	o, err := redis.ParseURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	defer func() { _ = c.Close() }()
	reply, err := c.Do(t.Context(), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return fmt.Sprint(reply)
}

// Socket is the path of a real server's socket.
func (s Server) Socket() string { return strings.TrimPrefix(s.URL, "unix://") }

// waitFor waits until the server answers on its socket.
func waitFor(t testing.TB, socket string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for {
		c, err := net.Dial("unix", socket)
		if err == nil {
			_, err = c.Write([]byte("PING\r\n"))
			reply := make([]byte, 16)
			n, readErr := c.Read(reply)
			_ = c.Close()
			if err == nil && readErr == nil && strings.HasPrefix(string(reply[:n]), "+PONG") {
				return
			}
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("redis-server does not answer")
		}
	}
}

// Kill ends a real server at once, as a crash would.
func (s Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_, _ = s.cmd.Process.Wait()
	}
}
