"""What a store does in Valkey, each script one atomic act in one slot.

All of them can be repeated when it isn't known whether they were done: a repetition finds it done
and says the same. Times are milliseconds of the server's clock.

A run's hash has the fields `record` (JSON), `epoch`, `member` (its place in the indexes), `key` (of
its idempotency, or empty), `creation` and `claim` (tokens of the calls that did it), `digest`,
`fence`, `tail`, `size`, `closed` (1 or 0), `cancel`, `torn` (1, if its log has lost its end),
`followed` (until when somebody wants to hear of its log), `owner` (a digest, if it has one: for
`_owned`), `handed_over` and `park`, which `_leases` explains, and those of a run in a thread
(`_thread_acts`). What is kept beside its log
(`_beside`) and what it is told (`_inbox`) is in the same hash, where it is renamed and removed with
the run, also by servers of a version that knows nothing of it.

A server that evicts keys may have lost any of them, each for itself: then one run is damaged or
gone, counters that are missing are zero, and nothing else is different.
"""

from typing import Final

from ._script import Script
from ._thread_acts import ACTS

READ_AT_ONCE: Final = 32
"""Entries that are read at once, until a page is full: each may be large."""

DRAFT: Final = Script("""
local draft, run, refused = unpack(KEYS)
local token, ttl = unpack(ARGV)
local creation = redis.call('HGET', run, 'creation')
if creation then return creation == token and 'drafted' or 'taken' end
if redis.call('HGET', refused, 'creation') == token then return 'drafted' end
redis.call('DEL', draft, refused)
redis.call('HSET', draft, 'creation', token, unpack(ARGV, 3))
redis.call('PEXPIRE', draft, ttl)
return 'drafted'
""")
"""Prepare a run that nobody sees. ARGV: token, ttl, then its hash."""

REVEAL: Final = Script(
    ACTS
    + """
local draft, run, gone, refused, index, holds, leases, owner = unpack(KEYS)
local id, ttl, lease = unpack(ARGV)
local known = redis.call('HGET', run, 'creation')
if known then return redis.call('HGET', run, 'digest') or '' end
local creation = redis.call('HGET', draft, 'creation')
if not creation then
    known = redis.call('HMGET', refused, 'why', 'by')
    return known[1] and known
end
local thread = thread_of(draft)
if thread then
    local why, by = refusal(thread)
    if why then
        redis.call('UNLINK', draft)
        redis.call('HSET', refused, 'creation', creation, 'why', why, 'by', by)
        redis.call('PEXPIRE', refused, ttl)
        return {why, by}
    end
end
redis.call('RENAME', draft, run)
redis.call('PERSIST', run)
local member = redis.call('HGET', run, 'member')
redis.call('ZADD', index, 0, member)
if owner then redis.call('ZADD', owner, 0, member) end
local ours = redis.call('HEXISTS', run, 'handed_over') == 1
redis.call('ZADD', ours and holds or leases, now() + lease, id)
redis.call('DEL', gone)
if thread then begin_in(thread, run, id, member) end
return redis.call('HGET', run, 'digest') or ''
"""
)
"""Make a draft the run, leased. Returns the run's digest if there is one now, or nothing; or, of a
run in a thread, why it may not begin: `busy` and the active run, or `moved` and the head.

A draft that is refused is no more, so that nobody reveals it later; `refused` stays as long as it
would have, to say the same again. A draft without `handed_over` is of a server of a former version,
which renews its lease there."""

HOLDER: Final = Script("return redis.call('GET', KEYS[1])")
"""Return the proposal that has an idempotency key: its token and run."""

PROPOSE: Final = Script("""
local stale, proposal, ttl = unpack(ARGV)
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= stale then return holder end
redis.call('SET', KEYS[1], proposal, 'PX', ttl)
return proposal
""")
"""Take an idempotency key if nobody has it, or one whose run does not exist. Returns who has it."""

KEEP: Final = Script("""
local proposal, ttl = unpack(ARGV)
if redis.call('GET', KEYS[1]) == proposal and redis.call('PTTL', KEYS[1]) <= tonumber(ttl) then
    redis.call('PERSIST', KEYS[1])
end
""")
"""Keep a proposal for as long as its run, unless `FORGET` has given it an end, which is later than
that of any proposal."""

FORGET: Final = Script("""
local id, token_length, ttl = unpack(ARGV)
local holder = redis.call('GET', KEYS[1])
if holder and string.sub(holder, token_length + 2) == id then
    redis.call('PEXPIRE', KEYS[1], ttl)
end
""")
"""Let a run's proposal end by itself, for the run is about to be removed."""

