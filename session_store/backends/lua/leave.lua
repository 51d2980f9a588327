-- Uses: life
-- The participant left: the resume window begins.
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
  local windows = { number(ARGV[7]), number(ARGV[8]), number(ARGV[9]) }
  local visit_ms = number(s.arrived_at) > 0 and math.max(0, now - number(s.arrived_at)) or 0
  window_until = now + window_of(number(s.reconnect_count), windows)
  redis.call('HSET', KEYS[1], 'state', 'away', 'last_seen', digits(now), 'arrived_at', '0',
    'window_until', digits(window_until), 'talk_ms', digits(number(s.talk_ms) + visit_ms))
  make_newest(KEYS[2], ARGV[2], now)
  due_by(KEYS[3], math.min(window_until, now + retention_of(s, ARGV[6])), ARGV[1], ARGV[2])
  tell(events, 'participant_left', now, ARGV[1], ARGV[2], visit_ms)
end
touch(retention_of(s, ARGV[6]), KEYS[1], KEYS[2], KEYS[4], KEYS[5])
touch_shared(KEYS[3])
return { 'OK', digits(window_until), events }
