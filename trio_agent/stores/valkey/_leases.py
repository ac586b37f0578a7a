"""Who holds a run, and until when, in Valkey: the calls about it, and their scripts.

Each active run has its place in its partition's `holds`, by when it is due. Servers of former
versions know only `leases`, and close what is due there: what this version touches is moved, and
what they have is found there.

Who lets go of a run leaves its fence as `handed_over`; parking takes a new one for that, so that
what the holder still has on the way is fenced. As long as the two are the same nobody has claimed
the run since: no renewal brings it back, and it sleeps if it isn't due. A claim leaves
`handed_over` as it is, and `park` is the token of the last call that parked it.
"""

from collections.abc import Sequence
from heapq import nsmallest
from typing import Any, Final

from ..._log.store import Lease
from ._keys import Keys
from ._replies import present
from ._script import Call, Script
from ._token import new_token

CLAIM: Final = Script("""
local run, log, holds, leases, gone, news = unpack(KEYS)
local id, token, lease = unpack(ARGV)
local known = redis.call('HMGET', run, 'fence', 'closed', 'claim', 'tail', 'handed_over')
if not known[1] then
    redis.call('ZREM', holds, id)
    redis.call('ZREM', leases, id)
    return absent(gone)
end
local fence, handed_over = tonumber(known[1]), tonumber(known[5])
if known[3] == token then return {fence, handed_over == fence - 1 and 1 or 0} end
if known[2] == '1' then return false end
if due_at(holds, leases, id) > now() then return false end
redis.call('HSET', run, 'fence', fence + 1, 'claim', token)
shorten(run, log, known[4], string.sub(token, 1, 8))
redis.call('ZADD', holds, now() + lease, id)
redis.call('ZREM', leases, id)
tell(news, 'run', id)
return {fence + 1, handed_over == fence and 1 or 0}
""")
"""Return the new fence, and whether the run was handed over; or nothing if it is not due.

A log that has lost its end gets a new epoch, and what is left as its tail."""

RENEW: Final = Script("""
local run, holds, leases = unpack(KEYS)
local id, fence, lease = unpack(ARGV)
local known = redis.call('HMGET', run, 'fence', 'closed', 'handed_over')
if known[1] ~= fence or known[3] == fence then return 0 end
if known[2] ~= '1' then
    redis.call('ZADD', holds, now() + lease, id)
    redis.call('ZREM', leases, id)
end
return 1
""")
"""Return whether the run is still held by this fence."""

RELEASE: Final = Script("""
local run, holds, leases, news = unpack(KEYS)
local id, fence = unpack(ARGV)
local known = redis.call('HMGET', run, 'fence', 'closed', 'handed_over')
if known[1] ~= fence or known[2] == '1' or known[3] == fence then return end
redis.call('HSET', run, 'handed_over', fence)
redis.call('ZADD', holds, now(), id)
redis.call('ZREM', leases, id)
tell(news, 'run', id)
""")

PARK: Final = Script("""
local run, holds, leases, news = unpack(KEYS)
local id, fence, token, seen, sleep = unpack(ARGV)
local known = redis.call('HMGET', run, 'fence', 'closed', 'handed_over', 'cancel', 'delivered',
    'park')
if known[6] == token then return 1 end
if known[1] ~= fence or known[2] == '1' or known[3] == fence then return 0 end
if known[4] or tonumber(known[5] or 0) > tonumber(seen) then return 0 end
redis.call('HSET', run, 'fence', fence + 1, 'handed_over', fence + 1, 'park', token)
redis.call('ZADD', holds, sleep == '' and '+inf' or now() + sleep, id)
redis.call('ZREM', leases, id)
tell(news, 'run', id)
return 1
""")
"""Let the run sleep for so many milliseconds, or until it is woken. Returns whether it does."""

ORPHANS: Final = Script("""
local due = {}
for _, key in ipairs(KEYS) do
    for _, id in ipairs(redis.call('ZRANGE', key, '-inf', now(), 'BYSCORE')) do
        due[#due + 1] = id
    end
end
return due
""")
"""Return all runs that are due, in no order.

They are put in order by who asks: Lua compares strings as the server's locale does, and ten times
slower if byte by byte."""


class LeaseCalls:
    """Makes calls.

    Args:
        keys: what the keys are called.
        lease: seconds that a claim holds.
    """

    def __init__(self, keys: Keys, *, lease: float) -> None:
        self._keys = keys
        self._lease = str(round(lease * 1000))

    def claim(self, run_id: str) -> Call:
        """Claim a run."""
        keys = self._keys.of_run(run_id)
        shared = keys.partition
        return Call(
            CLAIM,
            [keys.run, keys.log, shared.holds, shared.leases, keys.gone, shared.news],
            [run_id, new_token(), self._lease],
        )

    def renew(self, lease: Lease) -> Call:
        """Renew a lease."""
        keys = self._keys.of_run(lease.run_id)
        shared = keys.partition
        arguments = [lease.run_id, str(lease.fence), self._lease]
        return Call(RENEW, [keys.run, shared.holds, shared.leases], arguments)

    def release(self, lease: Lease) -> Call:
        """End a lease."""
        keys = self._keys.of_run(lease.run_id)
        shared = keys.partition
        arguments = [lease.run_id, str(lease.fence)]
        return Call(RELEASE, [keys.run, shared.holds, shared.leases, shared.news], arguments)

    def park(self, lease: Lease, seen: int, seconds: float | None) -> Call:
        """Let a run sleep, for some seconds or until it is woken."""
        keys = self._keys.of_run(lease.run_id)
        shared = keys.partition
        sleep = "" if seconds is None else str(round(seconds * 1000))
        return Call(
            PARK,
            [keys.run, shared.holds, shared.leases, shared.news],
            [lease.run_id, str(lease.fence), new_token(), str(seen), sleep],
        )

    def orphans(self) -> Sequence[Call]:
        """List the runs of all partitions that are due."""
        return [Call(ORPHANS, [each.holds, each.leases]) for each in self._keys.partitions]


def as_lease(run_id: str, reply: Any) -> Lease | None:
    """Return what came of a claim. Raises as `present`."""
    claimed = present(run_id, reply)
    if claimed is None:
        return None
    fence, handed_over = claimed
    return Lease(run_id, fence, handed_over=bool(handed_over))


def as_orphans(after: str, limit: int, replies: Sequence[Any]) -> Sequence[str]:
    """Return the first of the runs that are due, behind an id."""
    bound = after.encode()
    # In the order of bytes, which is that of characters.
    found = nsmallest(limit, (run_id for due in replies for run_id in due if run_id > bound))
    return [run_id.decode() for run_id in found]
