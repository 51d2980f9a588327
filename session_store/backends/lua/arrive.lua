-- The participant came while the job lives: a return if it was away, or if its load is new.
--   KEYS  session, sessions
--   ARGV  id, owner, fence, dkid, attempt, load, ttl_ms
-- Returns {OK, counted ('1' or '0'), session hash}, {GONE} or {LEASE_LOST}.
-- The same attempt again gets the answer that was lost, and counts nothing.
local now = clock()
local s = read_hash(KEYS[1])
redis.call('ZCARD', KEYS[2])
local refused = refusal(s, ARGV[2], ARGV[3], ARGV[4])
if refused then
  return refused
end
local counted = s.counted
if s.arrival ~= ARGV[5] then
  local load = ARGV[6]
  counted = '0'
  if s.state == 'away' or (load ~= '' and load ~= s.load) then
    counted = '1'
    redis.call('HINCRBY', KEYS[1], 'reconnect_count', 1)
  end
  redis.call('HSET', KEYS[1], 'state', 'live', 'last_seen', digits(now), 'arrival', ARGV[5],
    'counted', counted, 'agent_by', '0')
  if load ~= '' then
    redis.call('HSET', KEYS[1], 'load', load)
  end
  redis.call('ZADD', KEYS[2], digits(now), ARGV[1])
end
touch(ARGV[7], KEYS[1], KEYS[2])
return { 'OK', counted, read_flat(KEYS[1]) }
