-- Uses: life
-- Ends a session now.
--   KEYS  session, due
--   ARGV  participant, id, retention_ms, fence ('' for any): only if no job has taken the lease
--         since the one with this token
-- Returns {OK, events}; no events if it had ended, does not exist, or another job has taken it.
local now = clock()
local s = read_life(KEYS[1])
redis.call('ZCARD', KEYS[2])
local events = {}
local is_asked = ARGV[4] == '' or ARGV[4] == s.fence
if s.state ~= nil and s.state ~= 'ended' and is_asked then
  finish(events, KEYS[1], s, now, now, ARGV[1], ARGV[2])
  due_by(KEYS[2], number(s.last_seen) + retention_of(s, ARGV[3]), ARGV[1], ARGV[2])
  touch_shared(KEYS[2])
end
return { 'OK', events }
