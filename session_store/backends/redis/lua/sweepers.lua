-- Notes that a sweeper lives, and returns all that do.
--   KEYS  sweepers
--   ARGV  me, alive_ms
-- Returns {OK, now, '1' if the clock was set back since one of them reported, name...}.
local now = clock()
local ahead = redis.call('ZREMRANGEBYSCORE', KEYS[1], digits(now + CLOCK_MS), '+inf')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', digits(now - number(ARGV[2])))
redis.call('ZADD', KEYS[1], digits(now), ARGV[1])
touch_shared(KEYS[1])
return with_all({ 'OK', digits(now), ahead > 0 and '1' or '0' }, redis.call('ZRANGE', KEYS[1], 0, -1))
