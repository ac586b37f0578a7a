"""What a run is told in Valkey: fields of its hash.

`delivered` is how many deliveries there are, `delivered_size` their bytes. Of each there are
`delivery:NUMBER` and `key:NUMBER`; and `number:DIGEST`, where the digest is that of its key, which
may be long.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from ..._log.inbox import INBOX_BYTES, INBOX_ITEMS, Delivered, Delivery, check_inbox
from ..._log.log import PAGE_BYTES
from ._keys import RunKeys
from ._replies import present
from ._script import Call, Script

DELIVER: Final = Script("""
local run, holds, gone, news = unpack(KEYS)
local id, number, key, data, items, most = unpack(ARGV)
local known = redis.call('HMGET', run, 'closed', number, 'delivered', 'delivered_size')
if not known[1] then return absent(gone) end
if known[2] and redis.call('HGET', run, 'delivery:' .. known[2]) == data then return 'delivered' end
if known[1] == '1' then return 'closed' end
if known[2] then return 'taken' end
local count, size = tonumber(known[3] or 0), tonumber(known[4] or 0)
if count >= tonumber(items) or size + #data > tonumber(most) then return {count, size} end
count = count + 1
redis.call('HSET', run, number, count, 'key:' .. count, key, 'delivery:' .. count, data,
    'delivered', count, 'delivered_size', size + #data)
redis.call('HINCRBY', run, 'size', #data)
wake(run, holds, id)
tell(news, 'run', id)
return 'delivered'
""")
"""Put something into the inbox; if it is full, return how many deliveries it has, and their bytes.

That it is there is found before anything else: a call whose reply was lost is repeated."""

READ_INBOX: Final = Script("""
local run, gone = unpack(KEYS)
local after, limit, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if redis.call('EXISTS', run) == 0 then return absent(gone) end
local count = tonumber(redis.call('HGET', run, 'delivered') or 0)
local found, size = {}, 0
for n = after + 1, math.min(count, after + limit) do
    size = size + redis.call('HSTRLEN', run, 'delivery:' .. n)
    if size > most and #found > 0 then break end
    found[#found + 1] = redis.call('HMGET', run, 'key:' .. n, 'delivery:' .. n)
end
return found
""")
"""Return keys and data of deliveries that follow each other, a page at most."""


def deliver(keys: RunKeys, key: str, data: bytes) -> Call:
    """Put something into a run's inbox."""
    shared = keys.partition
    number = f"number:{hashlib.sha256(key.encode()).hexdigest()}"
    return Call(
        DELIVER,
        [keys.run, shared.holds, keys.gone, shared.news],
        [keys.run_id, number, key, data, str(INBOX_ITEMS), str(INBOX_BYTES)],
    )


def read_inbox(keys: RunKeys, after: int, limit: int) -> Call:
    """Read a page of a run's inbox."""
    return Call(READ_INBOX, [keys.run, keys.gone], [str(after), str(limit), str(PAGE_BYTES)])


def as_delivered(run_id: str, data: bytes, reply: Any) -> Delivered:
    """Return what came of a delivery.

    Raises:
        LimitExceeded: the inbox is full.
        As `present`.
    """
    outcome = present(run_id, reply)
    if isinstance(outcome, list):
        count, size = outcome
        check_inbox(count, size, data)
    return Delivered(outcome.decode())


def as_deliveries(run_id: str, after: int, reply: Any) -> Sequence[Delivery]:
    """Return what was read behind a number. Raises as `present`."""
    return [
        Delivery(number, key.decode(), data)
        for number, (key, data) in enumerate(present(run_id, reply), after + 1)
    ]
