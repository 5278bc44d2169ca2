// Package embedded is the Redis that needs no installation: it lives in the
// process, keeps everything in memory and is gone with it.
package embedded

import (
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Server is an in-process Redis on a free port of the loopback address.
type Server struct {
	m    *miniredis.Miniredis
	stop chan struct{}
	wg   sync.WaitGroup
}

// Start starts a server.
func Start() (*Server, error) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start the embedded Redis: %w", err)
	}
	s := &Server{m: m, stop: make(chan struct{})}
	s.wg.Go(s.age)
	return s, nil
}

// age lets expiry times pass, which the server does not do by itself.
func (s *Server) age() {
	const tick = 100 * time.Millisecond
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.m.FastForward(tick)
		case <-s.stop:
			return
		}
	}
}

// URL is where the server listens.
func (s *Server) URL() string { return "redis://" + s.m.Addr() }

// Close stops the server; everything in it is lost.
func (s *Server) Close() {
	close(s.stop)
	s.wg.Wait()
	s.m.Close()
}
