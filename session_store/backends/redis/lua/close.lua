-- Uses: life
-- Ends a session now.
--   KEYS  session, due
--   ARGV  participant, id, retention_ms
-- Returns {OK, events}; no events if it had ended or does not exist.
local now = clock()
local s = read_life(KEYS[1])
redis.call('ZCARD', KEYS[2])
local events = {}
if s.state ~= nil and s.state ~= 'ended' then
  finish(events, KEYS[1], s, now, now, ARGV[1], ARGV[2])
  due_by(KEYS[2], number(s.last_seen) + retention_of(s, ARGV[3]), ARGV[1], ARGV[2])
  touch_shared(KEYS[2])
end
return { 'OK', events }
