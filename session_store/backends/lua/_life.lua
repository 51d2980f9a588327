-- How a session lives: shared by the scripts that begin with "-- Uses: life", behind _common.lua.

-- Everything that decides about a session's life.
local function read_life(key)
  return read_fields(key, 'dkid', 'state', 'owner', 'fence', 'lease_until', 'window_until',
    'agent_by', 'last_seen', 'arrived_at', 'talk_ms', 'reconnect_count', 'keep_ms', 'seq', 'load',
    'outcome', 'arrival', 'counted', 'orphan')
end

-- window_of(reconnect_count, {first, early, regular}): the resume window by number of returns.
local function window_of(reconnect_count, windows)
  if reconnect_count == 0 then
    return windows[1]
  elseif reconnect_count < 3 then
    return windows[2]
  end
  return windows[3]
end

-- Until when a rejoin continues this session. A job that died left no mark: then the window runs
-- from the end of its lease, or from its last sign of life. An agent on its way is for somebody
-- who was let in already.
local function resume_until(s, windows)
  local window_until = number(s.window_until)
  if s.state == 'live' then
    window_until = math.max(number(s.lease_until), number(s.last_seen))
      + window_of(number(s.reconnect_count), windows)
  end
  return math.max(window_until, number(s.agent_by))
end

local function lease_is_live(s, now)
  return (s.owner or '') ~= '' and number(s.lease_until) > now
end

-- While the participant is here a live lease is all it takes. Once it is away the window counts.
local function may_resume(s, now, windows)
  if s.state == nil or s.state == 'ended' then
    return false
  end
  return (s.state == 'live' and lease_is_live(s, now)) or now <= resume_until(s, windows)
end

-- The two newest sessions: id, score, id, score.
local function newest_two(sessions)
  return redis.call('ZREVRANGE', sessions, 0, 1, 'WITHSCORES')
end

-- Makes a session the newest one, also among those of the same millisecond, and where the clock
-- has gone back.
local function make_newest(sessions, id, now, top)
  top = top or newest_two(sessions)
  local other = top[1] ~= id and top[2] or top[4]
  if other then
    now = math.max(now, number(other) + 1)
  end
  redis.call('ZADD', sessions, digits(now), id)
end

-- Makes `due` know a deadline: it is a lower bound, so that an earlier one stays.
local function due_by(due_key, at, participant, id)
  redis.call('ZADD', due_key, 'LT', digits(at), participant .. ':' .. id)
end

-- Publishes an event, and adds it to the list that the script returns. Ids are letters and digits.
-- An event is a hint: whoever may not publish still does everything else.
local function tell(events, kind, now, participant, id, visit_ms)
  local json = '{"v":1,"type":"' .. kind .. '","at":' .. digits(now) .. ',"participant":"'
    .. participant .. '","session_id":"' .. id .. '"'
  if (visit_ms or 0) > 0 then
    json = json .. ',"visit_ms":' .. digits(visit_ms)
  end
  json = json .. '}'
  redis.pcall('PUBLISH', EVENTS, json)
  events[#events + 1] = json
end

-- How long a visit was that nobody has ended with a leave.
local function open_visit(s)
  if number(s.arrived_at) == 0 then
    return 0
  end
  return math.max(0, number(s.last_seen) - number(s.arrived_at))
end

-- Ends a session. The fence goes up, so that a holder's writes are refused from now on.
local function finish(events, key, s, now, at, participant, id)
  local visit_ms = open_visit(s)
  redis.call('HSET', key, 'state', 'ended', 'ended_at', digits(at), 'owner', '', 'lease_until', '0',
    'agent_by', '0', 'fence', digits(math.max(number(s.fence) + 1, now)), 'arrived_at', '0',
    'talk_ms', digits(number(s.talk_ms) + visit_ms))
  tell(events, 'session_ended', now, participant, id, visit_ms)
end

-- Claims the right to dispatch an agent: one caller gets WANTED, the others EXPECTED until the
-- agent takes the lease or `expect_ms` have passed. A lease that was not given back may be that of
-- a job which only missed a renewal: it counts for one more of its length (`grace_ms`).
local function claim_dispatch(session_key, due_key, participant, id, s, now, expect_ms, grace_ms)
  if lease_is_live(s, now - grace_ms) then
    return 'PRESENT'
  end
  if number(s.agent_by) > now then
    return 'EXPECTED'
  end
  if expect_ms <= 0 then
    return 'ABSENT'
  end
  redis.call('HSET', session_key, 'agent_by', digits(now + expect_ms))
  due_by(due_key, now + expect_ms, participant, id)
  return 'WANTED'
end
