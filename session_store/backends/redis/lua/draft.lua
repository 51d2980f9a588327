-- Keeps words that are being said: one slot per role, `draft:<role>` of the session hash. It holds
-- '<number>:<sealed>', and '<number>:' once the turn with these words was appended.
--   KEYS  session
--   ARGV  owner, fence, dkid, role, number, sealed
-- Returns {OK}, {GONE} or {LEASE_LOST}. A draft that is not newer than the one in its slot changes
--   nothing: it arrived late.
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
