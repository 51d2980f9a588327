-- Claims to dispatch an agent: shared by the scripts that begin with "-- Uses: life, claims".
-- In the session hash:
--   agent_by   when the dispatched agent becomes overdue; 0 for none
--   claim      the idempotency key of this claim
--   claimed_at when it was made
--   replaced   fencing token of the newest holder that got a successor
--   deaths     when the last agents in a row died
--   gave_up    since when no agent is dispatched any more
--   lost       fencing token of the newest lease that was broken: the next job takes over
--   lost_until when that lease would have run out
--   hasty      fencing token of the newest holder that gave its lease back after a short life
--   let_in     when a participant was admitted that no job has seen yet
--   left_at    when a participant who had been there was found to be gone
--   look       the participant left the newest room, and may wait in an earlier one

-- A participant was admitted a moment ago, and may not have reached the room yet.
local function is_on_the_way(s, now, expect_ms)
  return number(s.let_in) > now - expect_ms and not is_ahead(s.let_in, now)
end

-- Notes that no participant needs an agent. A visit that was open ended when the
-- participant was last seen. For a while a sweeper looks again after each `lease_ms`, and then once
-- more when the window ends.
local function note_absence(events, key, due_key, s, now, lease_ms, retention_ms, windows,
                            participant, id)
  redis.call('HSET', key, 'agent_by', '0')
  redis.call('HDEL', key, 'let_in', 'look')
  s.agent_by = '0'
  local last_seen = number(s.last_seen)
  if s.state == 'live' then
    s.window_until = digits(depart(events, key, s, now, last_seen, windows, participant, id))
    s.state, s.left_at = 'away', digits(now)
    redis.call('HSET', key, 'left_at', s.left_at)
  end
  local ends_at = math.min(resume_until(s, windows), last_seen + retention_of(s, retention_ms))
  local look_at = may_come_back(s, now) and math.min(now + lease_ms, ends_at + 1) or ends_at + 1
  redis.call('ZADD', due_key, digits(look_at), participant .. ':' .. id)
end

-- Lets the caller dispatch an agent (WANTED), unless too many agents died in a row (GAVE_UP).
-- A death is counted once for each holder that left its lease behind, or that left its participant
-- after a short life. A dispatched agent that never came does not count as a death.
local function dispatch(key, due_key, participant, id, s, now, expect_ms, attempt)
  local before, fence = read_fields(key, 'deaths', 'replaced', 'hasty'), s.fence or '0'
  local deaths = {}
  for at in string.gmatch(before.deaths or '', '%d+') do
    if number(at) > now - CRASH_MS and not is_ahead(at, now) then
      deaths[#deaths + 1] = at
    end
  end
  local died = (s.owner or '') ~= '' or (s.state == 'live' and before.hasty == fence)
  if died and before.replaced ~= fence then
    if #deaths >= MAX_DEATHS then
      redis.call('HSET', key, 'agent_by', '0', 'replaced', fence, 'gave_up', digits(now))
      return 'GAVE_UP'
    end
    deaths[#deaths + 1] = digits(now)
  end
  redis.call('HSET', key, 'agent_by', digits(now + expect_ms), 'claim', attempt,
    'claimed_at', digits(now),
    'replaced', fence, 'deaths', table.concat(deaths, ' '))
  if s.gave_up then
    redis.call('HDEL', key, 'gave_up')
  end
  due_by(due_key, now + expect_ms, participant, id)
  return 'WANTED'
end

-- Returns whether an agent is there, and claims the dispatch if none is. One caller gets WANTED.
-- The others get EXPECTED until the agent takes the lease or `expect_ms` pass (0: only look).
-- A lease that was not given back may belong to a job that only missed a renewal. It counts for one
-- more of its length (`grace_ms`), and stays valid until a successor takes it.
local function claim_dispatch(key, due_key, participant, id, s, now, expect_ms, grace_ms)
  if s.state == 'ended' then
    return 'ENDED'
  end
  if lease_is_live(s, now, grace_ms) then
    return 'PRESENT'
  end
  if agent_is_expected(s, now) then
    return 'EXPECTED'
  end
  if has_given_up(s, now) then
    return 'GAVE_UP'
  end
  if expect_ms <= 0 then
    return 'ABSENT'
  end
  return dispatch(key, due_key, participant, id, s, now, expect_ms, '')
end
