-- Notes that a sweeper lives, and returns all that do.
--   KEYS  sweepers
--   ARGV  me, alive_ms
-- Returns {OK, name...}.
local now = clock()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', digits(now - number(ARGV[2])))
redis.call('ZADD', KEYS[1], digits(now), ARGV[1])
touch_shared(KEYS[1])
return with_all({ 'OK' }, redis.call('ZRANGE', KEYS[1], 0, -1))
