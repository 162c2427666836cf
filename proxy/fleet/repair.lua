-- Deletes keys that are not of the type they should be: something else wrote them.
-- KEYS: keys   ARGV: their types
for i, key in ipairs(KEYS) do
  local type = redis.call('TYPE', key).ok
  if type ~= 'none' and type ~= ARGV[i] then redis.call('DEL', key) end
end
return 0
