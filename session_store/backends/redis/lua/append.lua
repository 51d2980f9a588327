-- Appends sealed turns, trims the list, and keeps the chain of tags.
--   KEYS  session, turns, data_key, sessions
--   ARGV  owner, fence, dkid, retention_ms, max_turns, first_seq, tag before the first,
--         event to publish up to its seq ('' for none), drafts that these turns settle as
--         'role:number ...' ('' for none; see draft.lua), 'seq keeps' of what the program works on
--         ('' if that has not changed), turn..., and then that work, sealed
-- In the session hash: `work`, what the program works on, and `work_seq`, the number of the turn with
--   which it was recorded. A work that no program could load is put aside as `work_before:<slot>`,
--   '<seq>:<sealed>', when another one replaces it: `keeps` is its number ('-' for none).
-- Returns words in one string, because a list costs one more write to the socket: OK seq,
--   DUPLICATE seq (all turns are stored already), GAP seq (turns before the first are missing:
--   send again from seq + 1), CONFLICT seq (another chain is stored), GONE or LEASE_LOST.
local now = clock()
local s = read_fields(KEYS[1], 'dkid', 'owner', 'fence', 'seq', 'epoch_start', 'head', 'keep_ms',
  'touched')
local last_turn = redis.call('LINDEX', KEYS[2], -1)
local refused = refusal(s, ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused[1]
end
local retention_ms = retention_of(s, ARGV[4])
local current, first, before = number(s.seq), number(ARGV[6]), 10
if first > current + 1 then
  return 'GAP ' .. digits(current)
end
if first < number(s.epoch_start) then
  return 'CONFLICT ' .. digits(current)
end
local function settle_drafts()
  for role, settled in string.gmatch(ARGV[9], '(%a+):(%d+)') do
    local name = 'draft:' .. role
    local kept = redis.call('HGET', KEYS[1], name)
    if number(string.match(kept or '', '^%d+')) <= number(settled) then
      redis.call('HSET', KEYS[1], name, settled .. ':')
    end
  end
end
-- An older work never replaces a newer one. The same one again changes nothing.
local function keep_work()
  local seq, keeps = string.match(ARGV[10], '^(%d+) (%S+)$')
  local stored = redis.call('HGET', KEYS[1], 'work_seq')
  if stored and number(stored) >= number(seq) then
    return
  end
  if stored and keeps == stored then
    local aside = stored .. ':' .. (redis.call('HGET', KEYS[1], 'work') or '')
    for slot = 1, WORKS_BEFORE do
      if redis.call('HSETNX', KEYS[1], 'work_before:' .. slot, aside) == 1 then
        break
      end
    end
  end
  redis.call('HSET', KEYS[1], 'work_seq', seq, 'work', ARGV[#ARGV])
end
local there = current - first + 1
local last = ARGV[10] == '' and #ARGV or #ARGV - 1
local count = last - before
if there >= count then
  local same = redis.call('LINDEX', KEYS[2], first + count - 2 - current)
  if same and string.sub(same, -16) ~= string.sub(ARGV[last], -16) then
    return 'CONFLICT ' .. digits(current)
  end
  -- This write makes a WAIT behind it cover the turns, which were written earlier.
  touch(retention_ms, KEYS[1])
  if ARGV[9] ~= '' then
    settle_drafts()
  end
  if ARGV[10] ~= '' then
    keep_work()
  end
  return 'DUPLICATE ' .. digits(current)
end
-- The tag is the last 16 bytes of a sealed turn.
local tag_before = ARGV[7]
if there > 0 then
  tag_before = string.sub(ARGV[before + there], -16)
end
local stored_tag = s.head or ''
if last_turn then
  stored_tag = string.sub(last_turn, -16)
end
if current > 0 and stored_tag ~= tag_before then
  return 'CONFLICT ' .. digits(current)
end
local length = 0
for i = before + 1 + there, last do
  length = redis.call('RPUSH', KEYS[2], ARGV[i])
end
local seq = digits(first + count - 1)
local surplus = length - number(ARGV[5])
local head = {}
if surplus > 0 then
  local popped = redis.call('LPOP', KEYS[2], surplus)
  head = { 'head', string.sub(popped[#popped], -16) }
end
-- The keys live an hour longer than their content, so a touch each minute is enough.
local touched = s.touched or '0'
if not last_turn or now - number(touched) > 60000 then
  touch(retention_ms, KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  touched = digits(now)
end
redis.call('HSET', KEYS[1], 'seq', seq, 'last_seen', digits(now), 'touched', touched, unpack(head))
if ARGV[9] ~= '' then
  settle_drafts()
end
if ARGV[10] ~= '' then
  keep_work()
end
if ARGV[8] ~= '' then
  redis.pcall('PUBLISH', EVENTS, ARGV[8] .. seq .. ',"turns":' .. digits(count - math.max(there, 0))
    .. ',"at":' .. digits(now) .. '}')
end
return 'OK ' .. seq
