-- Uses: life
-- Erases one session.
--   KEYS  sessions, due, session, turns
--   ARGV  participant, id
-- Returns {OK, events}; none where it was gone.
local now = clock()
local s = read_life(KEYS[3])
redis.call('ZCARD', KEYS[1])
redis.call('ZCARD', KEYS[2])
redis.call('DEL', KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[1], ARGV[2])
local events = {}
if s.state ~= nil then
  local member = ARGV[1] .. ':' .. ARGV[2]
  if redis.call('ZCARD', KEYS[1]) == 0 then
    -- The sweeper finds that it was the last one, and lets the participant go.
    redis.call('ZADD', KEYS[2], digits(now), member)
    touch_shared(KEYS[2])
  else
    redis.call('ZREM', KEYS[2], member)
  end
  tell(events, 'erased', now, ARGV[1], ARGV[2])
end
return { 'OK', events }
