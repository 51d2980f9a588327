-- Replaces the sealed content, if it is still the version that the caller saw.
--   KEYS  session
--   ARGV  owner, fence, dkid, ttl_ms, version seen, sealed content (as version + 1)
-- Returns {OK, version}, {CONFLICT, version}, {GONE} or {LEASE_LOST}.
-- The same content again (a retry whose answer was lost) is OK.
local s = read_hash(KEYS[1])
local refused = refusal(s, ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
local seen = number(ARGV[5])
if number(s.version) == seen + 1 and s.content == ARGV[6] then
  return { 'OK', s.version }
end
if number(s.version) ~= seen then
  return { 'CONFLICT', s.version }
end
redis.call('HSET', KEYS[1], 'version', digits(seen + 1), 'content', ARGV[6])
touch(ARGV[4], KEYS[1])
return { 'OK', digits(seen + 1) }
