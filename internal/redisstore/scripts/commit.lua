-- Applies the changes of several runs of one partition. Each run is changed as
-- a whole, or not at all when its version is not the one the change was made
-- for. KEYS are all keys that are touched, the partition's event stream first;
-- ARGV[1] is the prefix of all keys of the partition. The rest is read in order;
-- lists begin with their length.
local at, base, events = 1, ARGV[1], KEYS[1]
local function text() at = at + 1 return ARGV[at] end
local function number() return tonumber(text()) end
local function list(n)
  local out = {}
  for i = 1, n do out[i] = text() end
  return out
end
local function each(command, key, values, size)
  for from = 1, #values, size do
    redis.call(command, key, unpack(values, from, math.min(from + size - 1, #values)))
  end
end
local function change(r)
  local key = base .. 'run:' .. r.id
  each('HDEL', key .. ':tasks', r.forget, 400)
  each('HDEL', key .. ':outputs', r.forget, 400)
  each('HSET', key .. ':tasks', r.tasks, 400)
  each('HSET', key .. ':outputs', r.outputs, 400)
  each('HSET', key, r.fields, 400)
  redis.call('HSET', key, 'version', r.version + 1)
  for _, blob in ipairs(r.blobs) do
    redis.call('PERSIST', base .. 'blob:' .. blob)
    redis.call('SADD', base .. 'blob:' .. blob .. ':runs', r.id)
    redis.call('SADD', key .. ':blobs', blob)
  end
  for i = 1, #r.artifacts, 2 do
    local digest, keep = r.artifacts[i], r.artifacts[i + 1]
    local had = redis.call('HGET', key .. ':artifacts', digest)
    if keep == 'taken' then keep = had or '' end
    -- The longest time counts, and that of the run is the longest.
    if had and keep ~= '' and (had == '' or tonumber(had) > tonumber(keep)) then keep = had end
    redis.call('HSET', key .. ':artifacts', digest, keep)
    redis.call('HSET', base .. 'artifact:' .. digest, r.id, keep)
  end
  if r.digest ~= '' then
    local definition = base .. 'definition:' .. r.digest
    redis.call('SET', definition, r.definition)
    redis.call('SADD', definition .. ':runs', r.id)
  end
  each('ZREM', base .. 'timers', r.clear, 400)
  for i = 1, #r.set, 2 do redis.call('ZADD', base .. 'timers', r.set[i], r.set[i + 1]) end
  if r.log ~= '' then redis.call('XADD', key .. ':log', 'MAXLEN', '~', 10000, '*', 'c', r.log) end
  local ids = {}
  for i, ticket in ipairs(r.tickets) do
    redis.call('SADD', base .. 'queues', ticket.queue)
    ids[i] = redis.call('XADD', base .. ticket.stream, '*', unpack(ticket.fields))
  end
  for i = 1, #r.revoke, 2 do
    redis.call('XACK', base .. r.revoke[i], 'workers', r.revoke[i + 1])
    redis.call('XDEL', base .. r.revoke[i], r.revoke[i + 1])
  end
  for _, dead in ipairs(r.dead) do
    redis.call('XADD', base .. 'dead', 'MAXLEN', '~', 10000, '*', unpack(dead))
  end
  if r.more == 1 then redis.call('XADD', events, '*', 'v', '1', 'type', 'continue', 'run', r.id) end
  if r.version == 0 and r.done == '0' then
    redis.call('ZADD', base .. 'begun', redis.call('HGET', key, 'created') or r.active, r.id)
  end
  if r.active ~= '0' then redis.call('ZADD', base .. 'active', r.active, r.id) end
  if r.done ~= '0' then
    redis.call('ZREM', base .. 'active', r.id)
    redis.call('ZREM', base .. 'begun', r.id)
    for _, index in ipairs(r.indexes) do redis.call('ZADD', base .. index, r.done, r.id) end
    redis.call('ZADD', base .. 'done', r.done, r.id)
    if r.retain ~= '0' then redis.call('ZADD', base .. 'done:until', tonumber(r.done) + tonumber(r.retain), r.id) end
  end
  return ids
end
local function read()
  local r = { id = text(), version = number(), digest = text(), definition = text() }
  r.fields = list(number())
  r.tasks = list(number())
  r.outputs = list(number())
  r.forget = list(number())
  r.blobs = list(number())
  r.artifacts = list(number())
  r.log = text()
  r.tickets = {}
  for i = 1, number() do
    local ticket = { stream = text(), queue = text() }
    ticket.fields = list(number())
    r.tickets[i] = ticket
  end
  r.revoke = list(number())
  r.set = list(number())
  r.clear = list(number())
  r.dead = {}
  for i = 1, number() do r.dead[i] = list(number()) end
  r.more = number()
  r.events = list(number())
  r.active, r.done, r.retain = text(), text(), text()
  r.indexes = list(number())
  return r
end
local replies, done = {}, {}
for i = 1, number() do
  local r = read()
  local version = tonumber(redis.call('HGET', base .. 'run:' .. r.id, 'version') or '0')
  local there = true
  for _, blob in ipairs(r.blobs) do
    there = there and redis.call('EXISTS', base .. 'blob:' .. blob) == 1
  end
  if version ~= r.version or not there then
    replies[i] = { 'conflict' }
  else
    local ids = change(r)
    table.insert(ids, 1, 'ok')
    replies[i] = ids
    for _, id in ipairs(r.events) do done[#done + 1] = id end
  end
end
if #done > 0 then
  for from = 1, #done, 400 do
    local to = math.min(from + 399, #done)
    redis.call('XACK', events, 'orchestrators', unpack(done, from, to))
    redis.call('XDEL', events, unpack(done, from, to))
  end
end
return replies
