package redistest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// Shared is a Cluster and a Redis with Sentinels for all tests of a package;
// each test has a prefix of its own. TestMain calls Stop at the end.
type Shared struct {
	cluster   lazy[*Cluster]
	sentinels lazy[*Sentinels]
	tests     atomic.Int64
}

// lazy is something that is started when it is first asked for.
type lazy[T interface{ Stop() }] struct {
	once sync.Once
	it   T
	err  error
	up   bool
}

func (l *lazy[T]) get(start func() (T, error)) (T, error) {
	l.once.Do(func() {
		l.it, l.err = start()
		l.up = l.err == nil
	})
	return l.it, l.err
}

func (l *lazy[T]) stop() {
	if l.up {
		l.it.Stop()
	}
}

// Stop ends what was started.
func (s *Shared) Stop() {
	s.cluster.stop()
	s.sentinels.stop()
}

// Each runs a test as the function of this name does, and on a Cluster and
// through Sentinels too.
func (s *Shared) Each(t *testing.T, test func(t *testing.T, s Server)) {
	t.Helper()
	Each(t, test)
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		path := binary(t)
		c, err := s.cluster.get(func() (*Cluster, error) { return StartCluster(path, false) })
		if err != nil {
			t.Fatal(err)
		}
		test(t, s.own(c.Server))
	})
	t.Run("sentinels", func(t *testing.T) {
		t.Parallel()
		path := binary(t)
		c, err := s.sentinels.get(func() (*Sentinels, error) { return StartSentinels(path) })
		if err != nil {
			t.Fatal(err)
		}
		test(t, s.own(c.Server))
	})
}

func (s *Shared) own(srv Server) Server {
	srv.Prefix = fmt.Sprint("t", s.tests.Add(1))
	return srv
}
