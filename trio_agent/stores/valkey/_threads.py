"""Threads in Valkey: what is known of them.

All of a thread is in one partition, its runs with it, so that each act on it is one script. What
happens to a thread when a run in it begins or ends is in `_thread_acts`, with what its keys are.
"""

from collections.abc import Sequence
from typing import Any, Final

from ..._errors import UnknownThread
from ..._log.thread import ThreadCursor, ThreadInfo
from ._keys import Keys
from ._script import Call, Script
from ._thread_acts import ACTS

_FACTS: Final = (
    ACTS
    + """
local function facts(thread)
    local known = redis.call('HMGET', thread, 'name', 'head', 'turns', 'size', 'touched')
    if known[1] then known[6] = active_in(thread) end
    return known[1] and known
end
"""
)

THREAD: Final = Script(
    _FACTS
    + """
return facts(KEYS[1])
"""
)
"""Return what is known of a thread, if it is there."""

LIST_THREADS: Final = Script(
    _FACTS
    + """
local bound, limit = ARGV[1], tonumber(ARGV[2])
local found, page = {}, nil
repeat
    page = redis.call('ZRANGE', KEYS[1], bound, '-', 'BYLEX', 'REV', 'LIMIT', 0, limit - #found)
    for _, place in ipairs(page) do
        bound = '(' .. place
        local digest = string.sub(place, -32)
        local known = facts(beside(KEYS[1], 'thread', digest))
        if known and place_of(known[5], known[1], digest) == place then
            found[#found + 1] = known
        else
            redis.call('ZREM', KEYS[1], place)
        end
    end
until #page == 0 or #found >= limit
return found
"""
)
"""Return what is known of threads from a place on. Places of those that were lost are dropped."""

REMOVE_IDLE: Final = Script(
    ACTS
    + """
local key, digest, since = KEYS[1], ARGV[1], tonumber(ARGV[2])
if tonumber(redis.call('ZSCORE', beside(key, 'idle'), digest) or -1) ~= since then return end
local known = redis.call('HMGET', key, 'name', 'owner')
remove_thread({key = key, digest = digest, name = known[1], owner = known[2]})
"""
)
"""Remove a thread that is idle since then."""


class ThreadCalls:
    """Makes calls.

    Args:
        keys: what the keys are called.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def info(self, owner: str | None, thread: str) -> Call:
        """Ask what is known of a thread."""
        return Call(THREAD, [self._keys.of_thread(owner, thread).thread])

    def list(self, owner: str | None, before: ThreadCursor | None, limit: int) -> Sequence[Call]:
        """List an owner's threads of all partitions behind a place, so many of each."""
        bound = b"+"
        if before is not None:
            touched, name = before
            bound = f"({touched:016}:{name}\0".encode()
        return [
            Call(LIST_THREADS, [each.threads(owner)], [bound, str(limit)])
            for each in self._keys.partitions
        ]

    def remove_idle(self, digest: str, since: int) -> Call:
        """Remove a thread, unless a run in it has begun since it was looked at."""
        return Call(REMOVE_IDLE, [self._keys.of_digest(digest).thread], [digest, str(since)])


def as_thread(owner: str | None, thread: str, reply: Any) -> ThreadInfo:
    """Return what is known of a thread.

    Raises:
        UnknownThread: there is none.
    """
    if reply is None:
        raise UnknownThread(thread)
    return _as_info(owner, reply)


def _as_info(owner: str | None, facts: Any) -> ThreadInfo:
    name, head, turns, size, touched, active = facts
    return ThreadInfo(
        thread=name.decode(),
        owner=owner,
        head=None if head is None else head.decode(),
        active=None if active is None else active.decode(),
        turns=int(turns or 0),
        size=int(size or 0),
        updated_at=int(touched),
    )


def as_threads(owner: str | None, limit: int, replies: Sequence[Any]) -> Sequence[ThreadInfo]:
    """Return the first threads of all partitions."""
    found = [_as_info(owner, facts) for reply in replies for facts in reply]
    found.sort(key=lambda info: info.cursor, reverse=True)
    return found[:limit]
