// Package redisstore is the only room that speaks Redis: keys, streams,
// scripts and the reading of what they hold. It knows nothing of flows.
package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/orchis-run/orchis/internal/wire"
)

// Config says which Redis is meant.
type Config struct {
	// URL leads to a single Redis (redis://, rediss://, unix://), to one that is
	// watched by Sentinels (redis+sentinel://) or to a Cluster (redis+cluster://).
	URL string
	// Prefix begins every key; "orchis" when empty.
	Prefix string
	// Partitions is used when Redis is still empty; when zero, 1, and 16 on a
	// Cluster.
	Partitions int
	// Name is shown in CLIENT LIST.
	Name string
	// TLS, if given, holds the certificates for rediss://; see LoadTLS.
	TLS *tls.Config
	// OnError, if given, is told the class of each error that Redis gives, or
	// the way to it; see Class. It must not wait.
	OnError func(class string)
}

// schema is the version of the key space.
const schema = "2"

// Store is a connection to Redis. It is safe for concurrent use.
type Store struct {
	client     redis.UniversalClient
	prefix     string
	partitions int
	redundant  bool // a master can be lost
	epoch      atomic.Pointer[string]
	onError    func(class string)
	marks      []mark // by partition and side
	signs      signs
	signing    wire.Keys
	batches    sync.Pool // of *batch
	followers  *followers
}

// silence stops the client's own log: what it tells comes back as errors too.
var silence = sync.OnceFunc(func() { redis.SetLogger(quiet{}) })

type quiet struct{}

// Printf says nothing.
func (quiet) Printf(context.Context, string, ...any) {}

// Open connects, and creates what must be there once.
func Open(ctx context.Context, c Config) (*Store, error) {
	silence()
	t, err := parseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("read the Redis URL %s: %w", Masked(c.URL), err)
	}
	c.secure(&t)
	if c.Prefix == "" {
		c.Prefix = "orchis"
	}
	if c.Partitions <= 0 {
		c.Partitions = t.partitions()
	}
	s := &Store{client: t.connect(c.Name, c.Partitions), prefix: c.Prefix, partitions: c.Partitions, redundant: t.single == nil, onError: c.OnError}
	s.followers = newFollowers(s.versions)
	s.signs.own = uuid.NewString()[:18] + "-"
	s.tell(c.OnError)
	err = s.prepare(ctx)
	if err == nil && s.partitions > c.Partitions { // more will wait for connections
		err = s.client.Close()
		s.client = t.connect(c.Name, s.partitions)
		s.tell(c.OnError)
	}
	if err != nil {
		_ = s.client.Close()
		return nil, fmt.Errorf("open Redis at %s: %w", Masked(c.URL), t.advise(err))
	}
	return s, nil
}

// prepare reads what Redis says of itself, and creates it where it is missing.
// A user who may only submit, or work, finds it there.
func (s *Store) prepare(ctx context.Context) error {
	meta, err := s.client.HGetAll(ctx, s.meta()).Result()
	if err != nil {
		return err
	}
	if meta["schema"] == "" || meta["partitions"] == "" || meta["epoch"] == "" {
		if meta, err = s.begin(ctx); err != nil {
			return err
		}
	}
	if meta["schema"] != schema {
		return fmt.Errorf("the keys %s:* were written by another version of Orchis (schema %q; this program reads schema %s): "+
			"let that version finish its runs and delete the keys, or set ORCHIS_PREFIX to a prefix that is not in use", s.prefix, meta["schema"], schema)
	}
	n, err := strconv.Atoi(meta["partitions"])
	if err != nil || n < 1 {
		return fmt.Errorf("%s holds %q partitions", s.meta(), meta["partitions"])
	}
	epoch := meta["epoch"]
	switch old := s.epoch.Swap(&epoch); {
	case old == nil:
		s.partitions, s.marks = n, make([]mark, n*wire.Sides)
	case n != s.partitions: // others read it all the time
		s.epoch.Store(old)
		return fmt.Errorf("there are %d partitions now where there were %d: start this program again", n, s.partitions)
	}
	return s.Ensure(ctx, nil)
}

// begin writes what every other user of this Redis relies on.
func (s *Store) begin(ctx context.Context) (map[string]string, error) {
	pipe := s.client.TxPipeline()
	pipe.HSetNX(ctx, s.meta(), "schema", schema)
	pipe.HSetNX(ctx, s.meta(), "partitions", s.partitions)
	pipe.HSetNX(ctx, s.meta(), "epoch", uuid.NewString())
	all := pipe.HGetAll(ctx, s.meta())
	cmds, err := pipe.Exec(ctx)
	if slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return isNoPerm(c.Err()) }) {
		return nil, fmt.Errorf("there is nothing of Orchis in it yet and this user may not begin it, so an orchestrator must start first: %w", err)
	}
	return all.Val(), err
}

// SignTickets has the tickets of all commits signed. Call it before the first.
func (s *Store) SignTickets(keys wire.Keys) { s.signing = keys }

// Close ends all connections.
func (s *Store) Close() error {
	err := s.client.Close()
	s.followers.all.Wait()
	return err
}

