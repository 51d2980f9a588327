-- Reads a session; changes nothing.
--   KEYS  data_key, session, turns
--   ARGV  how many of the newest turns ('' for all), whether what the program works on is wanted
--         ('1' or '0')
-- Returns {OK, now, dkid, kek_id, wrapped, tag before the first turn, number of parts of the hash,
--   the session hash as names and values in turn, turns...} or {GONE}.
local flat = ARGV[2] == '1' and read_flat(KEYS[2]) or read_without_work(KEYS[2])
if #flat == 0 then
  return { 'GONE' }
end
local head, turns = redis.call('HGET', KEYS[2], 'head') or ''
if ARGV[1] == '' then
  turns = redis.call('LRANGE', KEYS[3], 0, -1)
else
  -- One turn more, for its tag.
  local last = number(ARGV[1])
  turns = redis.call('LRANGE', KEYS[3], -last - 1, -1)
  if #turns > last then
    head = string.sub(table.remove(turns, 1), -16)
  end
end
local reply = with_all({ 'OK', digits(clock()) }, read_data_key(KEYS[1]))
return with_all(with_all(with_all(reply, { head, #flat }), flat), turns)
