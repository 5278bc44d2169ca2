package orchestrator

import (
	"cmp"
	"slices"

	"github.com/orchis-run/orchis/internal/wire"
)

// modelGroup is a group: who holds its slots and who waits, in order.
type modelGroup struct {
	limit            int
	until            int64
	holders, waiters []wire.Member
	rank             map[wire.Member]int64
}

func (m *model) groupOf(name string) *modelGroup {
	if m.groups == nil {
		m.groups = map[string]*modelGroup{}
	}
	if m.groups[name] == nil {
		m.groups[name] = &modelGroup{limit: 1, rank: map[wire.Member]int64{}}
	}
	return m.groups[name]
}

// bare is a member without the time at which it got its slot.
func bare(m wire.Member) wire.Member { m.Since = 0; return m }

func without(list []wire.Member, m wire.Member) []wire.Member {
	return slices.DeleteFunc(slices.Clone(list), func(x wire.Member) bool { return bare(x) == m })
}

func (g *modelGroup) holds(m wire.Member) bool {
	return slices.ContainsFunc(g.holders, func(x wire.Member) bool { return bare(x) == m })
}

// grant gives free slots to those who wait.
func (g *modelGroup) grant(now int64) []wire.Member {
	var granted []wire.Member
	for g.until <= now && len(g.holders) < g.limit && len(g.waiters) > 0 {
		m := g.waiters[0]
		g.waiters = slices.Clone(g.waiters[1:])
		m.Since = now
		g.holders = append(g.holders, m)
		granted = append(granted, bare(m))
	}
	return granted
}

// askGroup is the script's ask.
func (m *model) askGroup(q wire.GroupAsk) wire.GroupReply {
	g := m.groupOf(q.Group)
	g.limit = q.Limit
	reply := wire.GroupReply{State: "held"}
	if !g.holds(q.Member) {
		if !slices.Contains(g.waiters, q.Member) {
			g.rank[q.Member] = int64(9-q.Priority)<<42 + q.Now
			g.waiters = append(g.waiters, q.Member)
			slices.SortFunc(g.waiters, func(a, b wire.Member) int {
				return cmp.Or(cmp.Compare(g.rank[a], g.rank[b]), cmp.Compare(a.String(), b.String()))
			})
		}
		reply.Granted = g.grant(q.Now)
		if q.Mode == "cancelOldest" && g.until <= q.Now && !g.holds(q.Member) {
			reply.Evicted = []wire.Member{bare(g.holders[0])}
			g.waiters = without(g.waiters, q.Member)
			me := q.Member
			me.Since = q.Now
			g.holders = append(slices.Clone(g.holders[1:]), me)
		}
		if !g.holds(q.Member) {
			reply.State = "waits"
			if q.Mode == "skip" || q.Mode == "fail" {
				g.waiters = without(g.waiters, q.Member)
				reply.State = "refused"
			}
		}
	} else {
		reply.Granted = g.grant(q.Now)
	}
	if g.until > q.Now {
		reply.Until = g.until
	}
	return reply
}

// freeGroup is the script's free.
func (m *model) freeGroup(name string, who wire.Member, now, until int64) wire.GroupReply {
	g := m.groupOf(name)
	g.holders, g.waiters = without(g.holders, who), without(g.waiters, who)
	g.until = max(g.until, until)
	reply := wire.GroupReply{State: "held", Granted: g.grant(now)}
	if g.until > now {
		reply.Until = g.until
	}
	return reply
}

func (m *model) group(name string) wire.Group {
	g := m.groupOf(name)
	return wire.Group{Name: name, Limit: g.limit, Until: g.until, Holders: slices.Clone(g.holders), Waiters: slices.Clone(g.waiters)}
}

func (m *model) task(id, task string) (string, error) {
	r := m.runs[id]
	if r == nil || r.tasks[task] == "" {
		return "", wire.ErrNotFound
	}
	return r.tasks[task], nil
}
