-- Leaves the key checks that are missing; before that, makes sure that the scripts can run.
--   KEYS  check
--   ARGV  lifetime in s, then name and value of each
-- Returns {OK, the hash as it is then}: two processes that begin at once with other keys under the
--   same name do not both find their own. NOPERM where the user may not run what scripts use.

-- Rights are checked by each command: without one of these a script would stop in its middle, and
-- leave halves. Redis 6.2 cannot be asked.
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
  -- A Redis that is full refuses even a write that changes nothing.
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then
    redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return { 'OK', read_flat(KEYS[1]) }
