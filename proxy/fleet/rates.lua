-- What each balancer lets pass.
-- KEYS: stream   ARGV: process, data ("" = none), id after which to read ("" = from now on),
--                how many to read, longest data, ms to live
-- Returns now in ms, the id reached, and the entries of others: process, data, age in ms.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local after = ARGV[3]
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
last = last[1] and last[1][1] or '0-0'
local function millis(id) return tonumber(string.match(id, '^(%d+)')) or 0 end
if millis(last) > now + 3600000 then -- no id of ours, and no other could follow
  redis.call('DEL', KEYS[1])
  after = ''
  last = '0-0'
end
if after == '' or millis(last) < millis(after) then after = last end
local found = redis.call('XREAD', 'COUNT', tonumber(ARGV[4]), 'STREAMS', KEYS[1], after)
local entries = {}
if found and found[1] then
  for _, entry in ipairs(found[1][2]) do
    after = entry[1]
    local fields = entry[2]
    if fields[1] == 'p' and fields[3] == 'd' and fields[2] ~= ARGV[1] and #fields[2] <= 64 and #fields[4] <= tonumber(ARGV[5]) then
      table.insert(entries, fields[2])
      table.insert(entries, fields[4])
      table.insert(entries, now - millis(after))
    end
  end
end
if ARGV[2] ~= '' then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', 1000, '*', 'p', ARGV[1], 'd', ARGV[2])
end
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[6])) end
return {now, after, entries}