APPEND: Final = Script(
    """
local run, log, news, holds, leases, finished, sizes, owned, shares, staged = unpack(KEYS)
local id, fence, first, terminal, last = unpack(ARGV, 1, 5)
local known = redis.call('HMGET', run, 'fence', 'tail', 'closed', 'followed')
if not known[1] then return 'unknown' end
if known[1] ~= fence then return 'fenced' end
local tail, behind = tonumber(known[2]), 6 + last - first
last = tonumber(last)
if last <= tail then return 'committed' end
if known[3] == '1' then return 'closed' end
if tonumber(first) ~= tail + 1 then return 'gap' end
local finish
if terminal == '1' then
    if staged and redis.call('HGET', staged, 'all') ~= '1' then return 'unstaged' end
"""
    + ACTS
    + """
    local owner, thread = redis.call('HGET', run, 'owner'), thread_of(run)
    finish = function(size)
        redis.call('ZREM', holds, id)
        redis.call('ZREM', leases, id)
        count_end(finished, sizes, owned, shares, owner, now(), size, id)
        if thread then end_in(thread, id, ARGV[#ARGV], staged) end
    end
end
local size = 0
for n = 6, behind do
    local id = (first + n - 6) .. '-0'
    if id == '1-0' then
        redis.call('XADD', log, id, 'e', ARGV[n])
    elseif not redis.call('XADD', log, 'NOMKSTREAM', id, 'e', ARGV[n]) then
        return 'gap'
    end
    size = size + #ARGV[n]
end
for n = behind + 1, #ARGV - 1, 2 do
    redis.call('HSET', run, ARGV[n], ARGV[n + 1])
    size = size + #ARGV[n + 1]
end
redis.call('HSET', run, 'tail', last, 'closed', terminal)
size = redis.call('HINCRBY', run, 'size', size)
if finish then finish(size) end
if known[4] and tonumber(known[4]) > now() then tell(news, 'log', id) end
return 'committed'
"""
)
"""Check fence, tail and not-terminal, and append: from ARGV 6 on the entries up to `last`, then
fields of the run's hash, each with its value, and behind a terminal entry what its thread gets.

Behind the third, the keys are for a terminal entry only, so that the others cost less; and only for
it are the functions of threads made. The last one is there if only the first piece of the turn is
(`_turns`): has it not all others, nothing is done, and the outcome is `unstaged`."""

READ: Final = Script("""
local run, log, gone = unpack(KEYS)
local after, limit, piece, most = unpack(ARGV)
limit, most = tonumber(limit), tonumber(most)
local known = redis.call('HMGET', run, 'tail', 'closed')
if not known[1] then return absent(gone) end
local entries, size = {}, 0
repeat
    local left = limit - #entries
    local count = math.min(left, piece)
    local found = redis.call('XRANGE', log, (after + #entries + 1) .. '-0', '+', 'COUNT', count)
    for _, entry in ipairs(found) do
        size = size + #entry[2][2]
        if entry[1] ~= (after + #entries + 1) .. '-0' then return 'damaged' end
        if size > most and #entries > 0 then return {known[1], known[2], entries} end
        entries[#entries + 1] = entry[2][2]
    end
until #found < count or #entries >= limit
if #entries == 0 and limit > 0 and tonumber(known[1]) > tonumber(after) then return 'damaged' end
return {known[1], known[2], entries}
""")
"""Return tail, closed, and the data of entries that follow each other, a page at most."""

INFO: Final = Script("""
local run, log, holds, leases, viewers, gone = unpack(KEYS)
local id = ARGV[1]
local known = redis.call('HMGET', run, 'record', 'epoch', 'tail', 'size', 'fence', 'cancel',
    'digest', 'delivered', 'torn', 'handed_over', 'thread_name', 'follows')
if not known[1] then return absent(gone) end
local last = false
if redis.call('HGET', run, 'closed') == '1' then
    last = newest(log)
    if not last or last[1] ~= known[3] .. '-0' then return 'damaged' end
    last = last[2][2]
end
local time, count = now(), 0
for _, told in ipairs(redis.call('HVALS', viewers)) do
    local each, ends = string.match(told, '(%d+):(%d+)')
    if tonumber(ends) > time then count = count + each end
end
local state = 'due'
if due_at(holds, leases, id) > time then
    state = known[5] == known[10] and 'parked' or 'leased'
end
return {known, last, state, count}
""")
"""Return what is known of a run, but for what is private."""

LIST: Final = Script("""
return redis.call('ZRANGE', KEYS[1], ARGV[1], '-', 'BYLEX', 'REV', 'LIMIT', 0, ARGV[2])
""")
"""Return members of an index, newest first."""

RENEW_EPOCH: Final = Script("""
local run, log, news = unpack(KEYS)
local id, fence, epoch = unpack(ARGV)
local known = redis.call('HMGET', run, 'fence', 'closed', 'tail')
if not known[1] then return 'unknown' end
if known[1] ~= fence then return 'fenced' end
if known[2] == '1' then return 'closed' end
redis.call('HSET', run, 'epoch', epoch, 'torn', 1)
shorten(run, log, known[3], epoch)
tell(news, 'run', id)
return 'committed'
""")

