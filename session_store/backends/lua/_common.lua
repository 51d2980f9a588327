-- Shared by every script: this text is put in front of each of them before it is loaded.
-- Conventions: times are Unix milliseconds by Redis's own clock, read once per script; ids, fences
-- and tags are opaque strings; a refused operation has written nothing, because every script
-- reads (and so meets a WRONGTYPE) before its first write.

local function clock()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- Lua writes large numbers as 1.7e+12; Redis and Python want all digits.
local function digits(n)
  return string.format('%.0f', n)
end

local function number(value)
  return tonumber(value or '0') or 0
end

local function read_hash(key)
  local flat = redis.call('HGETALL', key)
  local fields = {}
  for i = 1, #flat, 2 do
    fields[flat[i]] = flat[i + 1]
  end
  return fields, flat
end

local function read_flat(key)
  return redis.call('HGETALL', key)
end

-- windows: {first, early, regular}, the resume window by number of returns.
local function window_of(reconnect_count, windows)
  if reconnect_count == 0 then
    return windows[1]
  elseif reconnect_count < 3 then
    return windows[2]
  end
  return windows[3]
end

-- Until when a rejoin continues this session. A job that died left no mark: then the window runs
-- from the end of its lease, or from its last sign of life. An agent on its way is for somebody who was let in already.
local function resume_until(s, windows)
  local window_until = number(s.window_until)
  if s.state == 'live' then
    window_until = math.max(number(s.lease_until), number(s.last_seen))
      + window_of(number(s.reconnect_count), windows)
  end
  return math.max(window_until, number(s.agent_by))
end

local function may_resume(s, now, windows)
  return s.state ~= nil and s.state ~= 'ended' and now <= resume_until(s, windows)
end

local function lease_is_live(s, now)
  return (s.owner or '') ~= '' and number(s.lease_until) > now
end

-- Who writes must hold the newest fencing token, as the same owner, of a session that was not
-- erased meanwhile. An expired lease that nobody took is still good: the token is the fence.
local function refusal(s, owner, fence, dkid)
  if s.dkid == nil or s.dkid ~= dkid then
    return { 'GONE' }
  end
  if s.owner ~= owner or s.fence ~= fence then
    return { 'LEASE_LOST' }
  end
  return nil
end

-- Claims the right to dispatch an agent: one caller gets WANTED, the others EXPECTED until the
-- agent takes the lease or `expect_ms` have passed.
local function claim_dispatch(session_key, due_key, member, s, now, expect_ms)
  if lease_is_live(s, now) then
    return 'PRESENT'
  end
  if number(s.agent_by) > now then
    return 'EXPECTED'
  end
  if expect_ms <= 0 then
    return 'ABSENT'
  end
  redis.call('HSET', session_key, 'agent_by', digits(now + expect_ms))
  redis.call('ZADD', due_key, 'LT', digits(now + expect_ms), member)
  return 'WANTED'
end

local function touch(ttl_ms, ...)
  for _, key in ipairs({ ... }) do
    redis.call('PEXPIRE', key, ttl_ms)
  end
end

-- The session that goes on, or a new one.
--   k: data_key, sessions, due, kek, session, new_session
--   a: participant, wanted ('' for the latest), exact ('1': only `wanted` will do), new_id,
--      dkid, kek_id, wrapped (all three used only where the participant has no data key yet),
--      ttl_ms, windows
-- Returns the id and its fields, or nil and a reply: {LOOK, id} (call again, declaring the keys of
-- that session), {GONE} or {ENDED}.
local function find_or_create(k, a, now)
  local known_key = redis.call('HGET', k.data_key, 'dkid')
  local latest = redis.call('ZREVRANGE', k.sessions, 0, 0)[1]
  redis.call('ZCARD', k.due)
  redis.call('SCARD', k.kek)
  if a.exact ~= '1' and latest and latest ~= a.wanted then
    return nil, { 'LOOK', latest }
  end
  if a.wanted ~= '' then
    local s = read_hash(k.session)
    local exists = s.dkid ~= nil and s.dkid == known_key
    if exists and may_resume(s, now, a.windows) then
      return a.wanted, s
    end
    if a.exact == '1' then
      return nil, { exists and 'ENDED' or 'GONE' }
    end
    if exists then
      redis.call('HSET', k.session, 'state', 'ended')
    elseif latest then
      redis.call('ZREM', k.sessions, latest)
    end
  end
  local dkid = known_key
  if not dkid then
    dkid = a.dkid
    redis.call('HSET', k.data_key, 'dkid', dkid, 'kek', a.kek_id, 'wrapped', a.wrapped,
      'created', digits(now))
    redis.call('SADD', k.kek, a.participant)
  end
  redis.call('HSET', k.new_session, 'state', 'new', 'dkid', dkid, 'seq', '0', 'version', '0',
    'reconnect_count', '0', 'fence', '0', 'last_seen', digits(now),
    'window_until', digits(now + a.windows[1]))
  redis.call('ZADD', k.sessions, digits(now), a.new_id)
  touch(a.ttl_ms, k.due, k.kek, k.new_session)
  return a.new_id, read_hash(k.new_session)
end
