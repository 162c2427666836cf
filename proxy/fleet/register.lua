-- One register: entries that all balancers of a fleet have.
-- KEYS: values (hash), versions (sorted set), expiries (sorted set), epoch (string)
-- ARGV: epoch if there is none, version after which to read, how many to read, how many to
--       keep, longest key or value; then for each change: mode, key, stamp, payload, ms to live
-- mode "set": the change wins if its stamp is higher. mode "keep": it is written if there is
-- none, and lives longer if there is the same.
-- Returns epoch, now in ms, the latest version, and the entries: key, "STAMP PAYLOAD",
-- version, ms to live.
local values, versions, expiries, epochs = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local longest = tonumber(ARGV[5])
local time = redis.call('TIME')
local micro = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micro / 1000)

local epoch = redis.call('GET', epochs)
if not epoch or #epoch > 64 then
  epoch = ARGV[1]
  redis.call('SET', epochs, epoch, 'PX', 86400000)
elseif redis.call('PTTL', epochs) < 43200000 then
  redis.call('PEXPIRE', epochs, 86400000)
end

local function forget(list)
  for _, key in ipairs(list) do
    redis.call('HDEL', values, key)
    redis.call('ZREM', versions, key)
    redis.call('ZREM', expiries, key)
  end
end

local function valueOf(key)
  if redis.call('HSTRLEN', values, key) > longest then return false end
  return redis.call('HGET', values, key)
end

local last = redis.call('ZREVRANGE', versions, 0, 0, 'WITHSCORES')
last = tonumber(last[2]) or 0
if last > micro + 3600000000 then -- no version of ours
  redis.call('DEL', values, versions, expiries)
  last = 0
end

local lives = 0
for i = 6, #ARGV, 5 do
  local mode, key, stamp, payload, ttl = ARGV[i], ARGV[i+1], tonumber(ARGV[i+2]), ARGV[i+3], tonumber(ARGV[i+4])
  local before = valueOf(key)
  local known, same = -1, false
  if before then
    local s, p = string.match(before, '^(%d+) (.*)$')
    known, same = tonumber(s) or -1, p == payload
  end
  local expiry = now + ttl
  if mode == 'keep' and same then
    local old = tonumber(redis.call('ZSCORE', expiries, key)) or 0
    redis.call('ZADD', expiries, string.format('%.0f', math.max(old, expiry)), key)
    lives = math.max(lives, ttl)
  elseif stamp > known then
    last = math.max(micro, last + 1)
    redis.call('HSET', values, key, ARGV[i+2] .. ' ' .. payload)
    redis.call('ZADD', versions, string.format('%.0f', last), key)
    redis.call('ZADD', expiries, string.format('%.0f', expiry), key)
    lives = math.max(lives, ttl)
  end
end

forget(redis.call('ZRANGEBYSCORE', expiries, '-inf', now, 'LIMIT', 0, 500))
local excess = redis.call('ZCARD', versions) - tonumber(ARGV[4])
if excess > 0 then forget(redis.call('ZRANGE', versions, 0, math.min(excess, 500) - 1)) end
for _, key in ipairs({values, versions, expiries}) do
  local ttl = redis.call('PTTL', key)
  if ttl == -1 or ttl >= 0 and ttl < lives then redis.call('PEXPIRE', key, math.max(lives, 60000)) end
end

local found = redis.call('ZRANGEBYSCORE', versions, '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[3]))
local entries = {}
local reached = ARGV[2]
for i = 1, #found, 2 do
  local key = found[i]
  reached = found[i+1]
  local value = #key <= longest and valueOf(key)
  if value then
    local expiry = tonumber(redis.call('ZSCORE', expiries, key)) or 0
    table.insert(entries, key)
    table.insert(entries, value)
    table.insert(entries, string.format('%.0f', expiry - now))
  end
end
return {epoch, now, string.format('%.0f', last), string.format('%.0f', tonumber(reached)), #found / 2, entries}