// Partitions is the number of partitions.
func (s *Store) Partitions() int { return s.partitions }

// PartitionOf returns the partition of a run.
func (s *Store) PartitionOf(run string) int {
	return wire.PartitionOf(run, s.partitions)
}

// Epoch returns the epoch now in Redis and the one of when the store was
// opened; they differ after Redis came back empty.
func (s *Store) Epoch(ctx context.Context) (now, opened string, err error) {
	opened = *s.epoch.Load()
	now, err = s.client.HGet(ctx, s.meta(), "epoch").Result()
	if errors.Is(err, redis.Nil) {
		return "", opened, nil
	}
	return now, opened, err
}

// Recover creates anew what an emptied Redis must hold.
func (s *Store) Recover(ctx context.Context) error { return s.prepare(ctx) }

// Ensure creates the streams and groups that are read, where missing. Groups
// begin at 0, so that nothing sent before is passed over.
func (s *Store) Ensure(ctx context.Context, queues []string) error {
	groups := [][2]string{{s.submit(), groupOrchestrators}, {s.control(), groupOrchestrators}}
	for p := range s.partitions {
		groups = append(groups, [2]string{s.events(p), groupOrchestrators})
	}
	if err := s.createGroups(ctx, groups); err != nil && !isNoPerm(err) {
		return err
	}
	return s.EnsureStreams(ctx, wire.LanesOf(queues...))
}

// EnsureStreams creates ticket streams and their groups in all partitions, where
// missing.
func (s *Store) EnsureStreams(ctx context.Context, streams []wire.Stream) error {
	var groups [][2]string
	for p := range s.partitions {
		for _, stream := range streams {
			groups = append(groups, [2]string{s.tickets(p, stream), groupWorkers})
		}
	}
	if err := s.createGroups(ctx, groups); !isNoPerm(err) {
		return err
	}
	return nil // a user who may not create a group does not read it, or fails when reading
}

// createGroups creates streams with a group each, where missing, in a few round
// trips. It returns that this user may not only when nothing else went wrong.
func (s *Store) createGroups(ctx context.Context, groups [][2]string) error {
	var refused error
	for chunk := range slices.Chunk(groups, pipelined) {
		pipe := s.client.Pipeline()
		for _, g := range chunk {
			pipe.XGroupCreateMkStream(ctx, g[0], g[1], "0")
		}
		cmds, err := pipe.Exec(ctx)
		if IsRetryable(err) {
			return err
		}
		for _, c := range cmds {
			switch err := c.Err(); {
			case err == nil, strings.HasPrefix(err.Error(), "BUSYGROUP"):
			case isNoPerm(err):
				refused = err
			default:
				return fmt.Errorf("create consumer groups: %w", err)
			}
		}
	}
	return refused
}

// IsRetryable reports whether the same command may work later: Redis is away,
// starting, full or changing roles.
func IsRetryable(err error) bool {
	if err == nil || errors.Is(err, redis.Nil) || errors.Is(err, context.Canceled) || tlsAdvice(err) != "" {
		return false
	}
	var n net.Error
	if errors.As(err, &n) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout) {
		return true
	}
	if isRedirect(err) || errors.Is(err, redis.TxFailedErr) {
		return true
	}
	text := err.Error()
	for _, word := range []string{
		"LOADING", "READONLY", "BUSY ", "MISCONF", "OOM", "EXECABORT", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "UNBLOCKED",
		"max number of clients",
		"non local key", "cluster has no nodes", "all sentinels specified",
	} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return strings.HasSuffix(text, "EOF") || strings.Contains(text, "connection re") || strings.Contains(text, "broken pipe") || strings.Contains(text, "use of closed")
}

// IsFatal reports whether waiting cannot help, and what to do instead.
func IsFatal(err error) (advice string, fatal bool) {
	if err == nil {
		return "", false
	}
	if advice := tlsAdvice(err); advice != "" {
		return advice, true
	}
	for word, advice := range map[string]string{
		"NOAUTH":    "give the password in the Redis URL",
		"WRONGPASS": "check user and password in the Redis URL",
		"NOPERM":    "give the Redis user the commands and keys it needs",
		"WRONGTYPE": "another program uses the same keys: set another prefix",
		"CROSSSLOT": "the keys lie in different slots: set another prefix without braces",
	} {
		if strings.Contains(err.Error(), word) {
			return advice, true
		}
	}
	return "", false
}

// Retryable is IsRetryable.
func (s *Store) Retryable(err error) bool { return IsRetryable(err) }

// Fatal is IsFatal.
func (s *Store) Fatal(err error) (advice string, fatal bool) { return IsFatal(err) }

func isNoPerm(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "NOPERM")
}

// isUnblocked reports whether a stream went away while it was waited for: it was
// deleted, or its slot has moved to another node.
func isUnblocked(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "UNBLOCKED") }

// isRedirect reports whether another node of the Cluster is the one to ask.
func isRedirect(err error) bool {
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	return moved || ask
}

func isNoGroup(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOGROUP") }
