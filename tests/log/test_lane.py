"""Groups of commits: how large they are, and that what fails holds up nobody else."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from store_kit import record

from trio_agent._errors import StoreUnavailable
from trio_agent._events import TextDelta, ToolCall, ToolRequest
from trio_agent._log import lane as _lane
from trio_agent._log.feed import Feed
from trio_agent._log.log import Append, Appended, Entry
from trio_agent._log.writer import RunLog, Writer
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import StoreProxy

CALL = ToolCall(at=0, tool=ToolRequest("1", "t", {}))


def delta(text: str = "x") -> TextDelta:
    return TextDelta(at=0, delta=text)


class Picky(StoreProxy):
    """Refuses batches by rules of yours, and keeps what it was asked for."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.refuses: Callable[[Sequence[Append]], Exception | None] = lambda _: None
        self.batches: list[list[tuple[str, int, int]]] = []

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        offsets = [(append.run_id, append.first_offset, append.last_offset) for append in batch]
        self.batches.append(offsets)
        if (failure := self.refuses(batch)) is not None:
            await trio.lowlevel.checkpoint()
            raise failure
        return await super().append(batch)


def bytes_of(batch: Sequence[Append]) -> int:
    return sum(append.size for append in batch)


@asynccontextmanager
async def open_logs(
    store: StoreProxy, *run_ids: str, patience: float = 5
) -> AsyncIterator[list[RunLog]]:
    writer = Writer(store, patience=patience)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        logs = []
        for run_id in run_ids:
            created = await store.create(record(run_id))
            assert created.lease is not None
            feed = Feed(run_id, "e")
            logs.append(RunLog(feed, store, created.lease, writer, max_bytes=1 << 26))
        yield logs
        writer.close()


