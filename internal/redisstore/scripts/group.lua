-- Asks for slots of a group, gives them back, and gives those that are free to
-- who has waited longest. KEYS[1] is the set of holders, KEYS[2] that of those
-- who wait, KEYS[3] the hash of the group; all three end with its last member.
-- ARGV: ask or free, member, now (ms), limit, rank (less is sooner), mode (what
-- to do without a free slot: queue, skip, fail, cancelOldest), until (ms; while
-- it is to come the group gives nothing).
-- Replies {state, paused until, granted members, evicted members}; the state is
-- held, waits or refused.
local holders, waiters, group = KEYS[1], KEYS[2], KEYS[3]
local op, member, now, limit = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local rank, mode, till = ARGV[5], ARGV[6], tonumber(ARGV[7])
local granted, evicted = {}, {}
if op == 'ask' then
  redis.call('HSET', group, 'limit', limit)
else
  redis.call('ZREM', holders, member)
  redis.call('ZREM', waiters, member)
  limit = tonumber(redis.call('HGET', group, 'limit') or '1')
end
local paused = tonumber(redis.call('HGET', group, 'until') or '0')
if till > paused then
  redis.call('HSET', group, 'until', till)
  paused = till
end
local function grant()
  while paused <= now and redis.call('ZCARD', holders) < limit do -- mutant: group-limit (boundary 2)
    local first = redis.call('ZRANGE', waiters, 0, 0)[1]
    if not first then return end
    redis.call('ZREM', waiters, first)
    redis.call('ZADD', holders, now, first)
    granted[#granted + 1] = first
  end
end
local state = 'held'
if op == 'ask' and not redis.call('ZSCORE', holders, member) then
  redis.call('ZADD', waiters, 'NX', rank, member)
  grant()
  if mode == 'cancelOldest' and paused <= now and not redis.call('ZSCORE', holders, member) then
    local oldest = redis.call('ZRANGE', holders, 0, 0)[1]
    if oldest then
      redis.call('ZREM', holders, oldest)
      evicted[1] = oldest
      redis.call('ZREM', waiters, member)
      redis.call('ZADD', holders, now, member)
    end
  end
  if not redis.call('ZSCORE', holders, member) then
    state = 'waits'
    if mode == 'skip' or mode == 'fail' then
      redis.call('ZREM', waiters, member)
      state = 'refused'
    end
  end
else
  grant()
end
if redis.call('ZCARD', holders) + redis.call('ZCARD', waiters) == 0 and paused <= now then redis.call('DEL', group) end
if paused <= now then paused = 0 end
return { state, paused, granted, evicted }
