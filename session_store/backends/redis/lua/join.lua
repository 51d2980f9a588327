-- Uses: life, find
-- Takes the lease, counts the arrival if it is one, and returns all that a job needs.
--   KEYS, ARGV    those of find_or_create, then
--   ARGV[14..17]  mode (resume, exact), owner (the attempt's nonce), load, lease_ms
-- Returns what found_reply makes, {LOOK, id, kek_id, id to erase}, {GONE}, {ENDED} or
--   {HELD, milliseconds left}.
--   outcome: created, rejoined (counted), and, if the participant never went away, taken_over or
--   handed_over (the holder gave its lease back)
--   gap_ms in the hash: how long the participant was away, or without a job
-- The same owner again gets the same reply; nothing is counted or published.
local now = clock()
local owner, load, lease_ms = ARGV[15], ARGV[16], number(ARGV[17])
local found, refused = find_or_create(now, ARGV[14])
if not found then
  return refused
end
local s, key, events = found.fields, found.session_key, found.events
local outcome = s.outcome
if s.owner ~= owner then
  if lease_is_live(s, now) then
    return { 'HELD', digits(number(s.lease_until) - now) }
  end
  local count, talk_ms, arrived_at = number(s.reconnect_count), number(s.talk_ms), now
  local gap_ms = now - number(s.away_at or s.last_seen)
  if s.state == 'new' then
    outcome, gap_ms = 'created', 0
    redis.call('HSET', key, 'joined_at', digits(now))
  elseif s.state == 'away' or (load ~= '' and load ~= s.load) then
    outcome = 'rejoined'
    count = count + 1
    talk_ms = talk_ms + open_visit(s)
    tell(events, 'session_resumed', now, ARGV[1], found.id, open_visit(s))
  else
    arrived_at = number(s.arrived_at) > 0 and number(s.arrived_at) or now
    local was_broken = s.lost == s.fence
    if was_broken or (s.owner or '') ~= '' then
      -- The silence began at the last renewal, the holder's last sign of life.
      local lost_until = number(was_broken and s.lost_until or s.lease_until)
      -- Workers of the previous version write none: then `lost_until` is of an earlier holder.
      local is_known = not was_broken or lost_until > number(s.taken_at)
      local silent_ms = is_known and lost_until > 0 and now - (lost_until - lease_ms) or 0
      outcome, gap_ms = 'taken_over', silent_ms
      tell(events, 'takeover', now, ARGV[1], found.id, 0, silent_ms)
    else
      outcome = 'handed_over'
      tell(events, 'handoff', now, ARGV[1], found.id)
    end
  end
  -- With plain + 1, a failover to a lagging replica would give the same token twice.
  local fence = math.max(number(s.fence) + 1, now)
  redis.call('HSET', key, 'state', 'live', 'owner', owner, 'fence', digits(fence),
    'lease_until', digits(now + lease_ms), 'epoch_start', digits(number(s.seq) + 1),
    'last_seen', digits(now), 'agent_by', '0', 'outcome', outcome, 'taken_at', digits(now),
    'gap_ms', digits(math.max(0, gap_ms)),
    'reconnect_count', digits(count), 'arrived_at', digits(arrived_at),
    'talk_ms', digits(talk_ms), unpack(load ~= '' and { 'load', load } or {}))
  if s.gave_up or s.let_in or s.left_at or s.away_at then
    redis.call('HDEL', key, 'gave_up', 'let_in', 'left_at', 'away_at')
  end
  make_newest(KEYS[2], found.id, now, found.top)
  due_by(KEYS[3], late_from(now + lease_ms, lease_ms), ARGV[1], found.id)
end
return found_reply(now, found, outcome)
