-- Takes a run from those that refer to a blob; without any, the blob expires.
-- KEYS[1] is the blob, KEYS[2] the set of its runs; ARGV[1] the run, ARGV[2]
-- how long the blob stays, in seconds.
redis.call('SREM', KEYS[2], ARGV[1])
if redis.call('SCARD', KEYS[2]) == 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return 1
