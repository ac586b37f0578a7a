"""What of finished runs and idle threads is whose in Valkey: each owner's bytes, by partition.

A partition's `shares` have the sum of each owner, so that nobody is asked for who has little; its
`owned` has the runs, in one set for all owners: who appends an end doesn't know whose it is, and
must name all keys. A member is ``OWNER:ENDED:SIZE:RUN``, the owner as a digest, so that those of
one owner follow each other, the oldest first.

Idle threads are counted likewise, in keys of their own: a member is ``OWNER:TOUCHED:SIZE:DIGEST``.

Only a run whose hash has the field `owner` is counted, when it ends. A server of a former version
writes none, counts none, and takes nothing away here when it removes a run: what is no more in
`finished` is dropped when it is met, and a sum whose runs are all in view is added up anew.
"""

from collections.abc import Sequence
from typing import Any, Final

from ._keys import PARTITIONS, Keys, Partition
from ._script import Call, Script

ABOVE: Final = Script("""
local found = {}
for _, shares in ipairs(KEYS) do
    for _, owner in ipairs(redis.call('ZRANGE', shares, '(' .. ARGV[1], '+inf', 'BYSCORE')) do
        found[#found + 1] = owner
    end
end
return found
""")
"""Return the owners who have more bytes than that in a partition, of runs or of threads."""

SHARES: Final = Script("""
local found = {}
for n, owner in ipairs(ARGV) do
    local sum = 0
    for _, shares in ipairs(KEYS) do sum = sum + (redis.call('ZSCORE', shares, owner) or 0) end
    found[n] = string.format('%.0f', sum)
end
return found
""")
"""Return what these owners have in a partition, in bytes."""

SURVEY_OWNER: Final = Script("""
local owner, count = unpack(ARGV)
local time = now()
local function survey(owned, shares, finished)
    local page, found, sum, all
    repeat
        page = redis.call('ZRANGE', owned, '[' .. owner .. ':', '(' .. owner .. ';',
            'BYLEX', 'LIMIT', 0, count)
        found, sum, all = {}, 0, true
        for _, member in ipairs(page) do
            local ended, size, id = string.match(member, '^%x+:(%d+):(%d+):(.*)$')
            if tonumber(redis.call('ZSCORE', finished, id) or -1) == tonumber(ended) then
                found[#found + 1] = {id, time - ended, size}
                sum = sum + size
            else
                disown(owned, shares, member)
                all = false
            end
        end
    until all
    if #page < tonumber(count) then
        redis.call('ZREM', shares, owner)
        if sum > 0 then redis.call('ZADD', shares, sum, owner) end
    end
    return {#found, redis.call('ZSCORE', shares, owner) or '0', found}
end
return {time, survey(KEYS[1], KEYS[2], KEYS[3]), survey(KEYS[4], KEYS[5], KEYS[6])}
""")
"""Return of one owner what `SURVEY` returns of all; but the numbers are of those in view."""


class OwnedCalls:
    """Makes calls, each of them of all partitions.

    Args:
        keys: what the keys are called.
    """

    def __init__(self, keys: Keys) -> None:
        self._partitions = keys.partitions

    def above(self, size: float) -> Sequence[Call]:
        """Ask for all who may have more than so many bytes."""
        # Who has more than that has more than a part of it somewhere, of runs or of threads.
        part = str(size / (2 * PARTITIONS))
        return [Call(ABOVE, _shares(each), [part]) for each in self._partitions]

    def shares(self, owners: Sequence[bytes]) -> Sequence[Call]:
        """Ask what these have."""
        return [Call(SHARES, _shares(each), owners) for each in self._partitions]

    def survey(self, owner: bytes, count: int) -> Sequence[Call]:
        """Look at the oldest finished runs and idle threads of an owner, so many each."""
        return [
            Call(
                SURVEY_OWNER, [*_surveyed(each.counted), *_surveyed(each.idle)], [owner, str(count)]
            )
            for each in self._partitions
        ]


def _shares(partition: Partition) -> Sequence[str]:
    return [partition.counted[3], partition.idle[3]]


def _surveyed(keys: Sequence[str]) -> Sequence[str]:
    finished, _, owned, shares = keys
    return [owned, shares, finished]


def named(replies: Sequence[Any]) -> Sequence[bytes]:
    """Return the owners that one partition at least has named."""
    return sorted({owner for reply in replies for owner in reply})


def who_has_more(owners: Sequence[bytes], replies: Sequence[Any], size: float) -> Sequence[bytes]:
    """Return those owners who have more than so many bytes in all partitions together."""
    shares = zip(*replies, strict=True)
    return [
        owner
        for owner, each in zip(owners, shares, strict=True)
        if sum(int(share) for share in each) > size
    ]
