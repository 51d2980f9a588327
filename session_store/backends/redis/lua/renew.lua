-- Extends the lease, even after it ran out, unless another job took it.
--   KEYS  session, turns, data_key, sessions, due
--   ARGV  owner, fence, dkid, retention_ms, lease_ms
-- Returns {OK, lease_until}, {GONE} or {LEASE_LOST}.
-- It writes no sorted set: `due` is a lower bound, which its reader moves.
local now = clock()
local s = read_fields(KEYS[1], 'dkid', 'owner', 'fence', 'state', 'keep_ms')
local refused = refusal(s, ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
local lease_until = digits(now + number(ARGV[5]))
if s.state == 'live' then
  redis.call('HSET', KEYS[1], 'lease_until', lease_until, 'lease_ms', ARGV[5],
    'last_seen', digits(now))
else
  redis.call('HSET', KEYS[1], 'lease_until', lease_until, 'lease_ms', ARGV[5])
end
touch(retention_of(s, ARGV[4]), KEYS[1], KEYS[2], KEYS[3], KEYS[4])
touch_shared(KEYS[5])
return { 'OK', lease_until }
