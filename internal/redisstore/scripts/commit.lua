-- Applies the changes of several runs of one partition. Each run is changed as
-- a whole, or not at all when its version is not the one the change was made
-- for. KEYS are all keys that are touched: the partition's event stream first,
-- then four for each run (itself, its tasks, outputs and log), then all others.
-- ARGV[1] is the prefix of all keys of the partition, ARGV[2] the number of
-- runs. For each run follow the number of its arguments, its id and version,
-- whether the change has what few have (see the function read), the numbers of
-- fields and values for its tasks, its outputs and itself, these, the log entry,
-- the number of tickets (each a stream, a queue, the number of fields and
-- values, these), its last progress, and the number of events and their ids.
-- Returns for each run whether it was changed, and the ids of its tickets.
local base, events, at = ARGV[1], KEYS[1], 2
local argv, call, min = ARGV, redis.call, math.min
local function text() at = at + 1 return argv[at] end
local function list()
  local out = {}
  for i = 1, tonumber(text()) do out[i] = text() end
  return out
end
local function each(command, key, values)
  for from = 1, #values, 400 do
    redis.call(command, key, unpack(values, from, min(from + 399, #values)))
  end
end
-- Writes the next n arguments into a hash.
local function put(key, n)
  for from = at + 1, at + n, 400 do
    call('HSET', key, unpack(argv, from, min(from + 399, at + n)))
  end
  at = at + n
end
local known = {}
local function publish(n)
  local reply = { 'ok' }
  for i = 1, n do
    local stream, queue, fields = argv[at + 1], argv[at + 2], tonumber(argv[at + 3])
    if not known[queue] then
      known[queue] = true
      call('SADD', base .. 'queues', queue)
    end
    reply[i + 1] = call('XADD', base .. stream, '*', unpack(argv, at + 4, at + 3 + fields))
    at = at + 3 + fields
  end
  return reply
end
-- What few changes have. Lists begin with their length. The text of a
-- definition stands with the first of the runs that have it.
local definitions = {}
local function read()
  local r = {
    digest = text(), definition = text(), forget = list(), blobs = list(), artifacts = list(), revoke = list(),
    clear = list(), set = list(), dead = list(), more = text(), begun = text(),
    done = text(), indexes = list(), retain = text(),
  }
  if r.definition ~= '' then definitions[r.digest] = r.definition end
  return r
end
local function there(blobs)
  for _, blob in ipairs(blobs) do
    if redis.call('EXISTS', base .. 'blob:' .. blob) == 0 then return false end
  end
  return true
end
local function refer(r, id, key)
  for _, blob in ipairs(r.blobs) do
    redis.call('PERSIST', base .. 'blob:' .. blob)
    redis.call('SADD', base .. 'blob:' .. blob .. ':runs', id)
    redis.call('SADD', key .. ':blobs', blob)
  end
  for i = 1, #r.artifacts, 2 do
    local digest, keep = r.artifacts[i], r.artifacts[i + 1]
    local had = redis.call('HGET', key .. ':artifacts', digest)
    if keep == 'taken' then keep = had or '' end
    -- The longest time counts, and that of the run is the longest.
    if had and keep ~= '' and (had == '' or tonumber(had) > tonumber(keep)) then keep = had end
    redis.call('HSET', key .. ':artifacts', digest, keep)
    redis.call('HSET', base .. 'artifact:' .. digest, id, keep)
  end
  if r.digest ~= '' then
    local definition = base .. 'definition:' .. r.digest
    if definitions[r.digest] then redis.call('SET', definition, definitions[r.digest]) end
    definitions[r.digest] = nil
    redis.call('SADD', definition .. ':runs', id)
  end
end
local function change(r, id, key)
  refer(r, id, key)
  each('ZREM', base .. 'timers', r.clear)
  for i = 1, #r.set, 2 do redis.call('ZADD', base .. 'timers', r.set[i], r.set[i + 1]) end
  for i = 1, #r.revoke, 2 do
    redis.call('XACK', base .. r.revoke[i], 'workers', r.revoke[i + 1])
    redis.call('XDEL', base .. r.revoke[i], r.revoke[i + 1])
  end
  local i = 1
  while i < #r.dead do
    local n = tonumber(r.dead[i])
    redis.call('XADD', base .. 'dead', 'MAXLEN', '~', 10000, '*', unpack(r.dead, i + 1, i + n))
    i = i + n + 1
  end
  if r.more == '1' then redis.call('XADD', events, '*', 'v', '1', 'type', 'continue', 'run', id) end
  if r.begun ~= '' then redis.call('ZADD', base .. 'begun', r.begun, id) end
  if r.done ~= '0' then
    redis.call('ZREM', base .. 'active', id)
    redis.call('ZREM', base .. 'begun', id)
    for _, index in ipairs(r.indexes) do redis.call('ZADD', base .. index, r.done, id) end
    redis.call('ZADD', base .. 'done', r.done, id)
    if r.retain ~= '0' then redis.call('ZADD', base .. 'done:until', tonumber(r.done) + tonumber(r.retain), id) end
  end
end
local replies, done = {}, {}
for run = 1, tonumber(argv[2]) do
  local after = at + 1 + tonumber(argv[at + 1])
  local id, version = argv[at + 2], argv[at + 3]
  local key, tasks, outputs, log = unpack(KEYS, 4 * run - 2, 4 * run + 1)
  at = at + 4
  local r = argv[at] == '1' and read()
  if (call('HGET', key, 'version') or '0') ~= version or r and not there(r.blobs) then
    replies[run] = { 'conflict' }
  else
    if r then
      each('HDEL', tasks, r.forget)
      each('HDEL', outputs, r.forget)
    end
    local a, b, c = tonumber(argv[at + 1]), tonumber(argv[at + 2]), tonumber(argv[at + 3])
    at = at + 3
    put(tasks, a)
    put(outputs, b)
    put(key, c)
    if r then change(r, id, key) end
    local entry = text()
    if entry ~= '' then call('XADD', log, 'MAXLEN', '~', 10000, '*', 'c', entry) end
    replies[run] = publish(tonumber(text()))
    local active = text()
    if active ~= '0' then call('ZADD', base .. 'active', active, id) end
    for i = at + 2, at + 1 + tonumber(argv[at + 1]) do done[#done + 1] = argv[i] end
  end
  at = after
end
for from = 1, #done, 400 do
  local to = min(from + 399, #done)
  redis.call('XACK', events, 'orchestrators', unpack(done, from, to))
  redis.call('XDEL', events, unpack(done, from, to))
end
return replies
