-- Replaces the sealed content, if it is still the version that the caller saw.
--   KEYS  session, turns, data_key, sessions
--   ARGV  owner, fence ('' for both: without a lease), dkid, retention_ms, version seen,
--         sealed content (as version + 1), number of the last turn that the content vouches for
-- Returns {OK, version}, {CONFLICT, version}, {GAP, seq} (that turn is missing, because a failover
--   took it back), {GONE} or {LEASE_LOST}.
-- The same content again (a retry after a lost answer) is OK.
local s = read_fields(KEYS[1], 'dkid', 'owner', 'fence', 'version', 'seq', 'keep_ms')
local refused
if ARGV[1] == '' then
  refused = refusal(s, s.owner, s.fence, ARGV[3])
else
  refused = refusal(s, ARGV[1], ARGV[2], ARGV[3])
end
if refused then
  return refused
end
local seen, version = number(ARGV[5]), number(s.version)
if version == seen + 1 and redis.call('HGET', KEYS[1], 'content') == ARGV[6] then
  touch(retention_of(s, ARGV[4]), KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  return { 'OK', s.version }
end
if version ~= seen then
  return { 'CONFLICT', s.version }
end
if number(s.seq) < number(ARGV[7]) then
  return { 'GAP', s.seq }
end
redis.call('HSET', KEYS[1], 'version', digits(seen + 1), 'content', ARGV[6])
touch(retention_of(s, ARGV[4]), KEYS[1], KEYS[2], KEYS[3], KEYS[4])
return { 'OK', digits(seen + 1) }
