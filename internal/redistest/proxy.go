package redistest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands between clients and a Redis and drops one reply: the command is
// carried out, and its connection breaks before the client hears of it.
type Proxy struct {
	// URL leads through the proxy.
	URL     string
	backend string
	drop    int64
	count   atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool
	wait  sync.WaitGroup
}

// DropReply starts a proxy that drops the n-th reply; with 0 it drops none.
func DropReply(tb testing.TB, s Server, n int) *Proxy {
	tb.Helper()
	p := &Proxy{backend: s.Socket(), drop: int64(n), conns: map[net.Conn]bool{}}
	socket := filepath.Join(filepath.Dir(p.backend), "proxy.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		tb.Fatal(err)
	}
	p.URL = "unix://" + socket
	p.wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wait.Go(func() { p.serve(c) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.wait.Wait()
	})
	return p
}

// Replies is the number of replies so far.
func (p *Proxy) Replies() int64 { return p.count.Load() }

// Dropped reports whether the reply was dropped.
func (p *Proxy) Dropped() bool { return p.drop > 0 && p.count.Load() >= p.drop }

func (p *Proxy) serve(client net.Conn) {
	server, err := net.Dial("unix", p.backend)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	end := func() { _, _ = client.Close(), server.Close() }
	p.wait.Go(func() {
		defer end()
		_, _ = io.Copy(server, client)
	})
	defer end()
	in := bufio.NewReader(server)
	for {
		var reply bytes.Buffer
		if err := readReply(in, &reply); err != nil || p.count.Add(1) == p.drop {
			return
		}
		if _, err := client.Write(reply.Bytes()); err != nil {
			return
		}
	}
}

// readReply copies one reply of RESP2 or RESP3.
func readReply(in *bufio.Reader, out *bytes.Buffer) error {
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	out.WriteString(line)
	n, parts := 0, 0
	if strings.ContainsRune("$=!*%~>", rune(line[0])) {
		if n, err = strconv.Atoi(strings.TrimSpace(line[1:])); err != nil {
			return fmt.Errorf("read a reply: %w", err)
		}
	}
	switch line[0] {
	case '$', '=', '!':
		if n >= 0 {
			_, err = io.CopyN(out, in, int64(n)+2)
		}
		return err
	case '*', '~', '>':
		parts = n
	case '%':
		parts = 2 * n
	}
	for range parts {
		if err := readReply(in, out); err != nil {
			return err
		}
	}
	return nil
}
