-- Takes runs from those that refer to a blob; without any, the blob expires.
-- KEYS[1] is the blob, KEYS[2] the set of its runs; ARGV[1] how long the blob
-- stays, in seconds, the others are the runs.
for i = 2, #ARGV do redis.call('SREM', KEYS[2], ARGV[i]) end
if redis.call('SCARD', KEYS[2]) == 0 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end -- mutant: blob-shared (true)
return 1
