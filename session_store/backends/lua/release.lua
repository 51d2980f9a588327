-- Gives the lease back, so that the next job need not wait for its end.
--   KEYS  session
--   ARGV  owner, fence, dkid
-- Returns {OK}, {GONE} or {LEASE_LOST}.
local s = read_fields(KEYS[1], 'dkid', 'owner', 'fence')
local refused = refusal(s, ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
redis.call('HSET', KEYS[1], 'owner', '', 'lease_until', '0')
return { 'OK' }
