-- Reads a session; changes nothing.
--   KEYS  data_key, session, turns
-- Returns {OK, now, data key hash, session hash, turns} or {GONE}.
local flat = read_flat(KEYS[2])
if #flat == 0 then
  return { 'GONE' }
end
return { 'OK', digits(clock()), read_flat(KEYS[1]), flat, redis.call('LRANGE', KEYS[3], 0, -1) }
