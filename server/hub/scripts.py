"""The log's scripts: each is one atomic step in Valkey.

KEYS are always log, meta, act, mark. `meta` is a hash: epoch, s (top of the log), claims (counter), fence, owner, state
(open, stopping, closed), streamId, messageId, job, heard, n and ns (the producer's last event and its seq: a repeated
append after a lost answer writes nothing), next (the one waiting job). A fence is `<epoch>.<claim>`, so a producer from
before a flush can never pass for its successor. Messages on the channel are `<epoch>|<seq>|<pos>|<json>`; seq 0 is
control, -1 ephemeral.
"""

from __future__ import annotations

# A new log is made here and nowhere else; an old stream must never outlive its counter, hence the DEL.
_OPEN = """
local log, meta, act, mark = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local function open(epoch)
  redis.call('DEL', log)
  redis.call('HSET', meta, 'epoch', epoch, 's', 0)
  return epoch
end
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function keep(ttl)
  redis.call('PEXPIRE', log, ttl)
  redis.call('PEXPIRE', meta, ttl)
end
"""

# fence, n, pos, payload, epoch_if_new, flags (t terminal, m marked, f final: what a stopped stream may still add), member
APPEND = (
    _OPEN
    + """
local fence, n, pos, payload = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local flags, member, ttl = ARGV[6], ARGV[7], $TTL
local terminal, marked = string.find(flags, 't', 1, true), string.find(flags, 'm', 1, true)
local m = redis.call('HMGET', meta, 'epoch', 'fence', 'state', 'n', 'ns', 'heard')
local epoch = m[1]
if marked and epoch then
  local seen = redis.call('GET', mark)
  if seen then
    local e, s = string.match(seen, '^(.-):(%d+)$')
    if e == epoch then return {tonumber(s), 1, epoch} end
  end
end
if fence ~= '' then
  if not epoch or string.sub(fence, 1, #epoch + 1) ~= epoch .. '.' then return {-4} end
  if fence ~= m[2] then return {-1} end
  local written = tonumber(m[4] or '0')
  if n <= written then return {tonumber(m[5]), 1, epoch} end
  -- The log forgot what it had acknowledged (an older copy came back): it may not go on under the same epoch.
  if n > written + 1 then return {-4} end
  if m[3] == 'closed' then return {-2} end
  if m[3] == 'stopping' and not string.find(flags, 'f', 1, true) then return {-3, m[6] or ''} end
end
if not epoch then epoch = open(ARGV[5]) end
local s = redis.call('HINCRBY', meta, 's', 1)
if pos == '' then
  redis.call('XADD', log, 'MAXLEN', '~', $MAXLEN, s .. '-0', 'd', payload)
else
  redis.call('XADD', log, 'MAXLEN', '~', $MAXLEN, s .. '-0', 'd', payload, 'p', pos)
end
if marked then redis.call('SET', mark, epoch .. ':' .. s, 'PX', ttl) end
if fence ~= '' then
  redis.call('HSET', meta, 'n', n, 'ns', s)
  if terminal then redis.call('HSET', meta, 'state', 'closed') end
  -- After the terminal event the producer still has its row to write: a longer lease, ended by CLEAR.
  redis.call('ZADD', act, now() + (terminal and 30000 or $LEASE), member)
end
if fence == '' or terminal or n == 1 or s % 32 == 0 then keep(ttl) end
redis.call('PUBLISH', log, epoch .. '|' .. s .. '|' .. pos .. '|' .. payload)
return {s, 0, epoch}
"""
)

# stream, answer, owner, job, epoch_if_new, ttl, lease, member, policy, use_mark
# -> {1 claimed | 2 queued | 3 busy | 4 known, ...}
CLAIM = (
    _OPEN
    + """
local stream, ttl, policy = ARGV[1], ARGV[6], ARGV[9]
local m = redis.call('HMGET', meta, 'epoch', 's', 'state', 'streamId', 'owner', 'fence', 'next')
if ARGV[10] == '1' then
  local seen = redis.call('GET', mark)
  -- The very same request again: its first answer was lost on the way.
  if seen and m[4] == stream and m[5] == ARGV[3] then return {1, m[1], tonumber(m[2]), m[6]} end
  if seen and m[7] == ARGV[4] then return {2, m[1], tonumber(m[2])} end
  if seen then return {4, seen} end
end
local epoch = m[1] or open(ARGV[5])
local function remember()
  if ARGV[10] == '1' then redis.call('SET', mark, stream .. ':' .. ARGV[2], 'PX', ttl) end
  keep(ttl)
end
local own = policy == 'force' and m[4] == stream and m[5] == ARGV[3]
if own then epoch = open(ARGV[5]) end -- what stands there is not to be trusted
if m[4] and not own then
  if policy == 'reject' or policy == 'force' then return {3} end
  if policy == 'queue' and m[7] then return {3} end
  redis.call('HSET', meta, 'next', ARGV[4])
  if policy == 'replace' and m[3] == 'open' then
    redis.call('HSET', meta, 'state', 'stopping')
    redis.call('PUBLISH', log, epoch .. '|0||' .. cjson.encode({stop = m[4]}))
  end
  remember()
  return {2, epoch, tonumber(m[2] or '0')}
end
if own then m[2] = '0' end
local fence = epoch .. '.' .. redis.call('HINCRBY', meta, 'claims', 1)
redis.call('HSET', meta, 'fence', fence, 'owner', ARGV[3], 'streamId', stream, 'messageId', ARGV[2], 'state', 'open',
  'n', 0, 'ns', 0, 'job', ARGV[4])
redis.call('HDEL', meta, 'heard')
redis.call('ZADD', act, now() + tonumber(ARGV[7]), ARGV[8])
remember()
return {1, epoch, tonumber(m[2] or '0'), fence}
"""
)

