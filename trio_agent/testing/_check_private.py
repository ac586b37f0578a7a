"""What the store contract says of what is kept beside a log: private bytes and files."""

from hashlib import sha256
from typing import Final

import attrs

from .._errors import UnknownBlob
from .._log.log import Append, Appended
from .._log.store import PAGE_BYTES, Lease, Store
from ._check_log import (
    append_all,
    commit,
    create,
    entries_at,
    hold,
    new_record,
    raises,
    read_all,
    run_finish,
    run_start,
    text_delta,
)

_BYTES: Final = bytes(range(256))
_DIGEST: Final = sha256(_BYTES).hexdigest()


def private_at(lease: Lease, first_offset: int, *privates: bytes) -> Append:
    """Make as many entries, with these beside them; empty: nothing."""
    entries = entries_at(lease, first_offset, *(text_delta() for _ in privates)).entries
    private = {first_offset + n: each for n, each in enumerate(privates) if each}
    return Append(lease.run_id, lease.fence, entries, private)


async def _what_is_private_is_committed_with_its_entry(store: Store) -> None:
    lease = await create(store, "a", private=b'{"x":1}')
    await commit(store, entries_at(lease, 1, run_start("a")))
    append = private_at(lease, 2, b"", b"[3]", _BYTES)
    await commit(store, append)
    hold(await store.read_private("a", [0]) == [b'{"x":1}'], "offset 0 has what the record brought")
    found = await store.read_private("a", [4, 0, 1, 2, 3, 99])
    hold(
        list(found) == [_BYTES, b'{"x":1}', b"", b"", b"[3]", b""],
        "what is private is told in the order of the offsets, empty where there is nothing",
    )
    other = await create(store, "b")
    await commit(store, entries_at(other, 1, *(text_delta() for _ in range(4))))
    hold(
        list(await store.read_private("b", [0, 3, 4])) == [b"", b"", b""],
        "what is private is of one run",
    )
    told = [entry.data for entry in append.entries]
    hold((await read_all(store, "a"))[1:] == told, "entries are what they were")
    for sentence, append, outcome in (
        ("a gap", private_at(lease, 9, b"new"), Appended.GAP),
        (
            "a stranger",
            private_at(attrs.evolve(lease, fence=lease.fence + 1), 5, b"new"),
            Appended.FENCED,
        ),
        ("what is committed", private_at(lease, 3, b"new", b"new"), Appended.COMMITTED),
    ):
        hold(await append_all(store, append) == [outcome], f"{sentence} is {outcome.value}")
        again = await store.read_private("a", [3, 4, 5, 9])
        hold(list(again) == [b"[3]", _BYTES, b"", b""], f"{sentence} changes nothing private")
    await commit(store, private_at(lease, 5, b"[5]"))
    hold(list(await store.read_private("a", [5])) == [b"[5]"], "the log goes on")
    await commit(store, entries_at(lease, 6, run_finish("a")))
    hold(list(await store.read_private("a", [5])) == [b"[5]"], "it is there to the end")


async def _what_is_private_is_counted_and_not_told(store: Store) -> None:
    record = new_record("a", owner="me", private=b"p" * 100, blobs={_DIGEST: _BYTES})
    created = await store.create(record)
    assert created.lease is not None
    info = await store.info("a")
    hold(info.record == record.told(), "`info` tells nothing private")
    hold(info.size == record.size >= 356, "what is given at first is counted")
    append = private_at(created.lease, 1, b"q" * 1000)
    await commit(store, append)
    hold((await store.info("a")).size == record.size + append.size, "what is private is counted")
    [found] = await store.find("me", None, 1)
    hold(found.record == record.told(), "lists tell nothing private")
    hold(found.size == record.size + append.size, "lists tell what is counted")


async def _what_is_private_is_read_in_pages(store: Store) -> None:
    lease = await create(store, "a", private=b"r" * 1_500_000)
    sizes = [1, 700_000, 700_000, 1]
    for offset, size in enumerate(sizes, 1):
        await commit(store, private_at(lease, offset, b"p" * size))
    wanted = [0, 1, 2, 3, 4]
    pages: list[list[int]] = []
    while wanted:
        page = await store.read_private("a", wanted)
        hold(1 <= len(page) <= len(wanted), "what is private is told in pages, which aren't empty")
        pages.append([len(each) for each in page])
        wanted = wanted[len(page) :]
    hold([size for page in pages for size in page] == [1_500_000, *sizes], "pages are whole")
    for told in pages:
        hold(len(told) == 1 or sum(told) <= PAGE_BYTES, "a page holds at most `PAGE_BYTES`")


async def _files_are_kept_beside_the_run(store: Store) -> None:
    other = b"x" * 2_000_000
    blobs = {_DIGEST: _BYTES, sha256(other).hexdigest(): other, sha256(b"").hexdigest(): b""}
    lease = await create(store, "a", blobs=blobs, idempotency_key="k")
    await create(store, "b")
    for digest, data in blobs.items():
        hold(await store.read_blob("a", digest) == data, "a file is what it was")
    for run_id, digest in (("a", "0" * 64), ("b", _DIGEST), ("a", "../x\0"), ("a", "")):
        async with raises(UnknownBlob, "a run has the files that it was given"):
            await store.read_blob(run_id, digest)
    await store.create(new_record("c", blobs={"0" * 64: b"late"}, idempotency_key="k"))
    async with raises(UnknownBlob, "who finds a run by its key adds nothing to it"):
        await store.read_blob("a", "0" * 64)
    await commit(store, entries_at(lease, 1, run_finish("a")))
    hold(await store.read_blob("a", _DIGEST) == _BYTES, "files stay as long as their run")
    await store.delete("a")
    await create(store, "a2", idempotency_key="k")
    async with raises(UnknownBlob, "another run has no files of one that was removed"):
        await store.read_blob("a2", _DIGEST)


PRIVATE_CHECKS = (
    _what_is_private_is_committed_with_its_entry,
    _what_is_private_is_counted_and_not_told,
    _what_is_private_is_read_in_pages,
    _files_are_kept_beside_the_run,
)
