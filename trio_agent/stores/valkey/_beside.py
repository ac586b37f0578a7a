"""What is kept beside logs in Valkey: fields of the runs' hashes, which nothing else reads.

`private` is what a run was created with, `private:OFFSET` what is beside an entry, and
`blob:DIGEST` a file.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..._errors import UnknownBlob
from ..._log.log import PAGE_BYTES
from ._keys import RunKeys
from ._replies import present
from ._scripts import Call, Script

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

READ_BLOB: Final = Script("""
local run, gone = unpack(KEYS)
if redis.call('EXISTS', run) == 0 then return absent(gone) end
return {redis.call('HGET', run, ARGV[1])}
""")
"""Return a field, if it is there."""


def fields_of(privates: Mapping[int, bytes], blobs: Mapping[str, bytes]) -> list[str | bytes]:
    """Return the fields of what is private, by offset, and of files: each with its value."""
    fields: list[str | bytes] = []
    for offset, data in privates.items():
        fields += [_private(offset), data]
    for digest, data in blobs.items():
        fields += [_blob(digest), data]
    return fields


def _private(offset: int) -> str:
    return f"private:{offset}" if offset else "private"


def _blob(digest: str) -> str:
    return f"blob:{digest}"


def read_private(keys: RunKeys, offsets: Sequence[int]) -> Call:
    """Read what is private beside these entries, a page at most."""
    return Call(READ_PRIVATE, [keys.run, keys.gone], [str(PAGE_BYTES), *map(_private, offsets)])


def read_blob(keys: RunKeys, digest: str) -> Call:
    """Read a file."""
    return Call(READ_BLOB, [keys.run, keys.gone], [_blob(digest)])


def as_privates(run_id: str, reply: Any) -> list[bytes]:
    """Return what is private. Raises as `present`."""
    return list(present(run_id, reply))


def as_blob(run_id: str, digest: str, reply: Any) -> bytes:
    """Return a file.

    Raises:
        UnknownBlob: there is none.
        As `present`.
    """
    [data] = present(run_id, reply)
    if data is None:
        raise UnknownBlob(run_id, digest)
    return bytes(data)
