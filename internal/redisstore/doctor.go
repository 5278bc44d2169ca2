package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// The levels of a Finding.
const (
	fine    = "ok"
	warning = "warning" // it works, and may not on a bad day
	fatal   = "fatal"   // it must be mended first
)

// Finding is one thing the doctor has to say.
type Finding struct {
	Level   string `json:"level"` // ok, warning or fatal
	Name    string `json:"name"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

// findings collects what is found; a thing that is not bad is fine.
type findings []Finding

func (f *findings) add(bad bool, level, name, message, fix string) {
	if !bad {
		level, fix = fine, ""
	}
	*f = append(*f, Finding{Level: level, Name: name, Message: message, Fix: fix})
}

// Check looks at the settings of Redis that Orchis relies on, and at what this
// user may do. It writes a few keys of its own and deletes them.
func (s *Store) Check(ctx context.Context) ([]Finding, error) {
	var out findings
	nodes, err := s.masters(ctx)
	switch {
	case isNoPerm(err):
		out.add(true, warning, "settings", "this user may not ask Redis for its settings (INFO)", "look with a user who may: version, eviction, persistence and replicas were not checked")
	case err != nil:
		return nil, fmt.Errorf("ask Redis how it is: %w", err)
	}
	for _, n := range nodes {
		s.checkNode(&out, n, len(nodes))
	}
	if s.clustered() {
		state, err := s.client.ClusterInfo(ctx).Result()
		out.add(err != nil || !strings.Contains(state, "cluster_state:ok"), fatal, "cluster", fmt.Sprint(len(nodes), " masters"), "the Cluster is not well: look at CLUSTER INFO")
		out.add(s.partitions == 1 && len(nodes) > 1, warning, "spread", strconv.Itoa(s.partitions)+" partitions on "+strconv.Itoa(len(nodes))+" masters", "all runs lie on one node: begin anew with another prefix")
	}
	before := time.Now()
	now, err := s.Now(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the clock of Redis: %w", err)
	}
	offset := now.Sub(before.Add(time.Since(before) / 2)).Round(time.Millisecond)
	out.add(offset.Abs() > 2*time.Second, warning, "clock", fmt.Sprintf("differs from this machine by %s", offset), "keep the clocks in step (NTP)")
	refused, err := s.refused(ctx)
	if err != nil {
		return nil, err
	}
	out.add(len(refused) > 0, fatal, "permissions", permissions(refused), "give the Redis user these commands, as SECURITY.md has it for an orchestrator")
	out.add(false, "", "partitions", strconv.Itoa(s.partitions), "")
	return out, nil
}

func permissions(refused []string) string {
	if len(refused) == 0 {
		return "all that an orchestrator needs"
	}
	return "this user may not " + strings.Join(refused, ", ")
}

// checkNode looks at one master of so many.
func (s *Store) checkNode(out *findings, n master, of int) {
	where := ""
	if of > 1 {
		where = " on " + n.addr
	}
	version := n.info["redis_version"]
	major, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	out.add(version != "" && (err != nil || major < 7), fatal, "version", "Redis "+version+where, "Orchis needs Redis 7.0 or newer")
	policy := n.info["maxmemory_policy"]
	level := fatal
	if strings.HasPrefix(policy, "volatile-") { // only keys that expire: log lines and answers
		level = warning
	}
	out.add(policy != "" && policy != "noeviction", level, "eviction", "maxmemory-policy "+policy+where, "CONFIG SET maxmemory-policy noeviction: Redis must not throw away runs")
	aof := n.info["aof_enabled"]
	out.add(aof == "0", warning, "persistence", "appendonly "+map[string]string{"1": "yes", "0": "no"}[aof]+where, "CONFIG SET appendonly yes: without it a crash of Redis loses the newest runs")
	if s.redundant {
		replicas := n.info["connected_slaves"]
		out.add(replicas == "0", warning, "replicas", replicas+" replicas"+where, "give each master a replica, or nobody can take its place")
	}
	used, _ := strconv.ParseFloat(n.info["used_memory"], 64)
	most, _ := strconv.ParseFloat(n.info["maxmemory"], 64)
	if most > 0 {
		out.add(used > 0.8*most, warning, "memory", fmt.Sprintf("%.0f %% of maxmemory is used%s", 100*used/most, where), "raise maxmemory, or keep fewer ended runs (ORCHIS_RETENTION_AGE, ORCHIS_RETENTION_COUNT)")
	}
}

// refused tries the commands that an orchestrator sends, on keys of its own,
// and returns those that the Redis user may not send.
func (s *Store) refused(ctx context.Context) ([]string, error) {
	key := s.base(0) + "doctor:" + uuid.NewString()
	stream, hash, set, text, list := key+":stream", key+":hash", key+":set", key+":text", key+":list"
	try := []redis.Cmder{
		redis.NewCmd(ctx, "XGROUP", "CREATE", stream, "g", "0", "MKSTREAM"), redis.NewCmd(ctx, "XADD", stream, "*", "f", "v"),
		redis.NewCmd(ctx, "XREADGROUP", "GROUP", "g", "c", "STREAMS", stream, ">"), redis.NewCmd(ctx, "XPENDING", stream, "g"),
		redis.NewCmd(ctx, "XCLAIM", stream, "g", "c", "0", "1-1"), redis.NewCmd(ctx, "XRANGE", stream, "-", "+"), redis.NewCmd(ctx, "XLEN", stream),
		redis.NewCmd(ctx, "XREAD", "STREAMS", stream, "0"), redis.NewCmd(ctx, "XACK", stream, "g", "1-1"), redis.NewCmd(ctx, "XDEL", stream, "1-1"),
		redis.NewCmd(ctx, "HSET", hash, "f", "v"), redis.NewCmd(ctx, "HGETALL", hash), redis.NewCmd(ctx, "HDEL", hash, "f"),
		redis.NewCmd(ctx, "ZADD", key, "1", "m"), redis.NewCmd(ctx, "ZRANGE", key, "0", "1"), redis.NewCmd(ctx, "ZREM", key, "m"), redis.NewCmd(ctx, "ZCARD", key),
		redis.NewCmd(ctx, "SADD", set, "m"), redis.NewCmd(ctx, "SMEMBERS", set), redis.NewCmd(ctx, "SREM", set, "m"), redis.NewCmd(ctx, "SCARD", set),
		redis.NewCmd(ctx, "RPUSH", list, "v"), redis.NewCmd(ctx, "LRANGE", list, "0", "1"), redis.NewCmd(ctx, "LINDEX", list, "0"), redis.NewCmd(ctx, "LLEN", list),
		redis.NewCmd(ctx, "LTRIM", list, "0", "1"),
		redis.NewCmd(ctx, "SET", text, "v", "NX", "PX", "1000"), redis.NewCmd(ctx, "GET", text), redis.NewCmd(ctx, "PEXPIRE", text, "1000"),
		redis.NewCmd(ctx, "EVAL", "return 1", "1", text), redis.NewCmd(ctx, "TIME"),
		redis.NewCmd(ctx, "UNLINK", stream, hash, key, set, text, list), redis.NewCmd(ctx, "DEL", stream, hash, key, set, text, list),
	}
	var out []string
	for _, cmd := range try {
		err := s.client.Process(ctx, cmd)
		switch {
		case isNoPerm(err):
			out = append(out, strings.ToUpper(cmd.Name()))
		case IsRetryable(err) || errors.Is(err, context.Canceled):
			return nil, fmt.Errorf("try the commands an orchestrator needs: %w", err)
		}
	}
	return out, nil
}
