-- Uses: life, claims
-- Asks whether the session has an agent, and claims the right to dispatch one if not.
--   KEYS  session, due
--   ARGV  participant, id, expect_ms (0: only ask), grace_ms
-- Returns {PRESENT | EXPECTED | WANTED | ABSENT | GAVE_UP | ENDED | GONE}.
local now = clock()
local s = read_life(KEYS[1])
redis.call('ZCARD', KEYS[2])
if s.state == nil then
  return { 'GONE' }
end
return { claim_dispatch(KEYS[1], KEYS[2], ARGV[1], ARGV[2], s, now, number(ARGV[3]),
  number(ARGV[4])) }
