-- Finds the session that may resume, else creates one; takes no lease. Whoever opens a session is
-- there, so its resume window begins anew: it does not close on somebody who waits for an agent.
--   KEYS, ARGV    those of find_or_create, then
--   ARGV[12..13]  expect_ms (0: do not dispatch), grace_ms
-- Returns {OK, now, id, agent, data key hash, session hash, turns} or {LOOK, id, kek_id}.
--   agent: PRESENT, EXPECTED, WANTED (the caller dispatches one), ABSENT
local now = clock()
local found, refused = find_or_create(now, false)
if not found then
  return refused
end
local s = found.fields
if found.resumed then
  local window_until = now + window_of(number(s.reconnect_count), found.windows)
  redis.call('HSET', found.session_key, 'last_seen', digits(now),
    'window_until', digits(math.max(number(s.window_until), window_until)))
  redis.call('ZADD', KEYS[2], digits(now), found.id)
end
local member = ARGV[1] .. ':' .. found.id
local agent = claim_dispatch(found.session_key, KEYS[3], member, s, now, number(ARGV[12]),
  number(ARGV[13]))
return found_reply(now, found, agent)
