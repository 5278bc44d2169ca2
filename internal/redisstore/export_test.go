package redisstore

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Client is the connection, for tests that look behind the store.
func (s *Store) Client() redis.UniversalClient { return s.client }

// Blobs counts the large values of a partition that are kept, and those that
// expire unless a commit keeps them.
func Blobs(s *Store, p int) (kept, waiting int) {
	ctx := context.Background()
	keys, err := s.client.Keys(ctx, s.base(p)+"blob:*").Result()
	if c, is := s.client.(*redis.ClusterClient); is {
		node, nodeErr := c.MasterForKey(ctx, s.events(p))
		if nodeErr != nil {
			return -1, -1
		}
		keys, err = node.Keys(ctx, s.base(p)+"blob:*").Result()
	}
	if err != nil {
		return -1, -1
	}
	for _, k := range keys {
		switch ttl := s.client.TTL(ctx, k).Val(); {
		case strings.HasSuffix(k, ":runs"):
		case ttl < 0:
			kept++
		default:
			waiting++
		}
	}
	return kept, waiting
}

// Idle lets the connections that watch marks look as if they had been idle.
func Idle(s *Store) {
	for i := range s.marks {
		s.marks[i].mu.Lock()
		s.marks[i].used = time.Time{}
		s.marks[i].mu.Unlock()
	}
}

// Batch is a batch of commands.
type Batch struct{ batch }

// NewBatch returns an empty one.
func NewBatch() *Batch { return &Batch{} }

// Add adds a command.
func (b *Batch) Add(name any, args ...string) {
	b.command(name)
	b.texts(args)
}

// Commands are those added.
func (b *Batch) Commands(ctx context.Context) []redis.Cmder { return b.commands(ctx) }

// Scribble overwrites the memory of the batch and empties it.
func (b *Batch) Scribble() {
	for i := range b.text {
		b.text[i] = '!'
	}
	b.reset()
}