async def test_a_group_is_bounded_in_bytes(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    store = Picky()
    async with open_logs(store, "a", "b", "c", "d") as logs:
        one = Append("a", 1, [Entry.of(1, delta())]).size
        monkeypatch.setattr(_lane, "_GROUP", 3 * one)
        for log, count in zip(logs, (2, 2, 7, 1), strict=True):
            log.append([delta()] * count, bounded=True)
        logs[-1].append([delta("x" * 999)])
        for log in logs:
            await log.flush()
        assert store.batches == [
            [("a", 1, 2)],
            [("b", 1, 2)],
            # What is left has a turn behind the others.
            [("c", 1, 3)],
            [("d", 1, 1)],
            [("c", 4, 6)],
            # One entry is not divided.
            [("d", 2, 2)],
            [("c", 7, 7)],
        ]


@pytest.mark.parametrize("failure", [StoreUnavailable("not this one"), TypeError("a bug")])
async def test_a_run_that_the_store_does_not_take_holds_up_no_other(
    failure: Exception, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = Picky()
    store.refuses = lambda batch: failure if any(a.run_id == "bad" for a in batch) else None
    async with open_logs(store, "a", "b", "bad", "c", "d", patience=3) as logs:
        bad = logs.pop(2)
        begin = trio.current_time()
        for turn in range(1, 4):
            for log in (*logs, bad):
                log.append([CALL])
            for log in logs:
                await log.flush()
            assert [log.feed.tail for log in logs] == [turn] * 4
        assert trio.current_time() == begin
        with pytest.raises(StoreUnavailable):
            await bad.flush()
        assert 3 <= trio.current_time() - begin < 5
        assert [log.feed.failure for log in logs] == [None] * 4
        store.refuses = lambda _: None
        await trio.sleep(3)
        await bad.flush()
        assert (bad.feed.tail, bad.feed.failure) == (3, None)
    # Of a store that is away, runs and readers are told.
    bug = isinstance(failure, TypeError)
    assert caplog.text.count("events could not be appended: a bug") == bug


async def test_what_is_too_large_gets_smaller_until_it_fits(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = Picky()
    limit = 1000
    store.refuses = lambda batch: StoreUnavailable("slow") if bytes_of(batch) > limit else None
    async with open_logs(store, "large", "a", "b", patience=5) as logs:
        for log in logs:
            count = 2 if log.feed.run_id != "large" else 20
            log.append([delta("x" * 200) for _ in range(count)], bounded=True)
        for log in logs:
            await log.flush()
            assert log.feed.failure is None
        assert [log.feed.tail for log in logs] == [20, 2, 2]
        # In the order of the log, each time no more than what was too much before.
        large = [batch[0] for batch in store.batches if batch[0][0] == "large" and len(batch) == 1]
        assert large[0][1:] == (1, 20)
        assert large[-1][2] == 20


async def test_what_is_private_counts_in_a_group_and_stays_with_its_entry(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    store = Picky()
    async with open_logs(store, "a", "b") as [a, b]:
        one = Append("a", 1, [Entry.of(1, delta())]).size
        monkeypatch.setattr(_lane, "_GROUP", 4 * one)
        a.append([delta()])
        for n in range(2, 5):
            a.append([delta()], private=bytes([n]) * 2 * one)
        b.append([delta(), delta()], private=b"b" * 9 * one, bounded=True)
        for log in (a, b):
            await log.flush()
        assert store.batches == [
            [("a", 1, 2)],
            # What is beside one entry is not divided.
            [("b", 1, 1)],
            [("a", 3, 3), ("b", 2, 2)],
            [("a", 4, 4)],
        ]
        found = await store.read_private("a", [1, 2, 3, 4])
        assert found == [b"", *(bytes([n]) * 2 * one for n in range(2, 5))]
        assert await store.read_private("b", [1, 2]) == [b"b" * 9 * one, b""]


async def test_what_is_private_stays_with_its_entry_in_smaller_pieces(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = Picky()
    limit = 1000
    store.refuses = lambda batch: StoreUnavailable("slow") if bytes_of(batch) > limit else None
    async with open_logs(store, "a") as [log]:
        for n in range(1, 21):
            log.append([delta()], private=b"%d" % n * 100 if n % 3 else b"")
        await log.flush()
        assert log.uncommitted == 0
        assert len(store.batches) > 5
        expected = [b"%d" % n * 100 if n % 3 else b"" for n in range(1, 21)]
        assert await store.read_private("a", range(1, 21)) == expected


async def test_what_belongs_together_is_committed_together(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Neither a full group nor a store that takes but little tears an answer from its calls."""
    store = Picky()
    most = 1 << 26
    store.refuses = lambda batch: StoreUnavailable("slow") if bytes_of(batch) > most else None
    async with open_logs(store, "a", patience=60) as [log]:
        one = Append("a", 1, [Entry.of(1, delta())]).size
        monkeypatch.setattr(_lane, "_GROUP", 4 * one)
        # Alone larger than a group, behind what fits, and cut in its middle.
        for count in (2, 9, 1, 3, 2):
            log.append([delta()] * count)
        await log.flush()
        assert store.batches == [[("a", 1, 2)], [("a", 3, 11)], [("a", 12, 15)], [("a", 16, 17)]]
        monkeypatch.undo()
        store.batches.clear()
        log.append([delta()] * 5, bounded=True)
        log.append([delta()] * 6, private=b"p" * one)
        log.append([delta()] * 5, bounded=True)
        most = 0
        await trio.sleep(1)
        most = 2 * one
        await trio.sleep(20)
        assert log.feed.tail == 22
        most = 7 * one
        await log.flush()
        whole = [batch for batch in store.batches if any(f < 29 and t > 22 for _, f, t in batch)]
        assert all(f <= 23 and t >= 28 for [(_, f, t)] in whole)
        assert await store.read_private("a", [22, 23, 24]) == [b"", b"p" * one, b""]
        assert log.uncommitted == 0
        assert not log._joined


async def test_all_are_told_of_a_store_that_is_away_and_all_go_on_when_it_is_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = Picky()
    store.refuses = lambda _: StoreUnavailable("away")
    async with open_logs(store, *map(str, range(100)), patience=3) as logs:
        begin = trio.current_time()
        for log in logs:
            log.append([CALL])
        await trio.sleep(2.9)
        assert {log.feed.failure for log in logs} == {None}
        await trio.sleep(2)
        assert all(isinstance(log.feed.failure, StoreUnavailable) for log in logs)
        attempts = len(store.batches)
        await trio.sleep(10)
        assert len(store.batches) - attempts <= 100 * 10 / 2
        store.refuses = lambda _: None
        for log in logs:
            log.append([CALL])
        await trio.sleep(2.1)
        assert {(log.feed.tail, log.feed.failure) for log in logs} == {(2, None)}
        assert trio.current_time() - begin == pytest.approx(17)


async def test_a_part_of_the_store_that_hangs_holds_up_no_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Shards(Picky):
        def partition(self, run_id: str) -> str:
            return run_id[0]

        async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
            assert len({append.run_id[0] for append in batch}) == 1
            if batch[0].run_id[0] == "x":
                await trio.sleep(10)
            return await super().append(batch)

    store = Shards()
    async with open_logs(store, "x1", "y1", "x2", "y2") as logs:
        for log in logs:
            log.append([CALL])
        await trio.sleep(1)
        assert [log.feed.tail for log in logs] == [0, 1, 0, 1]
        assert store.batches == [[("y1", 1, 1), ("y2", 1, 1)]]
        await trio.sleep(10)
        assert [log.feed.tail for log in logs] == [1, 1, 1, 1]


async def test_closing_waits_for_what_is_repeated_and_for_what_came_behind_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = Picky()
    store.refuses = lambda _: StoreUnavailable("away")
    with trio.fail_after(60):
        async with open_logs(store, "a", "b", patience=0) as logs:
            for log in logs:
                log.append([CALL])
            await trio.sleep(1)
            for log in logs:
                log.append([delta()])
            store.refuses = lambda _: None
    assert [log.feed.tail for log in logs] == [2, 2]


async def test_a_store_that_answers_with_too_little_is_asked_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Short(Picky):
        async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
            outcomes = await super().append(batch)
            return outcomes[1:] if len(self.batches) == 1 else outcomes

    async with open_logs(Short(), "a", "b") as logs:
        for log in logs:
            log.append([CALL])
        for log in logs:
            await log.flush()
        assert [log.feed.tail for log in logs] == [1, 1]
