-- Appends sealed turns, trims the list, and keeps the chain of tags.
--   KEYS  session, turns
--   ARGV  owner, fence, dkid, ttl_ms, max_turns, first_seq, tag before the first, turn...
-- Returns {OK, seq}, {DUPLICATE, seq} (all of them are there already), {GAP, seq} (turns before
--   the first are missing: resend from seq + 1), {CONFLICT, seq} (another chain is stored),
--   {GONE} or {LEASE_LOST}.
local now = clock()
local s = read_fields(KEYS[1], 'dkid', 'owner', 'fence', 'seq', 'epoch_start', 'head')
local refused = refusal(s, ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
local current, first = number(s.seq), number(ARGV[6])
local last_turn = redis.call('LINDEX', KEYS[2], -1)
if first > current + 1 then
  return { 'GAP', digits(current) }
end
if first < number(s.epoch_start) then
  return { 'CONFLICT', digits(current) }
end
local there = current - first + 1
local count = #ARGV - 7
if there >= count then
  return { 'DUPLICATE', digits(current) }
end
-- The tag is the last 16 bytes of a sealed turn.
local tag_before = ARGV[7]
if there > 0 then
  tag_before = string.sub(ARGV[7 + there], -16)
end
local stored_tag = s.head or ''
if last_turn then
  stored_tag = string.sub(last_turn, -16)
end
if current > 0 and stored_tag ~= tag_before then
  return { 'CONFLICT', digits(current) }
end
for i = 8 + there, #ARGV do
  redis.call('RPUSH', KEYS[2], ARGV[i])
end
local seq = first + count - 1
redis.call('HSET', KEYS[1], 'seq', digits(seq), 'last_seen', digits(now))
local surplus = redis.call('LLEN', KEYS[2]) - number(ARGV[5])
if surplus > 0 then
  local popped = redis.call('LPOP', KEYS[2], surplus)
  redis.call('HSET', KEYS[1], 'head', string.sub(popped[#popped], -16))
end
touch(ARGV[4], KEYS[1], KEYS[2])
return { 'OK', digits(seq) }
