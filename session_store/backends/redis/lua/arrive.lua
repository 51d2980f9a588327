-- Uses: life
-- The participant came while the job lives: a return if it was away, or if the page load is new.
--   KEYS  session, sessions, due, data_key, turns
--   ARGV  participant, id, owner, fence, dkid, idempotency key, load, retention_ms, came (when the
--         participant came to the room, by LiveKit's clock; 0 if that is not known)
-- Returns {OK, counted ('1' or '0'), reconnect_count, events}, {GONE} or {LEASE_LOST}.
-- The same key again gets the same answer; nothing is counted or published.
local now = clock()
local s = read_life(KEYS[1])
redis.call('ZCARD', KEYS[2])
redis.call('ZCARD', KEYS[3])
local refused = refusal(s, ARGV[3], ARGV[4], ARGV[5])
if refused then
  return refused
end
local events = {}
local counted, count = s.counted, number(s.reconnect_count)
if s.arrival ~= ARGV[6] then
  local load = ARGV[7]
  counted = '0'
  if s.state == 'away' or (load ~= '' and load ~= s.load) then
    counted, count = '1', count + 1
    local visit_ms = open_visit(s)
    redis.call('HSET', KEYS[1], 'reconnect_count', digits(count), 'arrived_at', digits(now),
      'talk_ms', digits(number(s.talk_ms) + visit_ms))
    tell(events, 'session_resumed', now, ARGV[1], ARGV[2], visit_ms)
  end
  redis.call('HSET', KEYS[1], 'state', 'live', 'last_seen', digits(now), 'arrival', ARGV[6],
    'counted', counted, 'agent_by', '0', unpack(ARGV[9] ~= '0' and { 'came', ARGV[9] } or {}))
  if s.let_in or s.look or s.away_at then
    redis.call('HDEL', KEYS[1], 'let_in', 'look', 'away_at')
  end
  if load ~= '' then
    redis.call('HSET', KEYS[1], 'load', load)
  end
  make_newest(KEYS[4], KEYS[2], s, ARGV[2], now)
  -- Its job may die from now on.
  due_by(KEYS[3], now, ARGV[1], ARGV[2])
end
touch(retention_of(s, ARGV[8]), KEYS[1], KEYS[2], KEYS[4], KEYS[5])
touch_shared(KEYS[3])
return { 'OK', counted, digits(count), events }
