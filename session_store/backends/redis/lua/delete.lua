-- Uses: life
-- Erases one session.
--   KEYS  sessions, due, session, turns
--   ARGV  participant, id
-- Returns {OK, events}; no events if it does not exist.
local now = clock()
local s = read_life(KEYS[3])
redis.call('ZCARD', KEYS[1])
redis.call('ZCARD', KEYS[2])
redis.call('DEL', KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[1], ARGV[2])
local events = {}
if s.state ~= nil then
  redis.call('ZREM', KEYS[2], ARGV[1] .. ':' .. ARGV[2])
  if redis.call('ZCARD', KEYS[1]) == 0 then
    -- It was the last one. A sweeper finds no session '', and removes the participant.
    redis.call('ZADD', KEYS[2], digits(now), ARGV[1] .. ':')
    touch_shared(KEYS[2])
  end
  tell(events, 'erased', now, ARGV[1], ARGV[2])
end
return { 'OK', events }
