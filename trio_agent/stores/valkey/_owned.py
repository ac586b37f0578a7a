"""What of finished runs is whose in Valkey: each owner's bytes and runs, by partition.

A partition's `shares` have the sum of each owner, so that nobody is asked for who has little; its
`owned` has the runs, in one set for all owners: who appends an end doesn't know whose it is, and
must name all keys. A member is ``OWNER:ENDED:SIZE:RUN``, the owner as a digest, so that those of
one owner follow each other, the oldest first.

Only a run whose hash has the field `owner` is counted, when it ends. A server of a former version
writes none, counts none, and takes nothing away here when it removes a run: what is no more in
`finished` is dropped when it is met, and a sum whose runs are all in view is added up anew.
"""

from collections.abc import Sequence
from typing import Any, Final

from ._keys import PARTITIONS, Keys
from ._script import Call, Script

ABOVE: Final = Script("""
return redis.call('ZRANGE', KEYS[1], '(' .. ARGV[1], '+inf', 'BYSCORE')
""")
"""Return the owners who have more bytes than that in a partition."""

SHARES: Final = Script("""
local found = {}
for n, owner in ipairs(ARGV) do found[n] = redis.call('ZSCORE', KEYS[1], owner) or '0' end
return found
""")
"""Return what these owners have in a partition, in bytes."""

SURVEY_OWNER: Final = Script("""
local owned, shares, finished = unpack(KEYS)
local owner, count = unpack(ARGV)
local time = now()
local page, runs, sum, all
repeat
    page = redis.call('ZRANGE', owned, '[' .. owner .. ':', '(' .. owner .. ';',
        'BYLEX', 'LIMIT', 0, count)
    runs, sum, all = {}, 0, true
    for _, member in ipairs(page) do
        local ended, size, id = string.match(member, '^%x+:(%d+):(%d+):(.*)$')
        if tonumber(redis.call('ZSCORE', finished, id) or -1) == tonumber(ended) then
            runs[#runs + 1] = {id, time - ended, size}
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
return {#runs, redis.call('ZSCORE', shares, owner) or '0', runs, time}
""")
"""Return of one owner what `SURVEY` returns of all; but the number is that of the runs in view."""


class OwnedCalls:
    """Makes calls, each of them of all partitions.

    Args:
        keys: what the keys are called.
    """

    def __init__(self, keys: Keys) -> None:
        self._partitions = keys.partitions

    def above(self, size: float) -> Sequence[Call]:
        """Ask for all who may have more than so many bytes."""
        # Who has more than that has more than a part of it somewhere.
        return [Call(ABOVE, [each.shares], [str(size / PARTITIONS)]) for each in self._partitions]

    def shares(self, owners: Sequence[bytes]) -> Sequence[Call]:
        """Ask what these have."""
        return [Call(SHARES, [each.shares], owners) for each in self._partitions]

    def survey(self, owner: bytes, count: int) -> Sequence[Call]:
        """Look at the oldest finished runs of an owner, so many of each partition."""
        return [
            Call(SURVEY_OWNER, [each.owned, each.shares, each.finished], [owner, str(count)])
            for each in self._partitions
        ]


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
