-- Lets the deadlines of all sessions of a shard come now.
--   KEYS  due
-- Returns {OK}.
local now = digits(clock())
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  redis.call('ZADD', KEYS[1], now, member)
end
touch_shared(KEYS[1])
return { 'OK' }
