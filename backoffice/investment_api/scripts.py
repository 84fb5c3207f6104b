"""What is done in Redis: each script one round trip with nobody in between, by Redis's clock: hosts differ."""

# May one request of at most ARGV[1] in the window be let through now? Notes it if so.
# Returns: processes seen lately, microseconds of the pause, microseconds to wait, and the share
# of background work: its size (-1: all) and the microseconds since it began to come back.
# A pause keeps back all but a person's request, which is let through where nothing is to wait for.
ASK = """
local log, pause, peers, rest, share = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local part, most, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local process, peer_for, back_for = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local is_background, every, addition = ARGV[7] == '1', tonumber(ARGV[8]), tonumber(ARGV[9])
local is_person = ARGV[10] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

redis.call('ZADD', peers, now, process)
redis.call('ZREMRANGEBYSCORE', peers, '-inf', now - peer_for)
local count = redis.call('ZCARD', peers)

local size, age = -1, 0
local held = redis.call('HMGET', share, 'size', 'since')
if held[1] then size, age = tonumber(held[1]), now - tonumber(held[2]) end

local paused = math.max(0, redis.call('PTTL', pause)) * 1000
if paused > 0 and not is_person then return {count, paused, 0, size, age} end

-- Whoever is back first lets all rest until nobody can be on a share any more.
if back_for > 0 then redis.call('SET', rest, '1', 'PX', back_for, 'NX') end
local resting = redis.call('PTTL', rest)
if resting > 0 then return {count, paused, resting * 1000, size, age} end

if is_background and size >= 0 then
  if age < 0 then return {count, paused, -age, size, age} end
  part = math.min(part, size + math.floor(age / every) * addition)
end

local oldest = redis.call('LINDEX', log, part - 1)
local passed = oldest and now - oldest
if passed and passed >= 0 and passed < window then
  return {count, paused, window - passed, size, age}
end
redis.call('LPUSH', log, now)
redis.call('LTRIM', log, 0, most - 1)
redis.call('PEXPIRE', log, math.ceil(window / 1000))
return {count, paused, 0, size, age}
"""

# The same answer without asking for a request.
LOOK = """
local time = redis.call('TIME')
local size, age = -1, 0
local held = redis.call('HMGET', KEYS[5], 'size', 'since')
if held[1] then size, age = tonumber(held[1]), time[1] * 1000000 + time[2] - tonumber(held[2]) end
return {0, math.max(0, redis.call('PTTL', KEYS[2])) * 1000, 0, size, age}
"""

# Let only people through for ARGV[1] milliseconds, unless the others wait longer already.
PAUSE = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
"""

# What adaptive.Share.throttled does, on the share of all.
THROTTLE = """
local share = KEYS[1]
local full, wait, rest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local every, addition = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local size, since = full, 0
local held = redis.call('HMGET', share, 'size', 'since')
if held[1] then size, since = tonumber(held[1]), tonumber(held[2]) end
if now < since then
  since = math.max(since, now + wait)
else
  if size < full then
    size = math.min(full, size + math.floor((now - since) / every) * addition)
  end
  size = math.max(1, math.floor(size / 2))
  since = now + math.max(wait, rest)
end
redis.call('HSET', share, 'size', size, 'since', since)
local back = since - now + math.ceil((full - size) / addition) * every
redis.call('PEXPIRE', share, math.max(1, math.ceil(back / 1000)))
"""

# Count one exchange in its minute and in all, keep the longest, and how it failed. Whoever was
# answered knows that upstream answers.
COUNT = """
local minute, totals, failure, outage = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local what, took, keep, failed = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
redis.call('HINCRBY', minute, what, 1)
redis.call('HINCRBY', minute, 'took', took)
if took > tonumber(redis.call('HGET', minute, 'longest') or -1) then
  redis.call('HSET', minute, 'longest', took)
end
redis.call('EXPIRE', minute, keep)
redis.call('HINCRBY', totals, what, 1)
if failed ~= '' then redis.call('SET', failure, failed) end
if ARGV[5] == '1' then redis.call('DEL', outage) end
"""
