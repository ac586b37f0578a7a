"""What is kept beside logs in Valkey: fields of the runs' hashes, which nothing else reads.

`private` is what a run was created with, `private:OFFSET` what is beside an entry. A file is in
pieces, `blob:DIGEST`, `blob1:DIGEST` and so on, each written and read by a call of its own: one
that is too large is not answered in time, and the calls of all other runs wait behind it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..._errors import UnknownBlob
from ..._log.log import PAGE_BYTES
from ._keys import RunKeys
from ._replies import present
from ._script import Call, Script

FILL: Final = Script("""
local draft, run = unpack(KEYS)
local token, ttl = unpack(ARGV, 1, 2)
if redis.call('HGET', run, 'creation') == token then return 'drafted' end
if redis.call('HGET', draft, 'creation') ~= token then return 'taken' end
for n = 3, #ARGV, 2 do redis.call('HSET', draft, ARGV[n], ARGV[n + 1]) end
redis.call('PEXPIRE', draft, ttl)
return 'drafted'
""")
"""Add to a draft. ARGV: token, ttl, then fields, each with its value."""

READ_PRIVATE: Final = Script("""
local run, gone = unpack(KEYS)
if redis.call('EXISTS', run) == 0 then return absent(gone) end
local most, found, size = tonumber(ARGV[1]), {}, 0
for n = 2, #ARGV do
    size = size + redis.call('HSTRLEN', run, ARGV[n])
    if size > most and #found > 0 then break end
    found[#found + 1] = redis.call('HGET', run, ARGV[n]) or ''
end
return found
""")
"""Return the first of these fields, a page at most."""

READ_PIECE: Final = Script("""
local run, gone = unpack(KEYS)
if redis.call('EXISTS', run) == 0 then return absent(gone) end
return {redis.call('HGET', run, ARGV[1]), redis.call('HEXISTS', run, ARGV[2])}
""")
"""Return a field, if it is there, and whether the next one is."""


def private_fields(privates: Mapping[int, bytes]) -> Iterator[str | bytes]:
    """Return the fields of what is private, by offset, each with its value."""
    for offset, data in privates.items():
        yield _private(offset)
        yield data


def _private(offset: int) -> str:
    return f"private:{offset}" if offset else "private"


def _piece(digest: str, number: int) -> str:
    return f"blob{number or ''}:{digest}"


def fill(keys: RunKeys, token: str, ttl: str, blobs: Mapping[str, bytes]) -> Iterator[Call]:
    """Add files to a draft, about a page at once."""
    fields: list[str | bytes] = []
    size = 0
    for digest, data in blobs.items():
        for number, start in enumerate(range(0, len(data) or 1, PAGE_BYTES)):
            piece = data[start : start + PAGE_BYTES]
            if fields and size + len(piece) > PAGE_BYTES:
                yield Call(FILL, [keys.draft, keys.run], [token, ttl, *fields])
                fields, size = [], 0
            fields += [_piece(digest, number), piece]
            size += len(piece)
    if fields:
        yield Call(FILL, [keys.draft, keys.run], [token, ttl, *fields])


def read_private(keys: RunKeys, offsets: Sequence[int]) -> Call:
    """Read what is private beside these entries, a page at most."""
    return Call(READ_PRIVATE, [keys.run, keys.gone], [str(PAGE_BYTES), *map(_private, offsets)])


def read_piece(keys: RunKeys, digest: str, number: int) -> Call:
    """Read a piece of a file."""
    arguments = [_piece(digest, number), _piece(digest, number + 1)]
    return Call(READ_PIECE, [keys.run, keys.gone], arguments)


def as_privates(run_id: str, reply: Any) -> list[bytes]:
    """Return what is private. Raises as `present`."""
    return list(present(run_id, reply))


def as_piece(run_id: str, digest: str, reply: Any) -> tuple[bytes, bool]:
    """Return a piece of a file, and whether there is another.

    Raises:
        UnknownBlob: there is no such file.
        As `present`.
    """
    data, more = present(run_id, reply)
    if data is None:
        raise UnknownBlob(run_id, digest)
    return data, bool(more)
