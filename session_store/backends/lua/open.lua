-- Finds the session that may resume, else creates one; takes no lease. Whoever opens a session is
-- there, so its resume window begins anew: it does not close on somebody who waits for an agent.
--   KEYS  data_key, sessions, due, kek, session, turns, new_session, new_turns
--   ARGV  participant, wanted, new_id, dkid, kek_id, wrapped, ttl_ms, window x 3,
--         expect_ms (0: do not dispatch)
-- Returns {OK, now, id, agent, data key hash, session hash, turns} or {LOOK, id}.
--   agent: PRESENT, EXPECTED, WANTED (the caller dispatches one), ABSENT
local now = clock()
local k = { data_key = KEYS[1], sessions = KEYS[2], due = KEYS[3], kek = KEYS[4],
  session = KEYS[5], new_session = KEYS[7] }
local windows = { number(ARGV[8]), number(ARGV[9]), number(ARGV[10]) }
local id, s = find_or_create(k, { participant = ARGV[1], wanted = ARGV[2], exact = '0',
  new_id = ARGV[3], dkid = ARGV[4], kek_id = ARGV[5], wrapped = ARGV[6], ttl_ms = ARGV[7],
  windows = windows }, now)
if not id then
  return s
end
local resumed = id == ARGV[2]
local session_key, turns_key = KEYS[7], KEYS[8]
if resumed then
  session_key, turns_key = KEYS[5], KEYS[6]
end
local turns = redis.call('LRANGE', turns_key, 0, -1)
if resumed then
  local window_until = now + window_of(number(s.reconnect_count), windows)
  redis.call('HSET', session_key, 'last_seen', digits(now),
    'window_until', digits(math.max(number(s.window_until), window_until)))
  redis.call('ZADD', KEYS[2], digits(now), id)
end
local agent = claim_dispatch(session_key, KEYS[3], ARGV[1] .. ':' .. id, s, now, number(ARGV[11]))
touch(ARGV[7], KEYS[1], KEYS[2], KEYS[3], session_key, turns_key)
return { 'OK', digits(now), id, agent, read_flat(KEYS[1]), read_flat(session_key), turns }
