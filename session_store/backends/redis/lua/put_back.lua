-- Uses: life
-- Gives a lease back whose session could not be opened. Nobody talks there: the session counts as
-- left, and its window stays as it was before that join.
--   KEYS  session, due
--   ARGV  participant, id, owner, fence, dkid
-- Returns {OK}, {GONE} or {LEASE_LOST}.
local now = clock()
local s = read_life(KEYS[1])
redis.call('ZCARD', KEYS[2])
local refused = refusal(s, ARGV[3], ARGV[4], ARGV[5])
if refused then
  return refused
end
redis.call('HSET', KEYS[1], 'owner', '', 'lease_until', '0', 'state', 'away', 'arrived_at', '0')
due_by(KEYS[2], math.max(now, number(s.window_until)) + 1, ARGV[1], ARGV[2])
touch_shared(KEYS[2])
return { 'OK' }
