-- Uses: life
-- Does what is due with a session, or says when to look again.
--   KEYS  data_key, sessions, due, kek, session, turns
--   ARGV  participant, id, retention_ms, window x 3, lease_ms, the id of the key-encryption key
--         that `kek` is declared for
-- Returns {outcome, deadline, events} or {LOOK, kek_id}. Outcomes: LATER, ENDED, ERASED, GONE,
--   LATE (the holder has not renewed the lease for most of its length and may be dead),
--   ORPHANED (it may lack its agent: the participant is there or was admitted, and the lease has
--   run out) and OVERDUE (the same, but no lease has run out: the dispatched agent has not come, or
--   has given its lease back, or is where its participant was before). The last two are returned again after each `lease_ms`.
local now = clock()
local participant, id = ARGV[1], ARGV[2]
local known = read_fields(KEYS[1], 'dkid', 'kek')
redis.call('ZCARD', KEYS[2])
redis.call('ZCARD', KEYS[3])
redis.call('SCARD', KEYS[4])
local s = read_life(KEYS[5])
redis.call('LLEN', KEYS[6])
if known.kek and known.kek ~= ARGV[8] then
  return { 'LOOK', known.kek }
end
local events = {}

local function later(outcome, at)
  redis.call('ZADD', KEYS[3], digits(at), participant .. ':' .. id)
  -- The list of the key that wraps this data key, too, must not expire before the data key.
  touch_shared(KEYS[3], KEYS[4])
  return { outcome, digits(at), events }
end

-- The participant goes with the last session.
local function forget(outcome)
  redis.call('DEL', KEYS[5], KEYS[6])
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZREM', KEYS[3], participant .. ':' .. id)
  if redis.call('ZCARD', KEYS[2]) == 0 then
    redis.call('DEL', KEYS[1])
    redis.call('SREM', KEYS[4], participant)
    redis.call('ZREM', KEYS[3], participant .. ':')
  end
  return { outcome, '0', events }
end

if s.state == nil then
  return forget('GONE')
end
local windows = windows_in(4)
local lease_ms = number(ARGV[7])
local erased_at = number(s.last_seen) + retention_of(s, ARGV[3])
if s.state == 'ended' then
  if now < erased_at then
    return later('LATER', erased_at)
  end
  tell(events, 'erased', now, participant, id)
  return forget('ERASED')
end
local is_held, agent_by = lease_is_live(s, now), number(s.agent_by)
local ends_at = resume_until(s, windows)
if s.state ~= 'live' then
  -- A retention may be shorter than the window.
  ends_at = math.min(ends_at, erased_at)
end
if now > ends_at and not (s.state == 'live' and is_held) then
  finish(events, KEYS[5], s, now, ends_at, participant, id)
  return later('ENDED', erased_at)
end
if s.state ~= 'live' and agent_by == 0 and not s.let_in and not s.look
  and not may_come_back(s, now) then
  return later('LATER', ends_at + 1)
end
if has_given_up(s, now) then
  return later('LATER', math.min(number(s.gave_up) + CRASH_MS, ends_at + 1))
end
-- The holder's participant may wait in another room.
if is_held and s.look and s.state == 'away' and not agent_is_expected(s, now) then
  return later('OVERDUE', math.min(now + lease_ms, ends_at + 1))
end
if is_held then
  local lease_until = number(s.lease_until)
  local late_at = late_from(lease_until, lease_ms)
  if now < late_at then
    return later('LATER', math.min(late_at, ends_at + 1))
  end
  return later('LATE', math.min(lease_until, ends_at + 1))
end
if agent_is_expected(s, now) then
  return later('LATER', math.min(agent_by, ends_at + 1))
end
local outcome = (s.owner or '') == '' and 'OVERDUE' or 'ORPHANED'
return later(outcome, math.min(now + lease_ms, ends_at + 1))
