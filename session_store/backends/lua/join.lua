-- Takes the lease, counts the arrival if it is one, and returns all that a job needs.
--   KEYS, ARGV    those of find_or_create, then
--   ARGV[12..15]  exact ('1': only `wanted` will do), owner (the attempt's nonce), load, lease_ms
-- Returns {OK, now, id, outcome, data key hash, session hash, turns},
--   {LOOK, id, kek_id}, {GONE}, {ENDED} or {HELD, milliseconds left}.
--   outcome: created, rejoined (counted), taken_over (the participant never went)
-- The same owner again gets the reply that was lost, and counts nothing.
local now = clock()
local owner, load, lease_ms = ARGV[13], ARGV[14], number(ARGV[15])
local found, refused = find_or_create(now, ARGV[12] == '1')
if not found then
  return refused
end
local s, key = found.fields, found.session_key
local outcome = s.outcome
if s.owner ~= owner then
  if lease_is_live(s, now) then
    return { 'HELD', digits(number(s.lease_until) - now) }
  end
  local count = number(s.reconnect_count)
  if s.state == 'new' then
    outcome = 'created'
    redis.call('HSET', key, 'joined_at', digits(now))
  elseif s.state == 'away' or (load ~= '' and load ~= s.load) then
    outcome = 'rejoined'
    count = count + 1
  else
    outcome = 'taken_over'
  end
  -- With plain + 1, a failover to a lagging replica would give the same token twice.
  local fence = math.max(number(s.fence) + 1, now)
  redis.call('HSET', key, 'state', 'live', 'owner', owner, 'fence', digits(fence),
    'lease_until', digits(now + lease_ms), 'epoch_start', digits(number(s.seq) + 1),
    'last_seen', digits(now), 'agent_by', '0', 'outcome', outcome,
    'reconnect_count', digits(count))
  if load ~= '' then
    redis.call('HSET', key, 'load', load)
  end
  redis.call('ZADD', KEYS[2], digits(now), found.id)
  redis.call('ZADD', KEYS[3], 'LT', digits(now + lease_ms), ARGV[1] .. ':' .. found.id)
end
return found_reply(now, found, outcome)
