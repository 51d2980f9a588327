-- Leaves the key checks that are missing.
--   KEYS  check
--   ARGV  lifetime in s, then name and value of each
-- Returns {OK, the hash as it is then}: two processes that begin at once with other keys under the
--   same name do not both find their own.
for i = 2, #ARGV, 2 do
  redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return { 'OK', read_flat(KEYS[1]) }
