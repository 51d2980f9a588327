-- Shared by every script: this text is put in front of each of them before it is loaded, behind the
-- constants MARGIN_MS, SHARED_MS and EVENTS (see scripts.py).
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

local function read_flat(key)
  return redis.call('HGETALL', key)
end

local function read_hash(key)
  local flat = read_flat(key)
  local fields = {}
  for i = 1, #flat, 2 do
    fields[flat[i]] = flat[i + 1]
  end
  return fields
end

-- Where the sealed content is not needed, it is not read.
local function read_fields(key, ...)
  local values = redis.call('HMGET', key, ...)
  local fields = {}
  for i, name in ipairs({ ... }) do
    fields[name] = values[i] or nil
  end
  return fields
end

-- Everything that decides about a session's life.
local function read_life(key)
  return read_fields(key, 'dkid', 'state', 'owner', 'fence', 'lease_until', 'window_until',
    'agent_by', 'last_seen', 'arrived_at', 'talk_ms', 'reconnect_count', 'keep_ms', 'seq', 'load',
    'outcome', 'arrival', 'counted', 'orphan')
end

local function read_data_key(key)
  return redis.call('HMGET', key, 'dkid', 'kek', 'wrapped')
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

-- How long a session is kept: as its participant wants it, or by default.
local function retention_of(s, default_ms)
  return number(s.keep_ms or default_ms)
end

local function touch(retention_ms, ...)
  for _, key in ipairs({ ... }) do
    redis.call('PEXPIRE', key, digits(number(retention_ms) + MARGIN_MS))
  end
end

-- Keys of a shard outlive everything that they list.
local function touch_shared(...)
  for _, key in ipairs({ ... }) do
    redis.call('PEXPIRE', key, SHARED_MS)
  end
end

