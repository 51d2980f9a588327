-- Replaces a wrapped data key, if it is still the one that the caller saw.
--   KEYS  data_key, kek before, kek after
--   ARGV  participant, dkid, kek_id before, wrapped before, kek_id after, wrapped after
-- Returns {OK} or {CONFLICT}.
local known = read_fields(KEYS[1], 'dkid', 'kek', 'wrapped')
redis.call('SCARD', KEYS[2])
redis.call('SCARD', KEYS[3])
if known.dkid ~= ARGV[2] or known.kek ~= ARGV[3] or known.wrapped ~= ARGV[4] then
  return { 'CONFLICT' }
end
redis.call('HSET', KEYS[1], 'kek', ARGV[5], 'wrapped', ARGV[6])
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[1])
touch_shared(KEYS[3])
return { 'OK' }
