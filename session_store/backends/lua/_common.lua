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

-- Where the sealed content is not needed, it is not read: renewals and appends come often.
local function read_fields(key, ...)
  local values = redis.call('HMGET', key, ...)
  local fields = {}
  for i, name in ipairs({ ... }) do
    fields[name] = values[i] or nil
  end
  return fields
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
-- agent takes the lease or `expect_ms` have passed. A lease that was not given back may be that of
-- a job which only missed a renewal: it counts for one more of its length (`grace_ms`).
local function claim_dispatch(session_key, due_key, member, s, now, expect_ms, grace_ms)
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
  redis.call('ZADD', due_key, 'LT', digits(now + expect_ms), member)
  return 'WANTED'
end

local function touch(ttl_ms, ...)
  for _, key in ipairs({ ... }) do
    redis.call('PEXPIRE', key, ttl_ms)
  end
end

-- The session that goes on, or a new one: what open and join share, with their common arguments.
--   KEYS  data_key, sessions, due, kek, session, turns, new_session, new_turns
--   ARGV  participant, wanted ('' for the latest), new_id, dkid, kek_id, wrapped (these three used
--         only where the participant has no data key yet), ttl_ms, window x 3, the id of the
--         key-encryption key that `kek` is declared for
--   exact: only `wanted` will do
-- Returns {id, fields, resumed, session_key, turns_key, windows}, or nil and a reply: {LOOK, id,
-- kek_id} (call again, declaring the keys of these), {GONE} or {ENDED}.
local function find_or_create(now, exact)
  local data_key, sessions, due, kek = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
  local wanted, new_id, ttl_ms = ARGV[2], ARGV[3], ARGV[7]
  local windows = { number(ARGV[8]), number(ARGV[9]), number(ARGV[10]) }
  local known_key = redis.call('HGET', data_key, 'dkid')
  local latest = redis.call('ZREVRANGE', sessions, 0, 0)[1]
  redis.call('ZCARD', due)
  redis.call('SCARD', kek)
  -- The set that lists this data key must live as long as the key does.
  local kek_id = redis.call('HGET', data_key, 'kek') or ARGV[5]
  local other_session = not exact and latest and latest ~= wanted
  if other_session or kek_id ~= ARGV[11] then
    return nil, { 'LOOK', other_session and latest or wanted, kek_id }
  end
  if wanted ~= '' then
    local s = read_hash(KEYS[5])
    local exists = s.dkid ~= nil and s.dkid == known_key
    if exists and may_resume(s, now, windows) then
      return { id = wanted, fields = s, resumed = true, session_key = KEYS[5],
        turns_key = KEYS[6], windows = windows }
    end
    if exact then
      return nil, { exists and 'ENDED' or 'GONE' }
    end
    if exists then
      redis.call('HSET', KEYS[5], 'state', 'ended')
    elseif latest then
      redis.call('ZREM', sessions, latest)
    end
  end
  local dkid = known_key
  if not dkid then
    dkid = ARGV[4]
    redis.call('HSET', data_key, 'dkid', dkid, 'kek', ARGV[5], 'wrapped', ARGV[6],
      'created', digits(now))
    redis.call('SADD', kek, ARGV[1])
  end
  redis.call('HSET', KEYS[7], 'state', 'new', 'dkid', dkid, 'seq', '0', 'version', '0',
    'reconnect_count', '0', 'fence', '0', 'last_seen', digits(now),
    'window_until', digits(now + windows[1]))
  redis.call('ZADD', sessions, digits(now), new_id)
  touch(ttl_ms, due, kek, KEYS[7])
  return { id = new_id, fields = read_hash(KEYS[7]), resumed = false, session_key = KEYS[7],
    turns_key = KEYS[8], windows = windows }
end

-- The part of a reply that open and join share: data key hash, session hash, turns.
local function found_reply(now, found, outcome)
  touch(ARGV[7], KEYS[1], KEYS[2], KEYS[3], KEYS[4], found.session_key, found.turns_key)
  return { 'OK', digits(now), found.id, outcome, read_flat(KEYS[1]),
    read_flat(found.session_key), redis.call('LRANGE', found.turns_key, 0, -1) }
end
