-- Keeps what is being said: one slot per role, as `draft:<role>` of the session hash, which holds
-- '<number>:<sealed>', and '<number>:' once the turn with these words was appended.
--   KEYS  session
--   ARGV  owner, fence, dkid, role, number, sealed
-- Returns {OK}, {GONE} or {LEASE_LOST}. One that is not newer than what the slot holds changes
--   nothing: it was on its way for longer.
local name = 'draft:' .. ARGV[4]
local s = read_fields(KEYS[1], 'dkid', 'owner', 'fence', name)
local refused = refusal(s, ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
if number(string.match(s[name] or '', '^%d+')) < number(ARGV[5]) then
  redis.call('HSET', KEYS[1], name, ARGV[5] .. ':' .. ARGV[6])
end
return { 'OK' }
