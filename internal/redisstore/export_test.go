package redisstore

import "github.com/redis/go-redis/v9"

// Client is the connection, for tests that look behind the store.
func (s *Store) Client() redis.UniversalClient { return s.client }
