-- Uses: life
-- Gives the lease back, so that the next job need not wait for its end. Whose participant is there
-- needs another one: the sweeper looks at it now.
--   KEYS  session, due
--   ARGV  participant, id, owner, fence, dkid
-- Returns {OK}, {GONE} or {LEASE_LOST}.
local s = read_fields(KEYS[1], 'dkid', 'owner', 'fence', 'state')
redis.call('ZCARD', KEYS[2])
local refused = refusal(s, ARGV[3], ARGV[4], ARGV[5])
if refused then
  return refused
end
redis.call('HSET', KEYS[1], 'owner', '', 'lease_until', '0')
if s.state == 'live' then
  due_by(KEYS[2], clock(), ARGV[1], ARGV[2])
  touch_shared(KEYS[2])
end
return { 'OK' }
