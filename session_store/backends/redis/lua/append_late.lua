-- Keeps turns of a lease that was lost before it could write them. They lie beside the record,
-- each under the fencing token and number that sealed it, so none is kept twice.
--   KEYS  session, turns, data_key, sessions
--   ARGV  dkid, retention_ms, max_turns, apart ('1': said under no lease, so their numbers are not
--         those of the record), what the program worked on ('' for none; kept where no turn was
--         recorded yet), then of each turn: fence, seq, tag before, sealed
-- Returns {OK, number kept} or {GONE}.
local s = read_fields(KEYS[1], 'dkid', 'seq', 'keep_ms', 'work_seq')
local length = redis.call('LLEN', KEYS[2])
if s.dkid == nil or s.dkid ~= ARGV[1] then
  return { 'GONE' }
end
local first = number(s.seq) - length + 1
local kept = 0
for i = 6, #ARGV, 4 do
  local seq, sealed = number(ARGV[i + 1]), ARGV[i + 3]
  -- A turn in the record lost only its answer. An older one was trimmed.
  local there = seq < first or redis.call('LINDEX', KEYS[2], seq - first) == sealed
  if ARGV[4] == '1' or not there then
    local name = 'late:' .. ARGV[i] .. ':' .. ARGV[i + 1]
    kept = kept + redis.call('HSETNX', KEYS[1], name, ARGV[i + 2] .. sealed)
  end
end
local late = {}
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  local fence, seq = string.match(name, '^late:(%d+):(%d+)$')
  if fence then
    late[#late + 1] = { name, number(fence), number(seq) }
  end
end
table.sort(late, function(a, b)
  return a[2] < b[2] or (a[2] == b[2] and a[3] < b[3])
end)
for i = 1, #late - number(ARGV[3]) do
  redis.call('HDEL', KEYS[1], late[i][1])
end
if ARGV[5] ~= '' and not s.work_seq and number(s.seq) == 0 then
  redis.call('HSET', KEYS[1], 'work_seq', '0', 'work', ARGV[5])
end
touch(retention_of(s, ARGV[2]), KEYS[1], KEYS[2], KEYS[3], KEYS[4])
return { 'OK', digits(kept) }
