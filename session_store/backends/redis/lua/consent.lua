-- Notes what a participant agrees to.
--   KEYS  data_key
--   ARGV  given ('1' or '0'), version of the text
-- Returns {OK, now} or {GONE} (there is no such participant).
local now = clock()
if not redis.call('HGET', KEYS[1], 'dkid') then
  return { 'GONE' }
end
redis.call('HSET', KEYS[1], 'consent', ARGV[1], 'consent_version', ARGV[2],
  'consent_at', digits(now))
return { 'OK', digits(now) }
