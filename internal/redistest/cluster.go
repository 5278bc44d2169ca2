package redistest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	masters = 3
	slots   = 16384
)

// Cluster is a Redis Cluster of three masters, with a replica for each or none.
type Cluster struct {
	Server
	nodes []*Node
}

// NewCluster starts a Cluster that belongs to one test.
func NewCluster(t testing.TB, replicas bool) *Cluster {
	t.Helper()
	c, err := StartCluster(binary(t), replicas)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// StartCluster starts a Cluster.
func StartCluster(path string, replicas bool) (*Cluster, error) {
	count, timeout := masters, "5000"
	if replicas { // they are to take over soon
		count, timeout = 2*masters, "1000"
	}
	nodes, err := startAll(count, func(int) (*Node, error) {
		return newNode(path, func(n *Node) []string {
			return []string{
				"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(n.bus), "--cluster-node-timeout", timeout,
				"--cluster-replica-validity-factor", "0", "--cluster-allow-replica-migration", "no",
			}
		})
	})
	if err != nil {
		return nil, err
	}
	c := &Cluster{nodes: nodes}
	var hosts []string
	for _, n := range nodes {
		hosts = append(hosts, n.Addr())
	}
	c.Server = Server{URL: "redis+cluster://" + strings.Join(hosts, ","), Real: true, Partitions: 16}
	c.cli = func() []string { return []string{"-c", "-p", strconv.Itoa(c.Masters()[0].port)} }
	if err := c.create(); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// create shares the slots out and introduces the nodes to each other.
func (c *Cluster) create() error {
	first := c.nodes[0]
	for i, n := range c.nodes {
		var errs []error
		if i < masters {
			errs = append(errs, n.command("CLUSTER", "ADDSLOTSRANGE", i*slots/masters, (i+1)*slots/masters-1))
		}
		errs = append(errs, n.command("CLUSTER", "SET-CONFIG-EPOCH", i+1), n.command("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus))
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	if err := c.Healthy(); err != nil {
		return err
	}
	for i, n := range c.nodes[masters:] {
		id, err := c.nodes[i].id()
		if err != nil {
			return err
		}
		if err := n.command("CLUSTER", "REPLICATE", id); err != nil {
			return err
		}
	}
	return c.Healthy()
}

// Stop ends all nodes.
func (c *Cluster) Stop() {
	for _, n := range c.nodes {
		n.stop()
	}
}

// Healthy waits until every node says that the Cluster is well and knows all
// others, and every replica is in step with its master.
func (c *Cluster) Healthy() error {
	for _, n := range c.nodes {
		err := until("the cluster is well", func() error {
			return n.do(func(r *redis.Client) error {
				info, err := r.ClusterInfo(context.Background()).Result()
				if err != nil {
					return err
				}
				lines, err := r.ClusterNodes(context.Background()).Result()
				if err != nil {
					return err
				}
				role, err := r.Info(context.Background(), "replication").Result()
				if err != nil {
					return err
				}
				switch {
				case !strings.Contains(info, "cluster_state:ok"), strings.Count(lines, "\n") != len(c.nodes),
					strings.Contains(lines, "fail"), strings.Contains(lines, "handshake"), strings.Contains(role, "master_link_status:down"):
					return fmt.Errorf("port %d sees %s%s", n.port, info, lines)
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) id() (id string, err error) {
	err = n.do(func(c *redis.Client) error {
		id, err = c.Do(context.Background(), "CLUSTER", "MYID").Text()
		return err
	})
	return id, err
}

// Masters returns the nodes that are masters now.
func (c *Cluster) Masters() []*Node {
	var out []*Node
	for _, n := range c.nodes {
		if n.isMaster() {
			out = append(out, n)
		}
	}
	return out
}

func (n *Node) isMaster() bool {
	is := false
	_ = n.do(func(c *redis.Client) error {
		text, err := c.Info(context.Background(), "replication").Result()
		is = strings.Contains(text, "role:master")
		return err
	})
	return is
}

// Failover kills the master of a key, waits until a replica has taken its
// place, and starts the killed one again.
func (c *Cluster) Failover(key string) error {
	old, err := c.MasterOf(key)
	if err != nil {
		return err
	}
	old.Kill()
	err = until("a replica takes over", func() error {
		now, err := c.MasterOf(key)
		if err == nil && now == old {
			err = errors.New("no replica has taken over")
		}
		return err
	})
	return errors.Join(err, old.Start(), c.Healthy())
}

// Slot is the slot of a key.
func (c *Cluster) Slot(key string) (slot int64, err error) {
	for _, n := range c.nodes {
		err = n.do(func(r *redis.Client) error {
			slot, err = r.ClusterKeySlot(context.Background(), key).Result()
			return err
		})
		if err == nil {
			break
		}
	}
	return slot, err
}

// MasterOf returns the master that serves a key. A node that is not up does not
// count as one.
func (c *Cluster) MasterOf(key string) (*Node, error) {
	slot, err := c.Slot(key)
	if err != nil {
		return nil, err
	}
	for _, n := range c.nodes {
		if n.serves(slot) {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no node serves slot %d", slot)
}

// serves reports whether a node believes a slot to be its own.
func (n *Node) serves(slot int64) bool { return n.servant(slot) == n.port }

// servant is the port of the master that serves a slot, as a node sees it.
func (n *Node) servant(slot int64) (port int) {
	_ = n.do(func(r *redis.Client) error {
		shards, err := r.ClusterShards(context.Background()).Result()
		for _, shard := range shards {
			for _, in := range shard.Slots {
				if slot < in.Start || slot > in.End {
					continue
				}
				for _, node := range shard.Nodes {
					if node.Role == "master" {
						port = int(node.Port)
					}
				}
			}
		}
		return err
	})
	return port
}
