"""A thread is removed from Valkey with its runs, or the runs that it has left.

The thread goes in one act with seeing that no run is active in it; with it go its first runs, which
are all of most threads. Its list of runs is put aside in that act (`leaving`) and emptied piece by
piece, so that others are served meanwhile: a run takes some 20 µs. What begins in a new thread of
the same name is in a list of its own. What is left after a crash goes with the next thread of that
name, or expires as other runs do.

The keys of idempotency of a piece are given an end behind it, for they are in other slots, and
before that it isn't known whether they go: a crash in between leaves proposals that name no run.
"""

from collections.abc import Sequence
from typing import Any, Final

from ..._errors import ThreadBusy, UnknownThread
from ._calls import DRAFT_TTL, TOMBSTONE_TTL, Calls
from ._client import ValkeyClient
from ._keys import Keys
from ._script import Call, Script
from ._scripts import REMOVE_RUN
from ._token import new_token

_PIECE: Final = 200
"""Runs that are removed in one act."""

DELETE_THREAD: Final = Script(
    REMOVE_RUN
    + """
local key, runs, leaving, said = unpack(KEYS, 1, 4)
local index, finished, sizes, owned, shares, news, list = unpack(KEYS, 5)
local digest, first, count, token, draft_ttl, gone_ttl = unpack(ARGV)
local reply = redis.call('LRANGE', said, 0, -1)
if #reply > 0 then return reply end
local function members_of(runs, last)
    local found = redis.call('ZRANGE', runs, 0, last)
    local n = 0
    return function()
        n = n + 1
        if not found[n] then return end
        local id = string.match(found[n], '^%d+:(.*)$')
        return found[n], id, beside(key, 'run', id)
    end
end
local known = redis.call('HMGET', key, 'name', 'owner')
if first == '1' then
    local active = active_in(key)
    if not known[1] then
        for _, id, run in members_of(runs, -1) do
            if redis.call('HGET', run, 'closed') == '0' then active = id end
        end
    end
    if active then return {'busy', active} end
    remove_thread({key = key, digest = digest, name = known[1], owner = known[2]})
    if redis.call('EXISTS', leaving) == 1 then
        redis.call('ZUNIONSTORE', leaving, 2, leaving, runs)
        redis.call('UNLINK', runs)
    elseif redis.call('EXISTS', runs) == 1 then
        redis.call('RENAME', runs, leaving)
    end
end
reply = {'removed'}
for member, id, run in members_of(leaving, count - 1) do
    local proposal = redis.call('HGET', run, 'key')
    local outcome = remove_run(run, beside(key, 'log', id), beside(key, 'viewers', id),
        beside(key, 'gone', id), index, finished, sizes, owned, shares, news, list, id, token,
        gone_ttl)
    if outcome == 'removed' then
        reply[#reply + 1] = id
        reply[#reply + 1] = proposal or ''
    elseif outcome == 'active' then
        redis.call('ZADD', runs, 0, member)
    end
    redis.call('ZREM', leaving, member)
end
if redis.call('EXISTS', leaving) == 1 then
    reply[1] = 'more'
elseif first == '1' and not known[1] and #reply == 1 then
    return 'unknown'
end
redis.call('RPUSH', said, unpack(reply))
redis.call('PEXPIRE', said, draft_ttl)
return reply
"""
)
"""Remove a thread, if it is the first call, and a piece of the runs that it has left.

Returns `removed`, or `more` if there are, and of each run its id and its key of idempotency; or
`busy` and the run that is active. What it said stays a while, to be said again.

A run that is active all the same, because a server has lost its thread, stays in the thread's list.
Only where there is no thread each of its runs is looked at before, some 1 µs for each."""


async def delete_thread(
    client: ValkeyClient, calls: Calls, keys: Keys, owner: str | None, thread: str
) -> Sequence[str]:
    """See `Store.delete_thread`."""
    removed: list[str] = []
    first = more = True
    while more:
        reply = await client.call(delete_piece(keys, owner, thread, first=first))
        found, more = as_deleted(thread, reply)
        await client.call_all([calls.forget(run_id, key) for run_id, key in found if key])
        removed += [run_id for run_id, _ in found]
        first = False
    return removed


def delete_piece(keys: Keys, owner: str | None, thread: str, *, first: bool) -> Call:
    """Remove a thread, if this is the first call, and a piece of its runs."""
    own = keys.of_thread(owner, thread)
    shared = own.partition
    token = new_token()
    return Call(
        DELETE_THREAD,
        [
            *(own.thread, own.runs, own.leaving, shared.deleted(token)),
            *(shared.index, *shared.counted, shared.news),
            *([] if owner is None else [shared.owner(owner)]),
        ],
        [own.digest, str(int(first)), str(_PIECE), token, DRAFT_TTL, TOMBSTONE_TTL],
    )


def as_deleted(thread: str, reply: Any) -> tuple[Sequence[tuple[str, str]], bool]:
    """Return the runs that were removed, and whether there are more.

    Each is with its key of idempotency, empty if it had none.

    Raises:
        ThreadBusy: a run is active in the thread.
        UnknownThread: there is no such thread, and no run of one.
    """
    if reply == b"unknown":
        raise UnknownThread(thread)
    outcome, *rest = (each.decode() for each in reply)
    if outcome == "busy":
        raise ThreadBusy(thread, rest[0])
    return [*zip(rest[::2], rest[1::2], strict=True)], outcome == "more"
