package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// clusterPartitions is the number of partitions on a new Cluster: enough for
// its nodes to share the work.
const clusterPartitions = 16

func (t *target) partitions() int {
	if t.cluster != nil {
		return clusterPartitions
	}
	return 1
}

// poolSize is the number of connections (to each node): two readers may wait in
// each partition, a worker's or an orchestrator's, each of its marks is watched,
// and others must not have to wait for them.
func poolSize(partitions int) int { return 32 + (2+wire.Sides)*partitions } // mutant: pool-size (replace 32 + by 32 + 0 *)

// connect makes a client. A command that the client sends again could count
// twice, so it never does; callers retry what they know to be harmless.
func (t *target) connect(name string, partitions int) redis.UniversalClient {
	const never = -1
	switch {
	case t.sentinel != nil:
		o := *t.sentinel
		o.ClientName, o.MaxRetries, o.DisableIdentity, o.PoolSize = name, never, true, poolSize(partitions)
		o.DialerRetries = 1
		return redis.NewFailoverClient(&o)
	case t.cluster != nil:
		o := *t.cluster
		o.ClientName, o.MaxRetries, o.DisableIdentity, o.PoolSize = name, never, true, poolSize(partitions)
		o.DialerRetries = 1
		o.DisableRoutingPolicies = true // a command goes to the node of its key
		o.ClusterStateReloadInterval = 10 * time.Second
		c := redis.NewClusterClient(&o)
		c.AddHook(clusterHook{c})
		return c
	}
	o := *t.single
	o.ClientName, o.MaxRetries, o.DisableIdentity, o.PoolSize = name, never, true, poolSize(partitions)
	o.DialerRetries = 1
	return redis.NewClient(&o)
}

// clusterHook corrects two habits of the Cluster client. It sends a command
// again when the connection breaks before the reply, whatever MaxRetries says.
// And it goes on asking a node that is gone until the next regular look at the
// Cluster, unless another node answers that the slot has moved.
type clusterHook struct{ client *redis.ClusterClient }

// once is a command that is sent once; redirections (MOVED, ASK) are followed,
// since the node that gives one has done nothing.
type once struct{ redis.Cmder }

func (once) NoRetry() bool { return true } // mutant: cluster-no-retry (false)

// DialHook changes nothing.
func (clusterHook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook sends a command once.
func (h clusterHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, once{cmd})
		h.look(ctx, err)
		return err
	}
}

// ProcessPipelineHook sends each command of a pipeline once.
func (h clusterHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		all := make([]redis.Cmder, len(cmds))
		for i, cmd := range cmds {
			all[i] = once{cmd}
		}
		err := next(ctx, all)
		h.look(ctx, err)
		return err
	}
}

// look makes the client look at the Cluster anew after trouble.
func (h clusterHook) look(ctx context.Context, err error) {
	if IsRetryable(err) {
		h.client.ReloadState(ctx)
	}
}

// connection returns a connection of its own to the master that has a key, or
// to the one with the given address, when there is one.
func (s *Store) connection(ctx context.Context, key, addr string) (*redis.Conn, error) {
	if c, ok := s.client.(*redis.Client); ok {
		return c.Conn(), nil
	}
	c, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return nil, errors.New("the connection is of an unknown kind")
	}
	node, err := c.MasterForKey(ctx, key)
	if err != nil {
		return nil, err
	}
	if addr == "" || addr == node.Options().Addr {
		return node.Conn(), nil
	}
	var mu sync.Mutex
	err = c.ForEachMaster(ctx, func(_ context.Context, m *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		if m.Options().Addr == addr {
			node = m
		}
		return nil
	})
	return node.Conn(), err
}

// reroute does what the hooks do not for a connection to a node of a Cluster:
// it tells of an error, and has the client look where the slot is now.
func (s *Store) reroute(ctx context.Context, err error) {
	c, clustered := s.client.(*redis.ClusterClient)
	if err == nil || !clustered {
		return
	}
	if s.onError != nil {
		errorHook(s.onError).note(err)
	}
	if IsRetryable(err) {
		c.ReloadState(ctx)
	}
}

// advise says what may be wrong when a store cannot be opened. An error that
// waiting cannot help is no longer retryable then.
func (t *target) advise(err error) error {
	text := err.Error()
	switch {
	case t.cluster == nil && isRedirect(err):
		return errors.New("this is a node of a Cluster: write redis+cluster://host1,host2")
	case t.cluster != nil && strings.Contains(text, "cluster support disabled"):
		return errors.New("this is no Cluster: write redis://host")
	case t.single != nil && strings.Contains(text, "unknown command"):
		return fmt.Errorf("%w: a Sentinel is named as redis+sentinel://host1,host2/master", err)
	case t.sentinel != nil && strings.Contains(text, "all sentinels specified"):
		return fmt.Errorf("%w: none can be reached, or none knows the master %q", err, t.sentinel.MasterName)
	}
	return err
}

// Now is the clock of Redis; of a Cluster, always that of the same node.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	c, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return s.client.Time(ctx).Result()
	}
	node, err := c.MasterForKey(ctx, s.meta())
	if err != nil {
		return time.Time{}, err
	}
	return node.Time(ctx).Result()
}

func (s *Store) clustered() bool { _, is := s.client.(*redis.ClusterClient); return is }

// master is a master and what INFO says of it.
type master struct {
	addr string
	info map[string]string
}

// masters asks all masters of a Cluster, or the one there is.
func (s *Store) masters(ctx context.Context) ([]master, error) {
	var mu sync.Mutex
	var out []master
	ask := func(ctx context.Context, c *redis.Client) error {
		text, err := c.Info(ctx).Result()
		if err != nil {
			return err
		}
		m := master{addr: c.Options().Addr, info: map[string]string{}}
		for line := range strings.Lines(text) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				m.info[k] = v
			}
		}
		mu.Lock()
		defer mu.Unlock()
		out = append(out, m)
		return nil
	}
	if c, ok := s.client.(*redis.ClusterClient); ok {
		err := c.ForEachMaster(ctx, ask)
		slices.SortFunc(out, func(a, b master) int { return strings.Compare(a.addr, b.addr) })
		return out, err
	}
	c, ok := s.client.(*redis.Client)
	if !ok {
		return nil, errors.New("the connection is of an unknown kind")
	}
	err := ask(ctx, c)
	return out, err
}
