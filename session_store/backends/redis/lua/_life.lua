-- The life of a session: shared by the scripts that begin with "-- Uses: life".

-- All fields that decide about a session's life.
local function read_life(key)
  return read_fields(key, 'dkid', 'state', 'owner', 'fence', 'lease_until', 'window_until',
    'agent_by', 'last_seen', 'arrived_at', 'talk_ms', 'reconnect_count', 'keep_ms', 'seq', 'load',
    'outcome', 'arrival', 'counted', 'taken_at', 'gave_up', 'lost', 'lost_until', 'let_in', 'left_at',
    'lease_ms', 'claimed_at', 'scope', 'room', 'came', 'moved_at', 'moved_from', 'look', 'away_at')
end

-- The resume window after this number of returns; windows are {first, early, regular}.
local function window_of(reconnect_count, windows)
  if reconnect_count == 0 then
    return windows[1]
  elseif reconnect_count < 3 then
    return windows[2]
  end
  return windows[3]
end

-- The three resume windows, from this argument on.
local function windows_in(first)
  return { number(ARGV[first]), number(ARGV[first + 1]), number(ARGV[first + 2]) }
end

-- Until when a rejoin continues this session. A job that died left no mark. Then the window runs
-- from the end of its lease, or from its last sign of life. An agent on its way belongs to an
-- admitted participant. If it does not come, that participant waits for another one.
local function resume_until(s, windows)
  local window_until = number(s.window_until)
  local window = window_of(number(s.reconnect_count), windows)
  if s.state == 'live' then
    window_until = math.max(number(s.lease_until), number(s.last_seen)) + window
  end
  local agent_by = number(s.agent_by)
  return agent_by > 0 and math.max(window_until, agent_by + window) or window_until
end

-- A time that is further ahead than clocks of one Redis differ was written before the clock was set
-- back, and tells nothing.
local function is_ahead(at, now)
  return number(at) > now + CLOCK_MS
end

-- Returns whether a job holds the lease, or did so less than `grace_ms` ago. A lease that would last
-- for more than twice its own length was written before the clock was set back.
local function lease_is_live(s, now, grace_ms)
  local lease_until, lease_ms = number(s.lease_until), number(s.lease_ms)
  return (s.owner or '') ~= '' and lease_until > now - (grace_ms or 0)
    and (lease_ms == 0 or lease_until <= now + 2 * lease_ms)
end

-- A room is another one than that of the newest holder; both are known.
local function is_elsewhere(s, room)
  return room ~= '' and (s.room or '') ~= '' and s.room ~= room
end

-- An agent was dispatched, and has still time to come.
local function agent_is_expected(s, now)
  return number(s.agent_by) > now and not is_ahead(s.claimed_at, now)
end

-- When a holder becomes late: a living one has renewed its lease by then.
local function late_from(lease_until, lease_ms)
  return lease_until - math.floor(lease_ms * LATE_PART)
end

-- Too many agents died in a row; none is dispatched for a while.
local function has_given_up(s, now)
  return s.gave_up and now < number(s.gave_up) + CRASH_MS and not is_ahead(s.gave_up, now)
end

-- The participant was found to be gone a moment ago. A lost connection may come back by itself.
local function may_come_back(s, now)
  return s.left_at and now < number(s.left_at) + COMEBACK_MS and not is_ahead(s.left_at, now)
end

-- While the participant is here, a live lease is enough. Afterwards the window decides.
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

-- The field of the participant's hash that names the newest session of a scope.
local function newest_of(scope)
  return 'newest:' .. scope
end

-- Makes a session the newest one, also among those of the same millisecond, and after the clock
-- went back; of its scope, too.
local function make_newest(data_key, sessions, s, id, now, top)
  if (s.scope or '') ~= '' then
    redis.call('HSET', data_key, newest_of(s.scope), id)
  end
  top = top or newest_two(sessions)
  local other = top[1] ~= id and top[2] or top[4]
  if other then
    now = math.max(now, number(other) + 1)
  end
  redis.call('ZADD', sessions, digits(now), id)
end

-- Notes a deadline in `due`, which is a lower bound: an earlier deadline stays.
local function due_by(due_key, at, participant, id)
  redis.call('ZADD', due_key, 'LT', digits(at), participant .. ':' .. id)
end

-- Publishes an event, and adds it to the list that the script returns. Ids are letters and digits.
-- An event is a hint: a user without the right to publish can still do everything else.
local function tell(events, kind, now, participant, id, visit_ms, silent_ms)
  local json = '{"v":1,"type":"' .. kind .. '","at":' .. digits(now) .. ',"participant":"'
    .. participant .. '","session_id":"' .. id .. '"'
  if (visit_ms or 0) > 0 then
    json = json .. ',"visit_ms":' .. digits(visit_ms)
  end
  if (silent_ms or 0) > 0 then
    json = json .. ',"silent_ms":' .. digits(silent_ms)
  end
  json = json .. '}'
  redis.pcall('PUBLISH', EVENTS, json)
  events[#events + 1] = json
end

-- The length of a visit that was not ended by a leave.
local function open_visit(s)
  if number(s.arrived_at) == 0 then
    return 0
  end
  return math.max(0, number(s.last_seen) - number(s.arrived_at))
end

-- Begins the resume window of a participant who was here until `at`; returns its end.
local function depart(events, key, s, now, at, windows, participant, id)
  local visit_ms = number(s.arrived_at) > 0 and math.max(0, at - number(s.arrived_at)) or 0
  local window_until = at + window_of(number(s.reconnect_count), windows)
  redis.call('HSET', key, 'state', 'away', 'last_seen', digits(at), 'away_at', digits(at),
    'arrived_at', '0', 'window_until', digits(window_until), 'talk_ms', digits(number(s.talk_ms) + visit_ms))
  tell(events, 'participant_left', now, participant, id, visit_ms)
  return window_until
end

-- Ends a session. The fencing token grows, so a holder's writes are refused from now on.
local function finish(events, key, s, now, at, participant, id)
  local visit_ms = open_visit(s)
  redis.call('HSET', key, 'state', 'ended', 'ended_at', digits(at), 'owner', '', 'lease_until', '0',
    'agent_by', '0', 'fence', digits(math.max(number(s.fence) + 1, now)), 'arrived_at', '0',
    'talk_ms', digits(number(s.talk_ms) + visit_ms))
  redis.call('HDEL', key, 'gave_up', 'let_in', 'left_at', 'look')
  tell(events, 'session_ended', now, participant, id, visit_ms)
end
