-- Uses: life, claims
-- Claims the right to dispatch a successor, and breaks the lease of the lost job.
--   KEYS  session, due
--   ARGV  participant, id, owner known to be dead ('' for none), idempotency key, expect_ms,
--         absent ('1': no participant needs an agent), lease_ms, retention_ms, window x 3, room where
--         the participant waits ('' for none)
-- Returns {PRESENT | EXPECTED | WANTED | ABSENT | GAVE_UP | ENDED | GONE, events}.
-- A lease that ran out is broken, without grace, and a lease of that owner in any case. So is that of
-- a job whose participant has left its room and waits in another one: nobody died then. The same key
-- again gets the same answer; nothing is published.
local now = clock()
local participant, id, expect_ms = ARGV[1], ARGV[2], number(ARGV[5])
local s = read_life(KEYS[1])
local claim = redis.call('HGET', KEYS[1], 'claim')
redis.call('ZCARD', KEYS[2])
local events = {}
if s.state == nil then
  return { 'GONE', events }
end
if s.state == 'ended' then
  return { 'ENDED', events }
end
local has_moved = s.state == 'away' and is_elsewhere(s, ARGV[12])
if lease_is_live(s, now) and s.owner ~= ARGV[3] and not has_moved then
  return { 'PRESENT', events }
end
if agent_is_expected(s, now) then
  return { claim == ARGV[4] and 'WANTED' or 'EXPECTED', events }
end
local absent = ARGV[6] == '1' and not is_on_the_way(s, now, expect_ms)
if has_given_up(s, now) and not absent then
  return { 'GAVE_UP', events }
end
if (s.owner or '') ~= '' then
  redis.call('HSET', KEYS[1], 'owner', '', 'lease_until', '0', 'lost', s.fence or '0',
    'lost_until', s.lease_until or '0')
  tell(events, 'lease_lost', now, participant, id)
  s.owner = has_moved and '' or s.owner
end
local answer = 'ABSENT'
if absent then
  s.owner, s.lease_until = '', '0'
  note_absence(events, KEYS[1], KEYS[2], s, now, number(ARGV[7]), ARGV[8], windows_in(9),
    participant, id)
else
  answer = dispatch(KEYS[1], KEYS[2], participant, id, s, now, expect_ms, ARGV[4])
end
touch_shared(KEYS[2])
return { answer, events }
