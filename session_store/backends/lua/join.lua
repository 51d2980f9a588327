-- Takes the lease, counts the arrival if it is one, and returns all that a job needs.
--   KEYS  data_key, sessions, due, kek, session, turns, new_session, new_turns
--   ARGV  participant, wanted, new_id, dkid, kek_id, wrapped, ttl_ms, window x 3,
--         exact ('1': only `wanted` will do), owner (the attempt's nonce), load, lease_ms
-- Returns {OK, now, id, outcome, data key hash, session hash, turns},
--   {LOOK, id}, {GONE}, {ENDED} or {HELD, milliseconds left}.
--   outcome: created, rejoined (counted), taken_over (the participant never went)
-- The same owner again gets the reply that was lost, and counts nothing.
local now = clock()
local k = { data_key = KEYS[1], sessions = KEYS[2], due = KEYS[3], kek = KEYS[4],
  session = KEYS[5], new_session = KEYS[7] }
local windows = { number(ARGV[8]), number(ARGV[9]), number(ARGV[10]) }
local owner, load, lease_ms = ARGV[12], ARGV[13], number(ARGV[14])
local id, s = find_or_create(k, { participant = ARGV[1], wanted = ARGV[2], exact = ARGV[11],
  new_id = ARGV[3], dkid = ARGV[4], kek_id = ARGV[5], wrapped = ARGV[6], ttl_ms = ARGV[7],
  windows = windows }, now)
if not id then
  return s
end
local resumed = id == ARGV[2]
local session_key, turns_key = KEYS[7], KEYS[8]
if resumed then
  session_key, turns_key = KEYS[5], KEYS[6]
end
local turns = redis.call('LRANGE', turns_key, 0, -1)
local outcome = s.outcome
if s.owner ~= owner then
  if lease_is_live(s, now) then
    return { 'HELD', digits(number(s.lease_until) - now) }
  end
  local count = number(s.reconnect_count)
  if s.state == 'new' then
    outcome = 'created'
    redis.call('HSET', session_key, 'joined_at', digits(now))
  elseif s.state == 'away' or (load ~= '' and load ~= s.load) then
    outcome = 'rejoined'
    count = count + 1
  else
    outcome = 'taken_over'
  end
  -- With plain + 1, a failover to a lagging replica would give the same token twice.
  local fence = math.max(number(s.fence) + 1, now)
  redis.call('HSET', session_key, 'state', 'live', 'owner', owner, 'fence', digits(fence),
    'lease_until', digits(now + lease_ms), 'epoch_start', digits(number(s.seq) + 1),
    'last_seen', digits(now), 'agent_by', '0', 'outcome', outcome,
    'reconnect_count', digits(count))
  if load ~= '' then
    redis.call('HSET', session_key, 'load', load)
  end
  redis.call('ZADD', KEYS[2], digits(now), id)
  redis.call('ZADD', KEYS[3], 'LT', digits(now + lease_ms), ARGV[1] .. ':' .. id)
end
touch(ARGV[7], KEYS[1], KEYS[2], KEYS[3], KEYS[4], session_key, turns_key)
return { 'OK', digits(now), id, outcome, read_flat(KEYS[1]), read_flat(session_key), turns }
