-- What each balancer says of itself.
-- KEYS: reports (hash), times (sorted set)
-- ARGV: instance, report ("" = it leaves), its token, ms to live, how many to read, longest report
-- Returns now in ms, the instance's report before, and all: instance, report, age in ms.
local reports, times = KEYS[1], KEYS[2]
local instance, report, ttl, longest = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function reportOf(name)
  if redis.call('HSTRLEN', reports, name) > longest then return '' end
  return redis.call('HGET', reports, name) or ''
end
local function forget(list)
  for _, name in ipairs(list) do
    redis.call('HDEL', reports, name)
    redis.call('ZREM', times, name)
  end
end

local before = reportOf(instance)
if report ~= '' then
  redis.call('HSET', reports, instance, report)
  redis.call('ZADD', times, string.format('%.0f', now), instance)
elseif string.find(before, ARGV[3], 1, true) then
  forget({instance})
end
forget(redis.call('ZRANGEBYSCORE', times, '-inf', now - ttl, 'LIMIT', 0, 500))
forget(redis.call('ZRANGEBYSCORE', times, now + ttl, '+inf', 'LIMIT', 0, 500))
if redis.call('HLEN', reports) > redis.call('ZCARD', times) then
  for _, name in ipairs(redis.call('HKEYS', reports)) do
    if not redis.call('ZSCORE', times, name) then redis.call('HDEL', reports, name) end
  end
end
redis.call('PEXPIRE', reports, ttl)
redis.call('PEXPIRE', times, ttl)
local found = redis.call('ZREVRANGE', times, 0, tonumber(ARGV[5]) - 1, 'WITHSCORES')
local all = {}
for i = 1, #found, 2 do
  table.insert(all, #found[i] <= 256 and found[i] or '')
  table.insert(all, reportOf(found[i]))
  table.insert(all, now - tonumber(found[i+1]))
end
return {now, before, all}
