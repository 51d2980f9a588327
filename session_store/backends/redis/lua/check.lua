-- Stores the key checks that are missing, after checking that the scripts can run.
--   KEYS  check
--   ARGV  lifetime in s, then name and value of each
-- Returns {OK, the hash as it is then}: of two processes that start at once with other keys under
--   the same name, only one finds its own. NOPERM if the user lacks a command of the scripts.

-- Redis checks rights at each command: without one of these a script would stop halfway and leave
-- half of its writes. Redis 6.2 cannot be asked.
local COMMANDS = {
  'DEL', 'EXISTS', 'EXPIRE', 'HDEL', 'HEXISTS', 'HGET', 'HGETALL', 'HKEYS', 'HMGET', 'HSET',
  'HSETNX', 'LINDEX', 'LLEN', 'LPOP', 'LRANGE', 'PEXPIRE', 'RPUSH', 'SADD', 'SCARD',
  'SISMEMBER', 'SREM', 'TIME', 'ZADD', 'ZCARD', 'ZRANGE', 'ZREM', 'ZREMRANGEBYSCORE',
  'ZREVRANGE'
}
if redis.acl_check_cmd then
  for _, command in ipairs(COMMANDS) do
    if not redis.acl_check_cmd(command, KEYS[1], KEYS[1], KEYS[1]) then
      return redis.error_reply('NOPERM this user has no permissions to run ' .. command)
    end
  end
end
for i = 2, #ARGV, 2 do
  -- A full Redis refuses even a write that changes nothing.
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then
    redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return { 'OK', read_flat(KEYS[1]) }
