-- Takes a token of a bucket, now or reserved for later. KEYS[1] is the time at
-- which the bucket would be full again. ARGV: now, milliseconds a token takes to
-- come, milliseconds in which the whole bucket fills, until (nothing is given
-- before). Replies the time at which the token may be used; 0 is now. The rule is
-- that of the generic cell rate algorithm (ATM Forum, 1996).
local now, each, whole, till = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
if till > 0 then
  full = math.max(full, till + whole - each)
  redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.ceil(full - now) + 1)
  return 0
end
local at = full + each - whole
redis.call('SET', KEYS[1], string.format('%.3f', full + each), 'PX', math.ceil(full + each - now) + 1)
if at <= now then return 0 end
return math.ceil(at)
