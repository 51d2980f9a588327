-- Uses: life
-- Sets how long everything of a participant is kept.
--   KEYS  data_key, sessions, due, then session and turns of each id
--   ARGV  participant, retention_ms, own ('0': this is the default, which is not stored), then ids
-- Returns {OK}, {GONE} (there is no such participant) or {LOOK, id...} (call again, with these).
local now = clock()
if not redis.call('HGET', KEYS[1], 'dkid') then
  return { 'GONE' }
end
local ids = redis.call('ZRANGE', KEYS[2], 0, -1)
redis.call('ZCARD', KEYS[3])
local same = #ids == #ARGV - 3
for i, id in ipairs(ids) do
  same = same and id == ARGV[i + 3]
end
if not same then
  return with_all({ 'LOOK' }, ids)
end
local function note(key)
  if ARGV[3] == '1' then
    redis.call('HSET', key, 'keep_ms', ARGV[2])
  else
    redis.call('HDEL', key, 'keep_ms')
  end
end
local there = {}
for i = 1, #ids do
  there[i] = redis.call('HEXISTS', KEYS[2 + 2 * i], 'dkid') == 1
end
note(KEYS[1])
for i, id in ipairs(ids) do
  if there[i] then
    note(KEYS[2 + 2 * i])
    -- A sweeper looks at it now: its deadline may have come nearer.
    due_by(KEYS[3], now, ARGV[1], id)
  end
end
touch(ARGV[2], KEYS[1], KEYS[2])
for i = 4, #KEYS do
  touch(ARGV[2], KEYS[i])
end
touch_shared(KEYS[3])
return { 'OK' }
