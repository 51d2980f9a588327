-- Uses: life
-- Erases a participant: the data key first, then every key of every session. Only the time of the
-- erasure stays for a while: a conversation that began before it, without the store, must not come
-- back.
--   KEYS  data_key, sessions, due, kek, erased, then session and turns of each id
--   ARGV  participant, kek_id, then the ids
-- Returns {OK, number of sessions erased, number of keys left (0), events} or {LOOK, kek_id, id...}
--   (call again, declaring these).
-- Scripts that run later find no session, or another data key, and answer GONE.
local now = clock()
local known = redis.call('EXISTS', KEYS[1])
local kek_id = redis.call('HGET', KEYS[1], 'kek') or ARGV[2]
local ids = redis.call('ZRANGE', KEYS[2], 0, -1)
redis.call('ZCARD', KEYS[3])
redis.call('SCARD', KEYS[4])
redis.call('HGET', KEYS[5], 'at')
local declared = {}
for i = 3, #ARGV do
  declared[ARGV[i]] = true
end
local complete = kek_id == ARGV[2]
for _, id in ipairs(ids) do
  complete = complete and declared[id]
end
if not complete then
  return with_all({ 'LOOK', kek_id }, ids)
end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[4], ARGV[1])
for i = 6, #KEYS do
  redis.call('DEL', KEYS[i])
end
redis.call('HSET', KEYS[5], 'at', digits(now))
touch_shared(KEYS[5])
redis.call('ZREM', KEYS[3], ARGV[1] .. ':')
for i = 3, #ARGV do
  redis.call('ZREM', KEYS[3], ARGV[1] .. ':' .. ARGV[i])
end
redis.call('DEL', KEYS[2])
local left = redis.call('EXISTS', KEYS[1], KEYS[2]) + redis.call('SISMEMBER', KEYS[4], ARGV[1])
for i = 6, #KEYS do
  left = left + redis.call('EXISTS', KEYS[i])
end
local events = {}
if known == 1 or #ids > 0 then
  tell(events, 'erased', now, ARGV[1], '')
end
return { 'OK', digits(#ids), digits(left), events }