-- `unpack` ends at some thousand values.
local function with_all(reply, values)
  for _, value in ipairs(values) do
    reply[#reply + 1] = value
  end
  return reply
end

-- Makes a session the newest one, also among those of the same millisecond.
local function make_newest(sessions, id, now)
  local top = redis.call('ZREVRANGE', sessions, 0, 0, 'WITHSCORES')
  if top[1] and top[1] ~= id then
    now = math.max(now, number(top[2]) + 1)
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

-- The session that goes on, or a new one: what open and join share, with their common arguments.
--   KEYS  data_key, sessions, due, kek, session, turns, new_session, new_turns, and, where there
--         is one to make room for, the session and turns to erase
--   ARGV  participant, wanted ('' for the latest), new_id, dkid, kek_id, wrapped (these three used
--         only where the participant has no data key yet), retention_ms, window x 3, the id of the
--         key-encryption key that `kek` is declared for, max_sessions, the id to erase ('' for none)
--   mode: resume (the latest, or a new one), exact (only `wanted` will do), new, switch (`wanted`,
--         also if it has ended)
-- Returns {id, fields, created, session_key, turns_key, windows, events}, or nil and a reply:
-- {LOOK, id, kek_id, id to erase} (call again, declaring the keys of these), {GONE} or {ENDED}.
local function find_or_create(now, mode)
  local data_key, sessions, due, kek = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
  local participant, wanted, new_id, evicted = ARGV[1], ARGV[2], ARGV[3], ARGV[13]
  local windows = { number(ARGV[8]), number(ARGV[9]), number(ARGV[10]) }
  local known = read_fields(data_key, 'dkid', 'kek', 'keep_ms')
  local latest = redis.call('ZREVRANGE', sessions, 0, 0)[1]
  redis.call('ZCARD', due)
  redis.call('SCARD', kek)
  local kek_id = known.kek or ARGV[5]
  local made = redis.call('HGET', KEYS[7], 'dkid')
  if made and made == known.dkid and mode ~= 'exact' and mode ~= 'switch' then
    -- This very call has made it before; only the answer was lost.
    return { id = new_id, fields = read_life(KEYS[7]), created = true, session_key = KEYS[7],
      turns_key = KEYS[8], windows = { number(ARGV[8]), number(ARGV[9]), number(ARGV[10]) },
      events = {}, retention_ms = retention_of(known, ARGV[7]) }
  end
  local other = mode == 'resume' and latest and latest ~= wanted
  if other or kek_id ~= ARGV[11] then
    return nil, { 'LOOK', other and latest or wanted, kek_id, evicted }
  end
  local events = {}
  local retention_ms = retention_of(known, ARGV[7])
  local s, exists = {}, false
  if wanted ~= '' and mode ~= 'new' then
    s = read_life(KEYS[5])
    redis.call('LLEN', KEYS[6])
    exists = s.dkid ~= nil and s.dkid == known.dkid
    local resumes = exists and may_resume(s, now, windows)
    if exists and not resumes and mode == 'switch' then
      if s.state ~= 'ended' then
        finish(events, KEYS[5], s, now, resume_until(s, windows), participant, wanted)
      end
      local until_ms = digits(now + window_of(number(s.reconnect_count), windows))
      redis.call('HSET', KEYS[5], 'state', 'away', 'window_until', until_ms, 'ended_at', '0')
      s, resumes = read_life(KEYS[5]), true
    end
    if resumes then
      return { id = wanted, fields = s, created = false, session_key = KEYS[5], turns_key = KEYS[6],
        windows = windows, events = events, retention_ms = retention_ms }
    end
    if mode ~= 'resume' then
      return nil, { exists and 'ENDED' or 'GONE' }
    end
  end
  local kept = redis.call('ZCARD', sessions)
  if mode == 'resume' and latest and not exists then
    kept = kept - 1
  end
  local oldest = redis.call('ZRANGE', sessions, 0, 0)[1]
  if kept >= number(ARGV[12]) then
    if oldest ~= evicted then
      return nil, { 'LOOK', wanted, kek_id, oldest }
    end
    local leaving = read_life(KEYS[9])
    redis.call('LLEN', KEYS[10])
    if leaving.state ~= nil and leaving.state ~= 'ended' then
      tell(events, 'session_ended', now, participant, evicted, open_visit(leaving))
    end
    redis.call('DEL', KEYS[9], KEYS[10])
    redis.call('ZREM', sessions, evicted)
    redis.call('ZREM', due, participant .. ':' .. evicted)
    tell(events, 'erased', now, participant, evicted)
    exists = exists and evicted ~= wanted
  end
  if mode == 'resume' then
    if exists and s.state ~= 'ended' then
      finish(events, KEYS[5], s, now, math.min(now, resume_until(s, windows)), participant, wanted)
      due_by(due, number(s.last_seen) + retention_ms, participant, wanted)
    elseif latest and not exists then
      redis.call('ZREM', sessions, latest)
    end
  end
  local dkid = known.dkid
  if not dkid then
    dkid = ARGV[4]
    redis.call('HSET', data_key, 'dkid', dkid, 'kek', ARGV[5], 'wrapped', ARGV[6],
      'created', digits(now))
    redis.call('SADD', kek, participant)
  end
  redis.call('HSET', KEYS[7], 'state', 'new', 'dkid', dkid, 'seq', '0', 'version', '0',
    'reconnect_count', '0', 'fence', '0', 'last_seen', digits(now),
    'window_until', digits(now + windows[1]))
  if known.keep_ms then
    redis.call('HSET', KEYS[7], 'keep_ms', known.keep_ms)
  end
  make_newest(sessions, new_id, now)
  due_by(due, now + windows[1], participant, new_id)
  tell(events, 'session_created', now, participant, new_id)
  return { id = new_id, fields = read_life(KEYS[7]), created = true, session_key = KEYS[7],
    turns_key = KEYS[8], windows = windows, events = events, retention_ms = retention_ms }
end

-- The reply that open and join share: data key, session hash, turns, events.
local function found_reply(now, found, outcome)
  touch(found.retention_ms, KEYS[1], KEYS[2], found.session_key, found.turns_key)
  touch_shared(KEYS[3], KEYS[4])
  return { 'OK', digits(now), found.id, outcome, found.created and '1' or '0',
    read_data_key(KEYS[1]), read_flat(found.session_key),
    redis.call('LRANGE', found.turns_key, 0, -1), found.events }
end
