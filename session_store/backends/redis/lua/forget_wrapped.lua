-- Removes a participant from the list of a key-encryption key that does not wrap its data key.
--   KEYS  data_key, kek
--   ARGV  participant, kek_id
-- Returns {OK}, {GONE} (it is not in that list) or {CONFLICT} (it is, and belongs there).
redis.call('SCARD', KEYS[2])
if redis.call('HGET', KEYS[1], 'kek') == ARGV[2] then
  return { 'CONFLICT' }
end
return { redis.call('SREM', KEYS[2], ARGV[1]) == 1 and 'OK' or 'GONE' }
