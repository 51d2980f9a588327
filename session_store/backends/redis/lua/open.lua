-- Uses: life, find, claims
-- Finds the session that may resume, or creates one; takes no lease. A participant that opens a
-- session is there, so the resume window begins again: it must not close during the wait for an
-- agent.
--   KEYS, ARGV    those of find_or_create, then
--   ARGV[15..17]  mode (resume, new, switch), expect_ms (0: do not dispatch), grace_ms
-- Returns what found_reply makes, {LOOK, id, kek_id, id to erase} or {GONE}.
--   outcome: PRESENT, EXPECTED, WANTED (the caller dispatches one), ABSENT, GAVE_UP; ENDED for a
--   session that this very call made, and that was closed meanwhile
local now = clock()
local found, refused = find_or_create(now, ARGV[15])
if not found then
  return refused
end
local s = found.fields
if not found.created then
  local window_until = now + window_of(number(s.reconnect_count), found.windows)
  redis.call('HSET', found.session_key, 'last_seen', digits(now),
    'window_until', digits(math.max(number(s.window_until), window_until)))
  make_newest(KEYS[1], KEYS[2], s, found.id, now, found.top)
  due_by(KEYS[3], math.min(window_until, now + found.retention_ms), ARGV[1], found.id)
end
local expect_ms = number(ARGV[16])
if expect_ms > 0 and s.state ~= 'ended' then
  redis.call('HSET', found.session_key, 'let_in', digits(now))
end
local agent = claim_dispatch(found.session_key, KEYS[3], ARGV[1], found.id, s, now,
  expect_ms, number(ARGV[17]))
if expect_ms > 0 and agent == 'PRESENT' then
  -- Its job may be dead already.
  due_by(KEYS[3], now, ARGV[1], found.id)
end
return found_reply(now, found, agent)
