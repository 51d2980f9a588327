-- Uses: life
-- Asks whether the session has an agent, and claims the right to dispatch one if not.
--   KEYS  session, due
--   ARGV  participant, id, expect_ms (0: only ask; -1: give the claim back), grace_ms
-- Returns {PRESENT | EXPECTED | WANTED | ABSENT | ENDED | GONE}.
local now = clock()
local s = read_fields(KEYS[1], 'state', 'owner', 'lease_until', 'agent_by')
redis.call('ZCARD', KEYS[2])
if s.state == nil then
  return { 'GONE' }
end
if s.state == 'ended' then
  return { 'ENDED' }
end
local expect_ms = number(ARGV[3])
if expect_ms < 0 then
  redis.call('HSET', KEYS[1], 'agent_by', '0')
  s.agent_by = '0'
  due_by(KEYS[2], now, ARGV[1], ARGV[2])
end
return { claim_dispatch(KEYS[1], KEYS[2], ARGV[1], ARGV[2], s, now, expect_ms, number(ARGV[4])) }
