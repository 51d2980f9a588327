-- Uses: life, claims
-- Gives back the claim to dispatch an agent.
--   KEYS  session, due
--   ARGV  participant, id, expect_ms, absent ('1': no participant needs an agent),
--         lease_ms, retention_ms, window x 3
-- Returns {OK, events}; a no-op if the session has ended or does not exist.
-- While a job holds the lease, `absent` has no effect: that job knows better.
local now = clock()
local s = read_life(KEYS[1])
redis.call('ZCARD', KEYS[2])
local events = {}
if s.state == nil or s.state == 'ended' then
  return { 'OK', events }
end
if ARGV[4] == '1' and not lease_is_live(s, now) and not is_on_the_way(s, now, number(ARGV[3])) then
  note_absence(events, KEYS[1], KEYS[2], s, now, number(ARGV[5]), ARGV[6], windows_in(7),
    ARGV[1], ARGV[2])
else
  redis.call('HSET', KEYS[1], 'agent_by', '0')
  due_by(KEYS[2], now, ARGV[1], ARGV[2])
end
touch_shared(KEYS[2])
return { 'OK', events }
