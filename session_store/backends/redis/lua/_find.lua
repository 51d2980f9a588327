-- Finding a session: shared by the scripts that begin with "-- Uses: life, find".

-- Sales and support have a conversation each with one participant. Only sessions of earlier versions
-- have no scope: every agent finds them, and so does a caller without a scope.
local function in_scope(s, scope)
  return scope == '' or not s.scope or s.scope == scope
end

local function is_listed(sessions, wanted)
  for _, id in ipairs(redis.call('ZRANGE', sessions, 0, -1)) do
    if id == wanted then
      return true
    end
  end
  return false
end

-- Finds the session that goes on, or creates one: what open and join share.
--   KEYS  data_key, sessions, due, kek, session, turns, new_session, new_turns, mark, and, where
--         there is one to make room for, the session and turns to erase
--   ARGV  participant, wanted ('' for the latest), new_id, dkid, kek_id, wrapped (these three used
--         only where the participant has no data key yet), retention_ms, window x 3, the id of the
--         key-encryption key that `kek` is declared for, max_sessions, the id to erase ('' for none),
--         scope ('' for all: see `in_scope`)
--   mode: resume (the latest of the scope, or a new one), exact (only `wanted` will do), new, switch (`wanted`,
--         also if it has ended)
-- A session that has no scope yet gets that of the caller.
-- Returns {id, fields, created, session_key, turns_key, windows, events, retention_ms, known (the
-- data key), top (the newest sessions, as make_newest reads them)}, or nil and a reply:
-- {LOOK, id, kek_id, id to erase or '*' for the caller to choose one} (call again, declaring the
-- keys of these), {GONE} or {ENDED}.
local function find_or_create(now, mode)
  local data_key, sessions, due, kek = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
  local participant, wanted, new_id, evicted = ARGV[1], ARGV[2], ARGV[3], ARGV[13]
  local scope, windows = ARGV[14], windows_in(8)
  local known = read_fields(data_key, 'dkid', 'kek', 'wrapped', 'keep_ms', newest_of(scope))
  local top = newest_two(sessions)
  local latest = known[newest_of(scope)] or top[1]
  redis.call('ZCARD', due)
  local kek_id = known.kek or ARGV[5]
  local made = redis.call('HGET', KEYS[7], 'dkid')
  if made and made == known.dkid and mode ~= 'exact' and mode ~= 'switch' then
    -- This very call made it before; only the answer was lost.
    return { id = new_id, fields = read_life(KEYS[7]), created = true, session_key = KEYS[7],
      turns_key = KEYS[8], windows = windows, events = {}, retention_ms = retention_of(known, ARGV[7]),
      known = known, top = top }
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
    exists = s.dkid ~= nil and s.dkid == known.dkid and (mode ~= 'resume' or in_scope(s, scope))
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
      local adopts = scope ~= '' and not s.scope
      s.scope = s.scope or scope
      return { id = wanted, fields = s, created = false, session_key = KEYS[5], turns_key = KEYS[6],
        adopts = adopts,
        windows = windows, events = events, retention_ms = retention_ms, known = known, top = top }
    end
    if mode ~= 'resume' then
      return nil, { exists and 'ENDED' or 'GONE' }
    end
  end
  redis.call('SCARD', kek)
  redis.call('LLEN', KEYS[8])
  local kept = redis.call('ZCARD', sessions)
  -- A session that expired leaves the list. A session under another data key stays in it, until the
  -- participant is erased.
  local expired = mode == 'resume' and latest and s.state == nil
    and is_listed(sessions, latest)
  if expired then
    kept = kept - 1
  end
  if kept >= number(ARGV[12]) then
    -- The caller must choose one of all sessions, because their keys are not declared here.
    if not is_listed(sessions, evicted) then
      return nil, { 'LOOK', wanted, kek_id, '*' }
    end
    local leaving = read_life(KEYS[10])
    redis.call('LLEN', KEYS[11])
    if lease_is_live(leaving, now) then
      return nil, { 'LOOK', wanted, kek_id, '*' }
    end
    if leaving.state ~= nil and leaving.state ~= 'ended' then
      tell(events, 'session_ended', now, participant, evicted, open_visit(leaving))
    end
    redis.call('DEL', KEYS[10], KEYS[11])
    redis.call('ZREM', sessions, evicted)
    redis.call('ZREM', due, participant .. ':' .. evicted)
    tell(events, 'erased', now, participant, evicted)
    exists = exists and evicted ~= wanted
  end
  if mode == 'resume' then
    if exists and s.state ~= 'ended' then
      finish(events, KEYS[5], s, now, math.min(now, resume_until(s, windows)), participant, wanted)
      due_by(due, number(s.last_seen) + retention_ms, participant, wanted)
    elseif expired then
      redis.call('ZREM', sessions, latest)
    end
  end
  if not known.dkid then
    known.dkid, known.kek, known.wrapped = ARGV[4], ARGV[5], ARGV[6]
    redis.call('HSET', data_key, 'dkid', known.dkid, 'kek', known.kek, 'wrapped', known.wrapped,
      'created', digits(now))
    redis.call('SADD', kek, participant)
  end
  redis.call('HSET', KEYS[7], 'state', 'new', 'dkid', known.dkid, 'seq', '0', 'version', '0',
    'reconnect_count', '0', 'fence', '0', 'last_seen', digits(now),
    'window_until', digits(now + windows[1]))
  if known.keep_ms then
    redis.call('HSET', KEYS[7], 'keep_ms', known.keep_ms)
  end
  if scope ~= '' then
    redis.call('HSET', KEYS[7], 'scope', scope)
  end
  top = newest_two(sessions)
  make_newest(data_key, sessions, { scope = scope }, new_id, now, top)
  due_by(due, now + math.min(windows[1], retention_ms), participant, new_id)
  tell(events, 'session_created', now, participant, new_id)
  return { id = new_id, fields = read_life(KEYS[7]), created = true, session_key = KEYS[7],
    turns_key = KEYS[8], windows = windows, events = events, retention_ms = retention_ms,
    known = known, top = top }
end

-- The reply that open and join share: {OK, now, id, outcome, created ('1' or '0'), dkid, kek_id,
--   wrapped, mark ('' of an open), number of events, number of parts of the hash, events..., the
--   session hash as names and values in turn, turns...}
-- An open has no mark, and does not need what the program works on.
local function found_reply(now, found, outcome, mark)
  if found.adopts then
    redis.call('HSET', found.session_key, 'scope', found.fields.scope)
  end
  touch(found.retention_ms, KEYS[1], KEYS[2], found.session_key, found.turns_key)
  touch_shared(KEYS[3], KEYS[4])
  local reply = { 'OK', digits(now), found.id, outcome, found.created and '1' or '0' }
  local known = found.known
  local flat = mark and read_flat(found.session_key) or read_without_work(found.session_key)
  with_all(reply, { known.dkid or false, known.kek or false, known.wrapped or false,
    mark or '', #found.events, #flat })
  with_all(reply, found.events)
  with_all(reply, flat)
  return with_all(reply, redis.call('LRANGE', found.turns_key, 0, -1))
end
