"""What a script is, and the functions that all of them have."""

import hashlib
from collections.abc import Sequence
from typing import Final

import attrs

NEWS: Final = 1000
"""News that a partition keeps at least."""

_PRELUDE: Final = f"""
local function now()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function absent(gone)
    return redis.call('EXISTS', gone) == 1 and 'expired' or 'unknown'
end
local function tell(news, kind, id)
    redis.call('XADD', news, 'MAXLEN', '~', {NEWS}, '*', kind, id)
end
local function newest(log)
    return redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
end
local function shorten(run, log, tail, epoch)
    local last = newest(log)
    local real = last and tonumber(string.match(last[1], '%d+')) or 0
    if real >= tonumber(tail) then return end
    redis.call('HSET', run, 'tail', real, 'epoch', epoch, 'torn', 1)
    for _, field in ipairs(redis.call('HKEYS', run)) do
        local offset = string.match(field, '^private:(%d+)$')
        if offset and tonumber(offset) > real then redis.call('HDEL', run, field) end
    end
end
local function due_at(holds, leases, id)
    return tonumber(redis.call('ZSCORE', holds, id) or redis.call('ZSCORE', leases, id) or 0)
end
local function wake(run, holds, id)
    local known = redis.call('HMGET', run, 'fence', 'handed_over')
    if known[1] == known[2] then redis.call('ZADD', holds, now(), id) end
end
local function uncount(sizes, id)
    local size = redis.call('HGET', sizes, id)
    if size then
        redis.call('HDEL', sizes, id)
        redis.call('HINCRBY', sizes, '', '-' .. size)
    end
end
local function member_of(owner, ended, size, id)
    return owner .. ':' .. string.format('%016.0f', ended) .. ':' .. size .. ':' .. id
end
local function disown(owned, shares, member)
    if redis.call('ZREM', owned, member) == 0 then return end
    local owner, size = string.match(member, '^(%x+):%d+:(%d+):')
    local left = redis.call('ZINCRBY', shares, '-' .. size, owner)
    if tonumber(left) <= 0 then redis.call('ZREM', shares, owner) end
end
"""


class Script:
    """A script, known to the server by its digest."""

    def __init__(self, text: str) -> None:
        self.text = _PRELUDE + text
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


@attrs.frozen
class Call:
    """A script with what it is called with. All keys are in one slot."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[str | bytes] = ()

    def command(self, *, by_digest: bool) -> list[str | bytes]:
        """Return the command, which is short only if the server knows the script."""
        first = ("EVALSHA", self.script.digest) if by_digest else ("EVAL", self.script.text)
        return [*first, str(len(self.keys)), *self.keys, *self.arguments]
