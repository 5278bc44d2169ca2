package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// masterName is what the Sentinels call the master.
const masterName = "orchis"

// Sentinels is a master and its replica, watched by three Sentinels.
type Sentinels struct {
	Server
	data, watch []*Node
}

// NewSentinels starts Sentinels that belong to one test.
func NewSentinels(t testing.TB) *Sentinels {
	t.Helper()
	s, err := StartSentinels(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// StartSentinels starts a master, its replica and three Sentinels.
func StartSentinels(path string) (*Sentinels, error) {
	master, err := newNode(path, func(*Node) []string { return nil })
	if err != nil {
		return nil, err
	}
	s := &Sentinels{data: []*Node{master}}
	more, err := startAll(4, func(i int) (*Node, error) {
		if i == 0 {
			return newNode(path, func(*Node) []string { return []string{"--replicaof", "127.0.0.1", strconv.Itoa(master.port)} })
		}
		return newNode(path, func(n *Node) []string { return sentinelArgs(n, master.port) })
	})
	if err != nil {
		s.Stop()
		return nil, err
	}
	s.data, s.watch = append(s.data, more[0]), more[1:]
	var hosts []string
	for _, n := range s.watch {
		hosts = append(hosts, n.Addr())
	}
	s.Server = Server{URL: "redis+sentinel://" + strings.Join(hosts, ",") + "/" + masterName, Real: true, Partitions: 1}
	s.cli = func() []string {
		m, err := s.Master()
		if err != nil {
			m = s.data[0]
		}
		return []string{"-p", strconv.Itoa(m.port)}
	}
	if err := s.Healthy(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// sentinelArgs writes the file in which a Sentinel keeps what it knows.
func sentinelArgs(n *Node, master int) []string {
	file := filepath.Join(n.dir, "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]d 2\nsentinel down-after-milliseconds %[1]s 500\nsentinel failover-timeout %[1]s 1500\n", masterName, master)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return []string{file} // redis-server says that it is not there
	}
	return []string{file, "--sentinel"}
}

// Stop ends all nodes.
func (s *Sentinels) Stop() {
	for _, n := range slices.Concat(s.watch, s.data) {
		n.stop()
	}
}

// Master returns the master by the word of the Sentinels, who must be agreed.
func (s *Sentinels) Master() (*Node, error) {
	var found *Node
	for _, w := range s.watch {
		err := w.do(func(c *redis.Client) error {
			text, err := c.Do(context.Background(), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName).StringSlice()
			if err != nil || len(text) != 2 {
				return errors.Join(err, errors.New("no answer"))
			}
			for _, n := range s.data {
				if n.Addr() != net.JoinHostPort(text[0], text[1]) {
					continue
				}
				if found != nil && found != n {
					return errors.New("the Sentinels do not agree")
				}
				found = n
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Healthy waits until the Sentinels agree on the master and know each other and
// the replica, and the replica is in step.
func (s *Sentinels) Healthy() error {
	ctx := context.Background()
	return until("the Sentinels know everybody", func() error {
		master, err := s.Master() //nolint:contextcheck // tests wait by themselves
		if err != nil {
			return err
		}
		for _, w := range s.watch {
			c := redis.NewSentinelClient(&redis.Options{Addr: w.Addr()})
			m, err := c.Master(ctx, masterName).Result()
			_ = c.Close()
			if err != nil || m["flags"] != "master" || m["num-other-sentinels"] != "2" || m["num-slaves"] != "1" {
				return errors.Join(err, fmt.Errorf("the Sentinel on port %d sees %v", w.port, m))
			}
		}
		return master.do(func(c *redis.Client) error {
			text, err := c.Info(ctx, "replication").Result()
			if err == nil && !strings.Contains(text, "state=online") {
				err = fmt.Errorf("the replica is not in step: %s", text)
			}
			return err
		})
	})
}

// Failover kills the master, waits until the Sentinels have made the replica the
// new one, and starts the killed one again as its replica.
func (s *Sentinels) Failover() error {
	old, err := s.Master()
	if err != nil {
		return err
	}
	old.Kill()
	var now *Node
	err = until("the replica takes over", func() error {
		if now, err = s.Master(); err == nil && (now == nil || now == old || !now.isMaster()) {
			err = errors.New("the Sentinels name no new master")
		}
		return err
	})
	if err != nil {
		return err
	}
	// It would be told so by the Sentinels after a while.
	old.argv = append(slices.Clone(old.argv), "--replicaof", "127.0.0.1", strconv.Itoa(now.port))
	return errors.Join(old.Start(), s.Healthy())
}
