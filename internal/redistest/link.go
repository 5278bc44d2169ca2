package redistest

import (
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Link is one process's way to a real server, which can be cut, blocked and
// slowed down.
type Link struct {
	// URL leads through the link.
	URL     string
	backend string

	mu    sync.Mutex
	free  *sync.Cond
	conns map[net.Conn]bool
	hole  Direction
	drop  bool
	delay time.Duration
	over  bool
}

// Direction is a way through a link.
type Direction int

// The ways through a link: what the process sends, and what Redis replies.
const (
	Requests Direction = 1 << iota
	Replies
)

// NewLink opens a link of a name.
func NewLink(t testing.TB, s Server, name string) *Link {
	t.Helper()
	l := &Link{backend: s.Socket(), conns: map[net.Conn]bool{}}
	l.free = sync.NewCond(&l.mu)
	socket := filepath.Join(filepath.Dir(l.backend), name+".sock")
	in, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l.URL = "unix://" + socket
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			c, err := in.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { l.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = in.Close()
		l.mu.Lock()
		l.over = true
		l.mu.Unlock()
		l.free.Broadcast()
		l.Cut()
		wait.Wait()
	})
	return l
}

// Cut breaks all connections; new ones are possible at once.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close()
	}
}

// Block lets nothing through in the given directions until it is called with
// others, or 0; connections stay open. With Replies alone commands are carried
// out of which the process hears nothing.
func (l *Link) Block(ways Direction) {
	l.mu.Lock()
	l.hole = ways
	l.mu.Unlock()
	l.free.Broadcast()
}

// DropReply breaks a connection instead of passing its next reply on: the
// command was carried out, and the process does not hear of it.
func (l *Link) DropReply() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop = true
}

// Slow lets everything through so much later; 0 ends it.
func (l *Link) Slow(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

func (l *Link) serve(client net.Conn) {
	server, err := net.Dial("unix", l.backend)
	if err != nil {
		_ = client.Close()
		return
	}
	l.mu.Lock()
	l.conns[client], l.conns[server] = true, true
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.carry(server, client, Requests) })
	l.carry(client, server, Replies)
	both.Wait()
	l.mu.Lock()
	delete(l.conns, client)
	delete(l.conns, server)
	l.mu.Unlock()
}

// carry copies one direction; when it ends, so does the other.
func (l *Link) carry(to, from net.Conn, way Direction) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || !l.pass(way) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// pass waits until what was read may go on; false means that it may not, and
// that its connection ends.
func (l *Link) pass(way Direction) bool {
	l.mu.Lock()
	for l.hole&way != 0 && !l.over {
		l.free.Wait()
	}
	delay, over := l.delay, l.over
	if l.drop && way == Replies {
		l.drop, over = false, true
	}
	l.mu.Unlock()
	if delay > 0 && !over {
		<-time.After(delay)
	}
	return !over
}
