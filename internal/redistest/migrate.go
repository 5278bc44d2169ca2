package redistest

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Move is a slot on its way from one master to another.
type Move struct {
	c        *Cluster
	slot     int64
	from, to *Node
	ids      [2]string
}

// BeginMove opens the way of a key's slot to another master: new keys go there,
// old ones stay until they are carried.
func (c *Cluster) BeginMove(key string) (*Move, error) {
	slot, err := c.Slot(key)
	if err != nil {
		return nil, err
	}
	m := &Move{c: c, slot: slot}
	if m.from, err = c.MasterOf(key); err != nil {
		return nil, err
	}
	for _, n := range c.Masters() {
		if n != m.from {
			m.to = n
		}
	}
	if m.to == nil {
		return nil, errors.New("there is no other master")
	}
	for i, n := range []*Node{m.from, m.to} {
		if m.ids[i], err = n.id(); err != nil {
			return nil, err
		}
	}
	return m, errors.Join(
		m.to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", m.ids[0]),
		m.from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", m.ids[1]),
	)
}

// Carry moves up to count keys and returns how many there were.
func (m *Move) Carry(count int) (n int, err error) {
	err = m.from.do(func(r *redis.Client) error {
		ctx := context.Background()
		keys, err := r.ClusterGetKeysInSlot(ctx, int(m.slot), count).Result()
		if err != nil || len(keys) == 0 {
			return err
		}
		n = len(keys)
		args := []any{"MIGRATE", "127.0.0.1", m.to.port, "", 0, 5000, "KEYS"}
		for _, k := range keys {
			args = append(args, k)
		}
		return r.Do(ctx, args...).Err()
	})
	if err != nil {
		return 0, fmt.Errorf("carry keys of slot %d: %w", m.slot, err)
	}
	return n, nil
}

// End carries the rest and tells all masters who serves the slot now, the new
// one first.
func (m *Move) End() error {
	for {
		n, err := m.Carry(50)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	errs := []error{m.to.command("CLUSTER", "SETSLOT", m.slot, "NODE", m.ids[1])}
	for _, master := range m.c.Masters() {
		if master != m.to {
			errs = append(errs, master.command("CLUSTER", "SETSLOT", m.slot, "NODE", m.ids[1]))
		}
	}
	return errors.Join(errors.Join(errs...), m.known())
}

// known waits until all nodes, replicas too, know who serves the slot.
func (m *Move) known() error {
	for _, n := range m.c.nodes {
		err := until("all know where the slot is", func() error {
			if n.servant(m.slot) != m.to.port {
				return fmt.Errorf("port %d knows another node for slot %d", n.port, m.slot)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// MoveSlot moves the slot of a key, with all its keys, to another master.
func (c *Cluster) MoveSlot(key string) error {
	m, err := c.BeginMove(key)
	if err != nil {
		return err
	}
	return m.End()
}