# stream, heard -> 1 stopping, 0 not running
STOP = (
    _OPEN
    + """
local m = redis.call('HMGET', meta, 'streamId', 'state', 'epoch')
if m[1] ~= ARGV[1] or m[2] == 'closed' then return 0 end
if m[2] == 'stopping' then return 1 end
redis.call('HSET', meta, 'state', 'stopping', 'heard', ARGV[2])
redis.call('PUBLISH', log, m[3] .. '|0||' .. cjson.encode({stop = ARGV[1], heard = ARGV[2]}))
return 1
"""
)

# fence, lease, member -> {state, heard} | {'fenced'} | {'lost'}
RENEW = (
    _OPEN
    + """
local m = redis.call('HMGET', meta, 'fence', 'state', 'heard', 'epoch')
if not m[4] or string.sub(ARGV[1], 1, #m[4] + 1) ~= m[4] .. '.' then return {'lost'} end
if m[1] ~= ARGV[1] then return {'fenced'} end
redis.call('ZADD', act, now() + tonumber(ARGV[2]), ARGV[3])
return {m[2], m[3] or ''}
"""
)

# fence, owner, lease, member -> {1, epoch, s, fence, job} next job handed over | {0} cleared | {-1} not ours
CLEAR = (
    _OPEN
    + """
local m = redis.call('HMGET', meta, 'fence', 'next', 'epoch', 's')
if m[1] ~= ARGV[1] then return {-1} end
if not m[2] then
  redis.call('HDEL', meta, 'streamId', 'messageId', 'job', 'owner', 'heard')
  redis.call('ZREM', act, ARGV[4])
  redis.call('PUBLISH', log, m[3] .. '|0||{"idle":true}')
  return {0}
end
local job = cjson.decode(m[2])
local fence = m[3] .. '.' .. redis.call('HINCRBY', meta, 'claims', 1)
redis.call('HSET', meta, 'fence', fence, 'owner', ARGV[2], 'streamId', job.stream,
  'messageId', job.answer, 'state', 'open', 'n', 0, 'ns', 0, 'job', m[2])
redis.call('HDEL', meta, 'next', 'heard')
redis.call('ZADD', act, now() + tonumber(ARGV[3]), ARGV[4])
return {1, m[3], tonumber(m[4]), fence, m[2]}
"""
)

# owner, lease, member -> {} alive or gone | {epoch, s, fence, state, n, job}
REAP = (
    _OPEN
    + """
local deadline = redis.call('ZSCORE', act, ARGV[3])
if not deadline or tonumber(deadline) > now() then return {} end
local m = redis.call('HMGET', meta, 'epoch', 's', 'streamId', 'state', 'n', 'job')
if not m[1] or not m[3] then
  redis.call('ZREM', act, ARGV[3])
  return {}
end
local fence = m[1] .. '.' .. redis.call('HINCRBY', meta, 'claims', 1)
redis.call('HSET', meta, 'fence', fence, 'owner', ARGV[1])
redis.call('ZADD', act, now() + tonumber(ARGV[2]), ARGV[3])
return {m[1], tonumber(m[2]), fence, m[4], tonumber(m[5] or '0'), m[6]}
"""
)

# epoch_if_new, epoch, after, limit (0 = no entries), ttl ('' = leave)
# -> {epoch, s, state, streamId, messageId, entries}
VIEW = (
    _OPEN
    + """
local m = redis.call('HMGET', meta, 'epoch', 's', 'state', 'streamId', 'messageId')
local epoch = m[1]
if not epoch then
  epoch = open(ARGV[1])
  redis.call('PEXPIRE', meta, ARGV[5])
elseif ARGV[5] ~= '' then
  keep(ARGV[5])
end
local entries = {}
local limit = tonumber(ARGV[4])
if limit > 0 and (ARGV[2] == '*' or ARGV[2] == epoch) then
  entries = redis.call('XRANGE', log, '(' .. ARGV[3] .. '-0', '+', 'COUNT', limit)
end
return {epoch, tonumber(m[2] or '0'), m[3] or '', m[4] or '', m[5] or '', entries}
"""
)

# partitions -> members whose claim deadline has passed; one call instead of one per partition and second
OVERDUE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local found = {}
for partition = 0, ARGV[1] - 1 do
  local late = redis.call('ZRANGEBYSCORE', '{p' .. partition .. '}:act', '-inf', now)
  for _, member in ipairs(late) do found[#found + 1] = member end
end
return found
"""
