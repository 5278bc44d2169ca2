package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// Node is a redis-server on a port of this machine, one of several.
type Node struct {
	port, bus int
	dir       string
	argv      []string
	cmd       *exec.Cmd
}

// newNode starts a redis-server on free ports, with the arguments that want
// makes of them.
func newNode(path string, want func(n *Node) []string) (*Node, error) {
	dir, err := os.MkdirTemp("", "orchis-node-")
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		n := &Node{dir: dir}
		if n.port, n.bus, err = freePorts(); err == nil {
			n.argv = append([]string{path}, want(n)...)
			n.argv = append(
				n.argv, "--port", strconv.Itoa(n.port), "--bind", "127.0.0.1", "--dir", dir,
				"--save", "", "--appendonly", "no", "--logfile", filepath.Join(dir, "log"), "--repl-diskless-sync-delay", "0",
			)
			err = n.Start()
		}
		if err == nil {
			return n, nil
		}
		if try == 4 { // somebody else was faster to take the port
			n.stop()
			return nil, err
		}
	}
}

func freePorts() (port, bus int, err error) {
	for _, p := range []*int{&port, &bus} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, 0, err
		}
		defer func() { _ = l.Close() }()
		*p = l.Addr().(*net.TCPAddr).Port
	}
	return port, bus, nil
}

// Start starts the program on its old place and waits for an answer.
func (n *Node) Start() error {
	n.cmd = exec.Command(n.argv[0], n.argv[1:]...)
	if err := n.cmd.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		_ = n.cmd.Wait()
		close(gone)
	}()
	return until(fmt.Sprintf("the redis-server on port %d answers", n.port), func() error {
		select {
		case <-gone:
			text, _ := os.ReadFile(filepath.Join(n.dir, "log"))
			return goneError{fmt.Errorf("redis-server ended: %s", text)}
		default:
		}
		return n.do(func(c *redis.Client) error { return c.Ping(context.Background()).Err() })
	})
}

// Kill ends the program at once, as a crash would.
func (n *Node) Kill() {
	if n.cmd != nil && n.cmd.Process != nil {
		_ = n.cmd.Process.Kill()
		_, _ = n.cmd.Process.Wait()
	}
}

// Signal sends a signal to the program.
func (n *Node) Signal(sig syscall.Signal) error { return n.cmd.Process.Signal(sig) }

func (n *Node) stop() {
	n.Kill()
	_ = os.RemoveAll(n.dir)
}

// Addr is host and port.
func (n *Node) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)) }

// do connects for one purpose.
func (n *Node) do(what func(c *redis.Client) error) error {
	c := redis.NewClient(&redis.Options{Addr: n.Addr(), MaxRetries: -1, DisableIdentity: true, DialerRetries: 1, DialTimeout: time.Second, ReadTimeout: 10 * time.Second})
	defer func() { _ = c.Close() }()
	return what(c)
}

// command sends one command.
func (n *Node) command(args ...any) error {
	err := n.do(func(c *redis.Client) error { return c.Do(context.Background(), args...).Err() })
	if err != nil {
		return fmt.Errorf("%v on port %d: %w", args, n.port, err)
	}
	return nil
}

// goneError is an error that waiting cannot mend.
type goneError struct{ error }

// until waits, for a minute at most, until something works.
func until(what string, works func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for {
		err := works()
		var gone goneError
		if err == nil || errors.As(err, &gone) {
			return err
		}
		select {
		case <-tick.C:
		case <-late:
			return fmt.Errorf("it does not happen that %s: %w", what, err)
		}
	}
}

// startAll starts several nodes at once; when one fails, none is left.
func startAll(count int, start func(i int) (*Node, error)) ([]*Node, error) {
	nodes, errs := make([]*Node, count), make([]error, count)
	done := make(chan int)
	for i := range count {
		go func() {
			nodes[i], errs[i] = start(i)
			done <- i
		}()
	}
	for range count {
		<-done
	}
	if err := errors.Join(errs...); err != nil {
		for _, n := range nodes {
			if n != nil {
				n.stop()
			}
		}
		return nil, err
	}
	return nodes, nil
}
