"""Turns of threads in Valkey: how they are read, and how large ones are sent.

A turn may be large, for it may have files in it. It is stored in pieces, as files are (`_beside`),
each written and read by a call of its own. The first piece is where a turn is that is but one; what
comes behind it is in a hash of its own, and a page has no room for another turn beside it.

**The others are staged** before the end of the run is appended, by whoever holds the run: one after
the other, in a hash that ends by itself, and that is named by the turn's digest: it has pieces of
no other. `pieces` is how many it is to have, `size` the bytes of the whole turn; `all` is there
when it has them. The append renames it, in the act that makes the turn the head of its thread:
nobody sees pieces of a turn that is not there, and who stops in the middle leaves what ends.

Each attempt to append goes on where the last one was, and sends for about as long as it may take:
so that a slow connection gets a turn there at last, and others are not kept waiting for it.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import trio

from ..._errors import LogDamaged, StoreUnavailable, UnknownRun, UnknownThread
from ..._log.log import PAGE_BYTES, Append
from ..._log.thread import Turn
from ._calls import DRAFT_TTL
from ._client import ValkeyClient
from ._keys import Keys
from ._script import Call, Script

STAGE: Final = Script("""
local run, staged = unpack(KEYS)
local fence, ttl, pieces, size, number, piece = unpack(ARGV)
local known = redis.call('HMGET', run, 'fence', 'closed')
if known[1] ~= fence or known[2] ~= '0' then return false end
redis.call('HSETNX', staged, 'size', size)
redis.call('HSETNX', staged, 'pieces', pieces)
redis.call('PEXPIRE', staged, ttl)
if redis.call('HEXISTS', staged, 'all') == 1 then return tonumber(pieces) end
local count = redis.call('HLEN', staged) - 2
if tonumber(number) == count then
    count = count + 1
    redis.call('HSET', staged, number, piece)
    if count == tonumber(pieces) then redis.call('HSET', staged, 'all', 1) end
end
return count
""")
"""Stage the next piece of a turn, if that is its number. Returns how many there are; or nothing, if
the run has ended or somebody else holds it: who appends is told that."""

TURNS: Final = Script("""
local thread, id = KEYS[1], ARGV[1]
local limit, most = tonumber(ARGV[2]), tonumber(ARGV[3])
if redis.call('EXISTS', thread) == 0 then return 'unknown' end
if redis.call('HEXISTS', thread, 'turn:' .. id) == 0 then return false end
local found, size = {}, 0
while id and #found < limit do
    size = size + redis.call('HSTRLEN', thread, 'turn:' .. id)
    if size > most and #found > 0 then break end
    local known = redis.call('HMGET', thread, 'follows:' .. id, 'turn:' .. id, 'pieces:' .. id)
    found[#found + 1] = {id, unpack(known)}
    id = known[1]
end
return found
""")
"""Return turns, back from one, a page at most: each with its run, what it follows, its first piece,
and how many more it has."""

READ_REST: Final = Script("""
local thread, rest = unpack(KEYS)
if redis.call('HEXISTS', thread, 'turn:' .. ARGV[1]) == 0 then return 'unknown' end
return {redis.call('HGET', rest, ARGV[2])}
""")
"""Return a piece of a turn, if it is there."""


def staged_at(keys: Keys, append: Append) -> str | None:
    """Name the key at which what comes behind a turn's first piece is staged, if anything does."""
    if len(append.turn) <= PAGE_BYTES:
        return None
    return keys.of_run(append.run_id).staged(hashlib.sha256(append.turn).hexdigest())


async def stage(
    client: ValkeyClient, keys: Keys, append: Append, staged: str, patience: float
) -> None:
    """Send what comes behind a turn's first piece, unless it is there. A checkpoint.

    Args:
        client: sends it.
        keys: what the keys are called.
        append: has the turn.
        staged: where it goes.
        patience: seconds after which no other piece is begun, and for each of them.

    Raises:
        StoreUnavailable: it is not all there yet.
    """
    turn = append.turn
    until = trio.current_time() + patience
    starts = range(PAGE_BYTES, len(turn), PAGE_BYTES)
    names = [keys.of_run(append.run_id).run, staged]
    common = [str(append.fence), DRAFT_TTL, str(len(starts)), str(len(turn))]
    done: int | None
    [done] = await client.call_all([Call(STAGE, names, common)], patience=patience)
    while done is not None and done < len(starts):
        if trio.current_time() >= until:
            raise StoreUnavailable(f"of {len(turn)} bytes of a turn some are not there yet")
        piece = turn[starts[done] : starts[done] + PAGE_BYTES]
        call = Call(STAGE, names, [*common, str(done), piece])
        [done] = await client.call_all([call], patience=patience)


async def read_turns(
    client: ValkeyClient, keys: Keys, owner: str | None, thread: str, last: str, limit: int
) -> Sequence[Turn]:
    """See `Store.turns`.

    Raises:
        LogDamaged: a piece of what was said is lost.
    """
    name = keys.of_thread(owner, thread).thread
    reply = await client.call(Call(TURNS, [name], [last, str(limit), str(PAGE_BYTES)]))
    if reply == b"unknown":
        raise UnknownThread(thread)
    if reply is None:
        raise UnknownRun(last)
    turns: list[Turn] = []
    for id_, follows, data, pieces in reply:
        run_id = id_.decode()
        whole = [data]
        for number in range(int(pieces or 0)):
            call = Call(READ_REST, [name, keys.of_run(run_id).turn], [run_id, str(number)])
            whole.append(as_piece(thread, await client.call(call)))
        turns.append(Turn(run_id, None if follows is None else follows.decode(), b"".join(whole)))
    return turns


def as_piece(thread: str, reply: Any) -> bytes:
    """Return a piece of a turn.

    Raises:
        UnknownThread: the thread was removed.
        LogDamaged: the piece is lost.
    """
    if reply == b"unknown":
        raise UnknownThread(thread)
    piece: bytes | None
    [piece] = reply
    if piece is None:
        raise LogDamaged(f"a piece of what was said in {thread!r} is lost")
    return piece
