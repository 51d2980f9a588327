-- Uses: life
-- Gives the lease back, so that the next job need not wait for its end. A session whose participant
-- is there, or was admitted, needs another job: a sweeper looks at it now.
--   KEYS  session, due
--   ARGV  participant, id, owner, fence, dkid
-- Returns {OK}, {GONE} or {LEASE_LOST}.
local now = clock()
local s = read_fields(KEYS[1], 'dkid', 'owner', 'fence', 'state', 'taken_at',
  'let_in')
redis.call('ZCARD', KEYS[2])
local refused = refusal(s, ARGV[3], ARGV[4], ARGV[5])
if refused then
  return refused
end
local is_hasty = s.state == 'live' and now < number(s.taken_at) + SHORT_LIFE_MS
redis.call('HSET', KEYS[1], 'owner', '', 'lease_until', '0',
  unpack(is_hasty and { 'hasty', s.fence } or {}))
if s.state == 'live' or s.let_in then
  due_by(KEYS[2], now, ARGV[1], ARGV[2])
  touch_shared(KEYS[2])
end
return { 'OK' }
