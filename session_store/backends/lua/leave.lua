-- The participant left: the resume window begins.
--   KEYS  session, sessions, due
--   ARGV  id, owner, fence, dkid, ttl_ms, window x 3, due member
-- Returns {OK, session hash}, {GONE} or {LEASE_LOST}. A second leave changes nothing.
local now = clock()
local s = read_hash(KEYS[1])
redis.call('ZCARD', KEYS[2])
redis.call('ZCARD', KEYS[3])
local refused = refusal(s, ARGV[2], ARGV[3], ARGV[4])
if refused then
  return refused
end
if s.state == 'live' then
  local windows = { number(ARGV[6]), number(ARGV[7]), number(ARGV[8]) }
  local window_until = now + window_of(number(s.reconnect_count), windows)
  redis.call('HSET', KEYS[1], 'state', 'away', 'last_seen', digits(now),
    'window_until', digits(window_until))
  redis.call('ZADD', KEYS[2], digits(now), ARGV[1])
  redis.call('ZADD', KEYS[3], 'LT', digits(window_until), ARGV[9])
end
touch(ARGV[5], KEYS[1], KEYS[2], KEYS[3])
return { 'OK', read_flat(KEYS[1]) }
