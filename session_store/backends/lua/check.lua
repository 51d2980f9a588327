-- Leaves the key checks that are missing.
--   KEYS  check
--   ARGV  lifetime in s, then name and value of each
-- Returns {OK, the hash as it was before}.
local before = read_flat(KEYS[1])
for i = 2, #ARGV, 2 do
  redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return { 'OK', before }
