-- Lists some of a participant's sessions, newest first, without turns; changes nothing.
--   KEYS  data_key, sessions, then the sessions
--   ARGV  offset, limit, then the ids that are declared
-- Returns {OK, now, total, data key, id, session hash, ...} or {LOOK, id...} (call again, with
--   these). A hash that has expired is empty.
local offset, limit = number(ARGV[1]), number(ARGV[2])
local ids = limit > 0 and redis.call('ZREVRANGE', KEYS[2], offset, offset + limit - 1) or {}
local same = #ids == #ARGV - 2
for i, id in ipairs(ids) do
  same = same and id == ARGV[i + 2]
end
if not same then
  return with_all({ 'LOOK' }, ids)
end
local reply = { 'OK', digits(clock()), digits(redis.call('ZCARD', KEYS[2])), read_data_key(KEYS[1]) }
for i, id in ipairs(ids) do
  reply[#reply + 1] = id
  reply[#reply + 1] = read_without_work(KEYS[i + 2])
end
return reply
