-- Shared by every script: this text goes in front of each of them, behind the constants (MARGIN_MS
-- and others: see scripts.py).
-- Conventions: times are Unix milliseconds by Redis's own clock, read once per script. Ids, fencing
-- tokens and tags are opaque strings. A refused operation has written nothing, because every script
-- reads all its keys (and so meets a WRONGTYPE) before its first write.

local function clock()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- Lua writes large numbers as 1.7e+12; Redis and Python need all digits.
local function digits(n)
  return string.format('%.0f', n)
end

local function number(value)
  return tonumber(value or '0') or 0
end

local function read_flat(key)
  return redis.call('HGETALL', key)
end

-- Reads a hash without what the program works on (append.lua), which is large, and which only a job
-- needs.
local function read_without_work(key)
  local flat, kept = read_flat(key), {}
  if redis.call('HEXISTS', key, 'work_seq') == 0 then
    return flat
  end
  for i = 1, #flat, 2 do
    if string.sub(flat[i], 1, 4) ~= 'work' then
      kept[#kept + 1], kept[#kept + 2] = flat[i], flat[i + 1]
    end
  end
  return kept
end

-- Reads some fields: the sealed content is large, and most scripts do not need it.
local function read_fields(key, ...)
  local values = redis.call('HMGET', key, ...)
  local fields = {}
  for i, name in ipairs({ ... }) do
    fields[name] = values[i] or nil
  end
  return fields
end

local function read_data_key(key)
  return redis.call('HMGET', key, 'dkid', 'kek', 'wrapped')
end

-- A writer must hold the newest fencing token, as the same owner, of a session that was not erased
-- meanwhile. An expired lease stays valid until another job takes it: the token is the fence.
local function refusal(s, owner, fence, dkid)
  if s.dkid == nil or s.dkid ~= dkid then
    return { 'GONE' }
  end
  if s.owner ~= owner or s.fence ~= fence then
    return { 'LEASE_LOST' }
  end
  return nil
end

-- The retention of a session: its participant's own, or the default.
local function retention_of(s, default_ms)
  return number(s.keep_ms or default_ms)
end

local function touch(retention_ms, ...)
  local lifetime_ms = digits(number(retention_ms) + MARGIN_MS)
  for _, key in ipairs({ ... }) do
    redis.call('PEXPIRE', key, lifetime_ms)
  end
end

-- The keys of a shard outlive everything that they list.
local function touch_shared(...)
  for _, key in ipairs({ ... }) do
    redis.call('PEXPIRE', key, SHARED_MS)
  end
end

-- Adds values to a reply. Frequent replies are flat: for each list, also for one within another,
-- Redis 6.2 writes to the socket once more, which wakes the reader once more. `unpack` fails at
-- some thousand values.
local function with_all(reply, values)
  local size = #reply
  for i, value in ipairs(values) do
    reply[size + i] = value
  end
  return reply
end
