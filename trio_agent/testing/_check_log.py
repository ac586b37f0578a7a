"""What the store contract says of logs, and what all checks of it are made of."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from .._errors import KeyReused, LimitExceeded, UnknownRun
from .._events import AnyEvent, RunFinish, RunStart, RunSummary, TextDelta, Usage
from .._limits import Retention
from .._log.log import Append, Appended, Entry
from .._log.run_info import RunInfo, RunRecord
from .._log.store import PAGE_BYTES, Lease, Store

KEEP_ALL: Final = Retention(seconds=1e6, max_runs=1_000_000, max_bytes=1 << 50)


def hold(condition: object, sentence: str) -> None:
    # Not an assert statement, which `python -O` would drop.
    if not condition:
        raise AssertionError(sentence)


@asynccontextmanager
async def raises(error: type[Exception], sentence: str) -> AsyncIterator[None]:
    try:
        yield
    except error:
        return
    raise AssertionError(f"{sentence}: {error.__name__} was not raised")


def new_record(run_id: str, **changes: Any) -> RunRecord:
    return attrs.evolve(
        RunRecord(run_id=run_id, epoch="e1", agent="agent", created_at=1_700_000_000_000),
        **changes,
    )


def run_start(run_id: str) -> AnyEvent:
    return RunStart(at=1, run_id=run_id, agent="agent")


def text_delta(text: str = "x") -> AnyEvent:
    return TextDelta(at=2, delta=text)


def run_finish(run_id: str) -> AnyEvent:
    summary = RunSummary(run_id, "", 1, "stop", Usage())
    return RunFinish(at=3, run=summary)


def entries_at(lease: Lease, first_offset: int, *events: AnyEvent) -> Append:
    entries = [Entry.of(first_offset + n, event) for n, event in enumerate(events)]
    return Append(lease.run_id, lease.fence, entries)


async def create(store: Store, run_id: str, **changes: Any) -> Lease:
    created = await store.create(new_record(run_id, **changes))
    hold(created.run_id == run_id, "create returns the id of the new run")
    hold(created.lease is not None, "create claims the new run")
    assert created.lease is not None
    return created.lease


async def append_all(store: Store, *batch: Append) -> Sequence[Appended]:
    outcomes = await store.append(batch)
    hold(len(outcomes) == len(batch), "append returns one outcome for each Append, in order")
    return outcomes


async def commit(store: Store, append: Append) -> None:
    hold(await append_all(store, append) == [Appended.COMMITTED], "what fits is committed")


async def create_finished(store: Store, run_id: str, text: str = "x", **changes: Any) -> Lease:
    lease = await create(store, run_id, **changes)
    await commit(
        store, entries_at(lease, 1, run_start(run_id), text_delta(text), run_finish(run_id))
    )
    return lease


async def read_all(store: Store, run_id: str) -> list[bytes]:
    page = await store.read(run_id, 0, 1000)
    hold(
        [entry.offset for entry in page.entries] == list(range(1, page.tail + 1)),
        "a log has the offsets 1 to tail without a gap",
    )
    return [entry.data for entry in page.entries]


async def cut(number: int, act: Callable[[], Awaitable[object]]) -> None:
    """Cancel an operation after so many checkpoints; 0: before its first."""

    async def cancel() -> None:
        for _ in range(number):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel(reason="check_store")

    async with trio.open_nursery() as nursery:
        if not number:
            nursery.cancel_scope.cancel(reason="check_store")
        nursery.start_soon(cancel)
        await act()


async def _create_makes_an_empty_log(store: Store) -> None:
    record = new_record(
        "a",
        owner="me",
        metadata={"n": [1, None, "ü"]},
        idempotency_key="k",
        private=b'{"x":1}',
        digest="d",
    )
    created = await store.create(record)
    lease = created.lease
    hold(lease is not None, "who creates a run has it")
    assert lease is not None
    info = await store.info("a")
    expected = RunInfo(record.told(), 0, record.size, None, lease.fence, True, None, 0)
    hold(info == expected, "a new run is empty, leased to its creator, and keeps its record")
    page = await store.read("a", 0, 10)
    hold((list(page.entries), page.tail, page.closed) == ([], 0, False), "a new log is empty")
    await commit(store, entries_at(lease, 1, run_start("a")))
    async with raises(LimitExceeded, "an id is used once"):
        await store.create(new_record("a", epoch="e2"))
    hold((await store.info("a")).tail == 1, "an id that is taken leaves its run alone")


async def _a_key_is_used_once_per_owner(store: Store) -> None:
    await create(store, "a", owner="me", idempotency_key="k")
    again = await store.create(new_record("b", owner="me", idempotency_key="k"))
    hold((again.run_id, again.lease) == ("a", None), "a key that is taken finds its run")
    async with raises(UnknownRun, "a key that is taken creates nothing"):
        await store.info("b")
    same = await store.create(new_record("a", owner="me", idempotency_key="k"))
    hold((same.run_id, same.lease) == ("a", None), "a repeated creation finds the run")
    await create(store, "c", owner="you", idempotency_key="k")
    await create(store, "d", idempotency_key="k")
    await create(store, "e", owner="me")
    await create(store, "f", owner="me")
    winners: list[str] = []

    async def race(run_id: str) -> None:
        created = await store.create(new_record(run_id, owner="me", idempotency_key="race"))
        winners.append(created.run_id)
        if created.lease is not None:
            hold(created.run_id == run_id, "who has the lease created the run")

    async with trio.open_nursery() as nursery:
        for n in range(5):
            nursery.start_soon(race, f"race{n}")
    hold(len(set(winners)) == 1, "of several creations with one key, one wins")


async def _a_key_belongs_to_one_request(store: Store) -> None:
    await create(store, "a", owner="me", idempotency_key="k", digest="1")
    await create(store, "b", owner="me", idempotency_key="old")
    for digest in ("1", ""):
        again = new_record("c", owner="me", idempotency_key="k", digest=digest)
        hold((await store.create(again)).run_id == "a", "the same request finds the run")
    again = new_record("c", owner="me", idempotency_key="old", digest="1")
    hold((await store.create(again)).run_id == "b", "where there is no digest, none is compared")
    async with raises(KeyReused, "a key is not for another request"):
        await store.create(new_record("c", owner="me", idempotency_key="k", digest="2"))
    async with raises(UnknownRun, "a key that is refused creates nothing"):
        await store.info("c")
    await create(store, "c", owner="you", idempotency_key="k", digest="2")
    await create(store, "d", owner="me", digest="2")


async def _lookup_finds_what_a_key_belongs_to(store: Store) -> None:
    asked = new_record("c", owner="me", idempotency_key="k", digest="1")
    hold(await store.lookup(asked) is None, "a key that is free finds nothing")
    await create(store, "a", idempotency_key="k", digest="1")
    await create(store, "b", owner="me", idempotency_key="k", digest="1")
    hold(await store.lookup(asked) == "b", "lookup finds the run of this owner with this key")
    async with raises(KeyReused, "lookup is not for another request"):
        await store.lookup(attrs.evolve(asked, digest="2"))
    async with raises(UnknownRun, "lookup creates nothing"):
        await store.info("c")


async def _append_checks_fence_and_tail(store: Store) -> None:
    lease = await create(store, "a")
    await commit(store, entries_at(lease, 1, run_start("a"), text_delta("1")))
    before = await read_all(store, "a")
    rejected = {
        "a gap is refused": (entries_at(lease, 4, text_delta("2")), Appended.GAP),
        "an overlap is refused": (
            entries_at(lease, 2, text_delta("2"), text_delta("3")),
            Appended.GAP,
        ),
        "a fence that is too high is refused": (
            entries_at(attrs.evolve(lease, fence=lease.fence + 1), 3, text_delta("2")),
            Appended.FENCED,
        ),
        "a fence that is too low is refused": (
            entries_at(attrs.evolve(lease, fence=lease.fence - 1), 3, text_delta("2")),
            Appended.FENCED,
        ),
        "an unknown run is refused": (
            entries_at(Lease("nobody", 1), 1, text_delta()),
            Appended.UNKNOWN,
        ),
    }
    for sentence, (append, outcome) in rejected.items():
        hold(await append_all(store, append) == [outcome], sentence)
        hold(await read_all(store, "a") == before, f"{sentence}, and changes nothing")
    for first in (1, 2):
        events = (run_start("a"), text_delta("1"))[first - 1 :]
        await commit(store, entries_at(lease, first, *events))
    await commit(store, entries_at(lease, 2, text_delta("other")))
    hold(await read_all(store, "a") == before, "repeating what is committed changes nothing")
    await commit(store, entries_at(lease, 3, text_delta("2")))
    hold(len(await read_all(store, "a")) == 3, "the log goes on behind its tail")


async def _a_terminal_event_closes_the_log(store: Store) -> None:
    lease = await create(store, "a")
    finish = entries_at(lease, 2, text_delta(), run_finish("a"))
    await commit(store, entries_at(lease, 1, run_start("a")))
    await commit(store, finish)
    hold(
        await append_all(store, entries_at(lease, 4, text_delta())) == [Appended.CLOSED],
        "closed is closed",
    )
    await commit(store, finish)
    page = await store.read("a", 0, 10)
    hold((page.tail, page.closed) == (3, True), "a page tells the tail and that the log is closed")
    hold(
        [entry.terminal for entry in page.entries] == [False, False, True],
        "entries know whether they are terminal",
    )
    info = await store.info("a")
    hold(not info.active and not info.leased, "a finished run is neither active nor leased")
    hold(info.last is not None and info.last.data == page.entries[-1].data, "info has the end")
    size = info.record.size + sum(len(entry.data) for entry in page.entries)
    hold(info.size == size, "size is bytes of JSON, and of what was given at first")
    hold(await store.claim("a") is None, "a finished run can't be claimed")
    hold("a" not in await store.orphans("", 10), "a finished run is no orphan")
    await store.request_cancel("a", "late")
    hold((await store.info("a")).cancel_reason is None, "a finished run can't be cancelled")


async def _a_batch_is_checked_one_by_one(store: Store) -> None:
    leases = [await create(store, run_id) for run_id in "abc"]
    outcomes = await append_all(
        store,
        entries_at(leases[0], 1, run_start("a")),
        entries_at(leases[1], 2, text_delta()),
        entries_at(Lease("nobody", 1), 1, text_delta()),
        entries_at(leases[2], 1, run_start("c"), run_finish("c")),
        entries_at(leases[0], 2, text_delta()),
    )
    hold(
        outcomes
        == [
            Appended.COMMITTED,
            Appended.GAP,
            Appended.UNKNOWN,
            Appended.COMMITTED,
            Appended.COMMITTED,
        ],
        "each Append of a batch has its own outcome, and they are done in order",
    )
    hold([(await store.info(run_id)).tail for run_id in "abc"] == [2, 0, 2], "and its own effect")


async def _append_nowait_is_append(store: Store) -> None:
    lease = await create(store, "a")
    start = entries_at(lease, 1, run_start("a"))
    try:
        outcomes = store.append_nowait([start])
    except trio.WouldBlock:
        hold((await store.info("a")).tail == 0, "WouldBlock means that nothing was done")
        return
    hold(outcomes == [Appended.COMMITTED], "append_nowait commits")
    hold((await store.info("a")).tail == 1, "append_nowait has committed when it returns")
    hold(store.append_nowait([start]) == [Appended.COMMITTED], "append_nowait repeats")
    gap = store.append_nowait([entries_at(lease, 3, text_delta())])
    hold(gap == [Appended.GAP], "append_nowait checks as append does")


async def _read_pages(store: Store) -> None:
    lease = await create(store, "a")
    events = [run_start("a"), *(text_delta(f"ü{n}") for n in range(8)), run_finish("a")]
    await commit(store, entries_at(lease, 1, *events))
    expected = [entry.data for entry in entries_at(lease, 1, *events).entries]
    read: list[bytes] = []
    while len(read) < 10:
        page = await store.read("a", len(read), 4)
        hold(1 <= len(page.entries) <= 4, "a page has at most `limit` entries, and at least one")
        hold(page.entries[0].offset == len(read) + 1, "a page begins behind `after`")
        hold((page.tail, page.closed) == (10, True), "every page tells the tail")
        read += [entry.data for entry in page.entries]
    hold(read == expected, "what is read is what was appended, byte by byte")
    for after in (10, 11):
        hold(not (await store.read("a", after, 4)).entries, "behind the tail there is nothing")


async def _pages_are_bounded(store: Store) -> None:
    lease = await create(store, "a")
    texts = ["x", *("y" * 700_000 for _ in range(3)), "x", "z" * 1_500_000, "x"]
    for offset, text in enumerate(texts, 1):
        await commit(store, entries_at(lease, offset, text_delta(text)))
    pages: list[list[int]] = []
    after = 0
    while entries := (await store.read("a", after, 1000)).entries:
        pages.append([len(entry.data) for entry in entries])
        after = entries[-1].offset
    hold(after == len(texts), "pages follow each other, up to one without entries")
    for page in pages:
        hold(len(page) == 1 or sum(page) <= PAGE_BYTES, "a page holds at most `PAGE_BYTES`")


async def _lists_are_bounded(store: Store) -> None:
    for n in range(4):
        metadata = {"n": "x" * (700_000 if n else 1_500_000)}
        lease = await create(store, f"r{n}", metadata=metadata, created_at=1_700_000_000_000 + n)
        await commit(store, entries_at(lease, 1, run_finish(f"r{n}")))
    found: list[str] = []
    before = None
    while infos := await store.find(None, before, 1000):
        size = sum(info.record.size for info in infos)
        hold(len(infos) == 1 or size <= PAGE_BYTES, "a list holds at most `PAGE_BYTES`")
        before = infos[-1].record.run_id
        found += [info.record.run_id for info in infos]
    hold(found == ["r3", "r2", "r1", "r0"], "lists follow each other, up to an empty one")


async def _find_lists(store: Store) -> None:
    for n in range(6):
        owner = "me" if n % 2 else "you"
        at = 1_700_000_000_000 + n
        await create(store, f"r{n}", owner=owner, created_at=at)

    async def ids(owner: str | None, before: str | None, limit: int) -> list[str]:
        return [info.record.run_id for info in await store.find(owner, before, limit)]

    hold(await ids(None, None, 10) == ["r5", "r4", "r3", "r2", "r1", "r0"], "newest first")
    hold(await ids("me", None, 10) == ["r5", "r3", "r1"], "an owner sees only his runs")
    hold(await ids("me", None, 2) == ["r5", "r3"], "at most `limit`")
    hold(await ids("me", "r3", 2) == ["r1"], "behind `before`")
    hold(await ids(None, "r4", 2) == ["r3", "r2"], "pages follow each other")
    hold(await ids("nobody", None, 2) == [], "nothing is found for a stranger")
    hold(list(await store.find(None, None, 1)) == [await store.info("r5")], "as `info` tells it")
    async with raises(UnknownRun, "`before` is a run"):
        await store.find(None, "nobody", 1)


LOG_CHECKS = (
    _create_makes_an_empty_log,
    _a_key_is_used_once_per_owner,
    _a_key_belongs_to_one_request,
    _lookup_finds_what_a_key_belongs_to,
    _append_checks_fence_and_tail,
    _a_terminal_event_closes_the_log,
    _a_batch_is_checked_one_by_one,
    _append_nowait_is_append,
    _read_pages,
    _pages_are_bounded,
    _find_lists,
    _lists_are_bounded,
)