REQUEST_CANCEL: Final = Script("""
local run, holds, gone, news = unpack(KEYS)
local id, reason = unpack(ARGV)
local closed = redis.call('HGET', run, 'closed')
if not closed then return absent(gone) end
if closed == '1' then return 'done' end
if redis.call('HSETNX', run, 'cancel', reason) == 1 then tell(news, 'run', id) end
wake(run, holds, id)
return 'done'
""")
"""Keep the first reason. Whatever it is, a run that sleeps is due: it may be that a server of a
former version was asked, which wakes nobody."""

SET_VIEWERS: Final = Script("""
local run, viewers, gone, news = unpack(KEYS)
local id, worker, count, ttl = unpack(ARGV)
if redis.call('EXISTS', run) == 0 then return absent(gone) end
local time = now()
local told = redis.call('HGETALL', viewers)
local known = '0'
for n = 1, #told, 2 do
    local each, ends = string.match(told[n + 1], '(%d+):(%d+)')
    if tonumber(ends) <= time then
        redis.call('HDEL', viewers, told[n])
    elseif told[n] == worker then
        known = each
    end
end
if count == '0' then
    redis.call('HDEL', viewers, worker)
else
    redis.call('HSET', viewers, worker, count .. ':' .. (time + ttl))
    redis.call('PEXPIRE', viewers, ttl)
end
if known ~= count then tell(news, 'run', id) end
return 'done'
""")

FOLLOW: Final = Script("""
local ends = redis.call('HGET', KEYS[1], 'followed')
if redis.call('EXISTS', KEYS[1]) == 0 then return 1 end
redis.call('HSET', KEYS[1], 'followed', now() + ARGV[1])
return ends and tonumber(ends) > now() and 1 or 0
""")
"""Let the growing of a run's log be news for some time. Returns whether it was already."""

REMOVABLE: Final = Script("""
local run, gone, finished, sizes = unpack(KEYS)
local known = redis.call('HMGET', run, 'record', 'key', 'closed')
if not known[1] then
    redis.call('ZREM', finished, ARGV[1])
    uncount(sizes, ARGV[1])
    return absent(gone)
end
if known[3] ~= '1' then return 'active' end
return {known[1], known[2]}
""")
"""Return a finished run's record and key. What is counted of a run that is gone is so no more."""

REMOVE_RUN: Final = (
    ACTS
    + """
local function remove_run(run, log, viewers, gone, index, finished, sizes, owned, shares, news,
    list, id, token, ttl)
    local known = redis.call('HMGET', run, 'closed', 'member', 'owner', 'size', 'thread')
    if not known[1] then
        if redis.call('GET', gone) == token then return 'removed' end
        return absent(gone)
    end
    if known[1] ~= '1' then return 'active' end
    redis.call('UNLINK', run, log, viewers)
    redis.call('ZREM', index, known[2])
    if list then redis.call('ZREM', list, known[2]) end
    if known[5] then
        redis.call('ZREM', beside(run, 'threaded', known[5]), known[2])
        redis.call('ZREM', beside(run, 'leaving', known[5]), known[2])
    end
    uncount_end(finished, sizes, owned, shares, known[3], known[4], id)
    redis.call('SET', gone, token, 'PX', ttl)
    tell(news, 'run', id)
    return 'removed'
end
"""
)
"""The function that removes a finished run."""

REMOVE: Final = Script(
    REMOVE_RUN
    + """
local run, log, viewers, gone, index, finished, sizes, owned, shares, news, list = unpack(KEYS)
return remove_run(run, log, viewers, gone, index, finished, sizes, owned, shares, news, list,
    unpack(ARGV))
"""
)

SURVEY: Final = Script("""
local time, found = now(), {}
for n = 1, #KEYS, 2 do
    local ended, sizes = KEYS[n], KEYS[n + 1]
    local oldest = redis.call('ZRANGE', ended, 0, ARGV[1] - 1, 'WITHSCORES')
    local page = {}
    for n = 1, #oldest, 2 do
        local size = redis.call('HGET', sizes, oldest[n]) or '0'
        page[#page + 1] = {oldest[n], time - oldest[n + 1], size}
    end
    found[#found + 1] = {redis.call('ZCARD', ended), redis.call('HGET', sizes, '') or '0', page}
end
return {time, unpack(found)}
""")
"""Return when, and of finished runs and then of idle threads: how many there are, their bytes, and
of the oldest: id, age, size."""

NEWEST_NEWS: Final = Script("""
local last = newest(KEYS[1])
return last and last[1] or '0-0'
""")
"""Return the id of the newest entry of a control stream."""

CHECK: Final = Script("""
redis.call('SET', KEYS[1], '', 'XX')
local memory = redis.pcall('INFO', 'memory')
return type(memory) == 'string' and string.match(memory, 'maxmemory_policy:([%w-]+)') or ''
""")
"""Do what a full or read-only server refuses, on a key that never is; return how it evicts.

Nothing is returned if we may not know."""
