-- Uses: life
-- The participant left: the resume window begins. If the session was in another room before, the
-- participant may wait there: a sweeper looks at it now.
--   KEYS  session, sessions, due, data_key, turns
--   ARGV  participant, id, owner, fence, dkid, retention_ms, window x 3
-- Returns {OK, window_until, events}, {GONE} or {LEASE_LOST}. A second leave changes nothing.
local now = clock()
local s = read_life(KEYS[1])
redis.call('ZCARD', KEYS[2])
redis.call('ZCARD', KEYS[3])
local refused = refusal(s, ARGV[3], ARGV[4], ARGV[5])
if refused then
  return refused
end
local events = {}
local window_until = number(s.window_until)
if s.state == 'live' then
  local windows = windows_in(7)
  window_until = depart(events, KEYS[1], s, now, now, windows, ARGV[1], ARGV[2])
  make_newest(KEYS[4], KEYS[2], s, ARGV[2], now)
  local look_at = math.min(window_until, now + retention_of(s, ARGV[6]))
  if s.moved_from then
    redis.call('HSET', KEYS[1], 'look', '1')
    look_at = now
  end
  due_by(KEYS[3], look_at, ARGV[1], ARGV[2])
end
touch(retention_of(s, ARGV[6]), KEYS[1], KEYS[2], KEYS[4], KEYS[5])
touch_shared(KEYS[3])
return { 'OK', digits(window_until), events }
