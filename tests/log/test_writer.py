"""The writer: appends in groups, in order, and what it does while the store is away."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from trio_agent._errors import FenceLost, LimitExceeded, StoreUnavailable
from trio_agent._events import (
    AnyEvent,
    RunFinish,
    RunSummary,
    TextDelta,
    ToolCall,
    ToolRequest,
    Usage,
)
from trio_agent._log import writer as _writer
from trio_agent._log.feed import Feed
from trio_agent._log.log import Append, Appended, Entry
from trio_agent._log.run_info import RunRecord
from trio_agent._log.store import Store
from trio_agent._log.subscription import Subscription
from trio_agent._log.writer import RunLog, Writer
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore

FINISH = RunFinish(at=0, run=RunSummary("r", "", 1, "stop", Usage()))
CALL = ToolCall(at=0, tool=ToolRequest("1", "t", {}))


def delta(text: str = "x") -> AnyEvent:
    return TextDelta(at=0, delta=text)


class RecordingStore(FaultyStore):
    def __init__(self) -> None:
        self.memory = MemoryStore()
        super().__init__(self.memory)
        self.batches: list[tuple[float, list[tuple[str, int, int]]]] = []

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        offsets = [(append.run_id, append.first_offset, append.last_offset) for append in batch]
        self.batches.append((trio.current_time(), offsets))
        return await super().append(batch)


class Bench:
    def __init__(self, store: Store, *, patience: float, max_bytes: int = 1 << 26) -> None:
        self.store = store
        self.writer = Writer(store, patience=patience)
        self.max_bytes = max_bytes

    async def log(self, run_id: str) -> RunLog:
        record = RunRecord(run_id=run_id, epoch="e", agent="a", created_at=0)
        created = await self.store.create(record)
        assert created.lease is not None
        feed = Feed(run_id, "e")
        return RunLog(feed, self.store, created.lease, self.writer, max_bytes=self.max_bytes)


@asynccontextmanager
async def open_bench(store: Store, *, patience: float = 5, **options: int) -> AsyncIterator[Bench]:
    bench = Bench(store, patience=patience, **options)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.writer.run)
        yield bench
        bench.writer.close()


@pytest.fixture
def store() -> RecordingStore:
    return RecordingStore()


async def test_a_store_without_io_is_written_at_once() -> None:
    async with open_bench(MemoryStore()) as bench:
        log = await bench.log("r")
        log.append([delta(), delta()])
        assert log.feed.tail == 2
        log.append([FINISH])
        assert log.feed.closed
        await log.flush()
        await log.room()


async def test_deltas_wait_for_company(
    store: RecordingStore, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_bench(store) as bench:
        a, b = await bench.log("a"), await bench.log("b")
        begin = trio.current_time()
        a.append([delta()])
        await trio.sleep(0.003)
        a.append([delta(), delta()])
        b.append([delta()])
        assert (a.feed.tail, b.feed.tail) == (0, 0)
        await trio.sleep(0.003)
        assert (a.feed.tail, b.feed.tail) == (3, 1)
        [(at, batch)] = store.batches
        assert at - begin == pytest.approx(0.005)
        assert batch == [("a", 1, 3), ("b", 1, 1)]


@pytest.mark.parametrize("event", [CALL, FINISH])
async def test_what_must_be_known_goes_at_once(
    store: RecordingStore, event: AnyEvent, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_bench(store) as bench:
        log = await bench.log("r")
        begin = trio.current_time()
        log.append([delta()])
        log.append([event])
        await log.flush()
        assert trio.current_time() == begin
        assert [batch for _, batch in store.batches] == [[("r", 1, 2)]]
        assert log.feed.tail == 2


async def test_the_hurry_of_one_is_not_the_hurry_of_the_next(
    store: RecordingStore, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_bench(store) as bench:
        log = await bench.log("r")
        log.append([CALL])
        await log.flush()
        log.append([delta()])
        begin = trio.current_time()
        await trio.sleep(0.004)
        assert log.feed.tail == 1
        await log.flush()
        assert trio.current_time() == begin + 0.004


async def test_a_commit_takes_what_came_during_the_one_before(
    store: RecordingStore, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_bench(store) as bench:
        log = await bench.log("r")
        store.delay = 1
        log.append([CALL])
        await trio.sleep(0.5)
        log.append([delta()])
        log.append([CALL])
        await log.flush()
        assert [batch for _, batch in store.batches] == [[("r", 1, 1)], [("r", 2, 3)]]


async def test_backoff(store: RecordingStore, autojump_clock: trio.testing.MockClock) -> None:
    async with open_bench(store, patience=60) as bench:
        log = await bench.log("r")
        store.away.add("append")
        begin = trio.current_time()
        log.append([CALL])
        await trio.sleep(10)
        store.away.clear()
        await log.flush()
        waits = [at - begin for at, _ in store.batches]
        assert waits == pytest.approx(
            [0, 0.05, 0.15, 0.35, 0.75, 1.55, 3.15, 5.15, 7.15, 9.15, 11.15]
        )
        assert log.feed.tail == 1
        assert log.feed.failure is None


async def test_a_commit_whose_answer_was_lost_is_repeated(
    store: RecordingStore, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_bench(store) as bench:
        log = await bench.log("r")
        store.forgetful.add("append")
        log.append([CALL])
        await trio.sleep(0.01)
        store.forgetful.clear()
        log.append([delta()])
        await log.flush()
        assert (await store.info("r")).tail == log.feed.tail == 2


async def test_patience(store: RecordingStore, autojump_clock: trio.testing.MockClock) -> None:
    """Run and readers are told; the writer goes on; the log heals."""
    with trio.fail_after(100):
        async with open_bench(store, patience=3) as bench:
            log, behind = await bench.log("r"), await bench.log("behind")
            store.away.add("append")
            begin = trio.current_time()
            log.append([CALL])
            await trio.sleep(1)
            behind.append([delta()])
            for each in (log, behind):
                with Subscription(each.feed, store, 0) as events:
                    with pytest.raises(trio.BrokenResourceError):
                        await events.receive()
                    with pytest.raises(StoreUnavailable):
                        await each.flush()
                    with pytest.raises(StoreUnavailable):
                        await each.room()
                    # Each has waited for so long.
                    waited = trio.current_time() - begin - (1 if each is behind else 0)
                    assert 3 <= waited < 4
            log.append([FINISH])
            store.away.clear()
            await trio.sleep(3)
            for each, tail in ((log, 2), (behind, 1)):
                await each.flush()
                await each.room()
                assert each.feed.tail == tail
                assert each.feed.failure is None
            assert log.feed.closed


async def test_a_store_that_can_not_append_now_is_tried_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Full(MemoryStore):
        full = True

        def append_nowait(self, batch: Sequence[Append]) -> Sequence[Appended]:
            if self.full:
                raise StoreUnavailable("full")
            return super().append_nowait(batch)

    store = Full()
    async with open_bench(store) as bench:
        log = await bench.log("r")
        log.append([delta()])
        await trio.sleep(1)
        assert log.feed.tail == 0
        store.full = False
        await log.flush()
        assert log.feed.tail == 1


async def test_a_lost_fence(store: RecordingStore, autojump_clock: trio.testing.MockClock) -> None:
    async with open_bench(store) as bench:
        log = await bench.log("r")
        lost: list[bool] = []
        log.on_lost = lambda: lost.append(True)
        log.append([delta()])
        await log.flush()
        await store.release(log.lease)
        assert await store.claim("r") is not None
        log.append([CALL])
        with pytest.raises(FenceLost, match="the log is fenced"):
            await log.flush()
        assert lost == [True]
        log.append([FINISH])
        with pytest.raises(FenceLost):
            await log.room()
        with Subscription(log.feed, store, 1) as events, pytest.raises(trio.BrokenResourceError):
            await events.receive()
        assert (await store.info("r")).tail == 1


async def test_lost_while_a_commit_is_on_its_way(
    store: RecordingStore, autojump_clock: trio.testing.MockClock
) -> None:
    """Whatever comes of it, the log stays lost: nobody waits for what was thrown away."""
    with trio.fail_after(100):
        async with open_bench(store, patience=1) as bench:
            committed, stalled = await bench.log("c"), await bench.log("s")
            store.delay = 1
            committed.append([CALL])
            await trio.sleep(0.5)
            committed.append([delta()])
            committed.stop_as_lost()
            await trio.sleep(1)
            with pytest.raises(FenceLost, match="another worker"):
                await committed.flush()
            store.away.add("append")
            stalled.append([CALL])
            await trio.sleep(0.5)
            stalled.stop_as_lost()
            await trio.sleep(10)
            store.away.clear()
            with pytest.raises(FenceLost):
                await stalled.room()


async def test_a_log_that_is_closed_can_not_be_lost() -> None:
    async with open_bench(MemoryStore()) as bench:
        log = await bench.log("r")
        log.append([FINISH])
        log.stop_as_lost()
        await log.flush()


async def test_a_lost_log_does_not_hold_up_the_others(
    store: RecordingStore, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_bench(store) as bench:
        lost, log = await bench.log("lost"), await bench.log("r")
        lost.append([delta()])
        lost.stop_as_lost()
        log.append([CALL])
        await log.flush()
        assert [batch for _, batch in store.batches] == [[("r", 1, 1)]]
        lost.append([delta()])
        await trio.sleep(1)
        assert len(store.batches) == 1


async def test_an_empty_commit(
    store: RecordingStore, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_bench(store) as bench:
        log = await bench.log("r")
        bench.writer.lane("r").submit(log, hurry=True)
        await trio.sleep(1)
        assert not log.queued
        assert not store.batches


async def test_room(
    store: RecordingStore,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
) -> None:
    monkeypatch.setattr(_writer, "_BACKLOG", 100)
    async with open_bench(store) as bench:
        log = await bench.log("r")
        store.delay = 1
        begin = trio.current_time()
        log.append([delta("x" * 10)])
        await log.room()
        assert trio.current_time() == begin
        log.append([delta("x" * 100)])
        await log.room()
        assert trio.current_time() - begin == pytest.approx(1.005)
        assert log.feed.tail == 2


async def test_flushing_is_a_checkpoint_and_can_be_cancelled() -> None:
    async with open_bench(MemoryStore()) as bench:
        log = await bench.log("r")
        with trio.testing.assert_checkpoints():
            await log.flush()
        with trio.testing.assert_no_checkpoints():
            await log.room()
        with trio.CancelScope() as scope:
            scope.cancel()
            await log.flush()
        assert scope.cancelled_caught


async def test_bounds() -> None:
    async with open_bench(MemoryStore(), max_bytes=100) as bench:
        log = await bench.log("r")
        assert log.free == 100
        log.append([delta("x" * 20)], bounded=True)
        info = await bench.store.info("r")
        assert log.free == 100 - (info.size - info.record.size)
        with pytest.raises(LimitExceeded, match="its bound of 100 bytes"):
            log.append([delta("y"), delta("x" * 50)], bounded=True)
        assert log.feed.tail == 1
        log.append([delta("x" * 200)])
        assert log.feed.tail == 2
        assert log.free < 0


# What is private


async def test_what_is_private_is_beside_the_first_event() -> None:
    async with open_bench(MemoryStore()) as bench:
        log = await bench.log("r")
        log.append([delta()])
        log.append([CALL, CALL], private=b"[2]")
        log.append([CALL])
        assert await bench.store.read_private("r", [0, 1, 2, 3, 4]) == [b"", b"", b"[2]", b"", b""]
        info = await bench.store.info("r")
        assert log.free == bench.max_bytes - (info.size - info.record.size)


async def test_what_is_private_waits_with_its_event(
    store: RecordingStore, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_bench(store) as bench:
        log = await bench.log("r")
        for n in range(1, 4):
            log.append([delta()], private=b"[%d]" % n)
        entries = 3 * Append("r", 1, [Entry.of(1, delta())]).size
        assert log.uncommitted == entries + 9
        log.append([CALL])
        await log.flush()
        assert log.uncommitted == 0
        assert [batch for _, batch in store.batches] == [[("r", 1, 4)]]
        assert await store.read_private("r", [3, 2, 1, 4]) == [b"[3]", b"[2]", b"[1]", b""]
        log.append([CALL], private=b"[5]")
        await log.flush()
        assert await store.read_private("r", [5]) == [b"[5]"]


async def test_what_is_private_counts_as_backlog(
    store: RecordingStore,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
) -> None:
    monkeypatch.setattr(_writer, "_BACKLOG", 200)
    async with open_bench(store) as bench:
        log = await bench.log("r")
        log.append([delta()])
        assert log.has_room
        log.append([delta()], private=b"x" * 200)
        assert not log.has_room
        await log.room()
        assert log.feed.tail == 2


async def test_what_is_private_must_fit() -> None:
    async with open_bench(MemoryStore(), max_bytes=100) as bench:
        log = await bench.log("r")
        with pytest.raises(LimitExceeded, match="its bound of 100 bytes"):
            log.append([delta()], bounded=True, private=b"x" * 100)
        assert (log.free, log.feed.tail) == (100, 0)
        log.append([delta()], bounded=True, private=b"x" * 50)
        assert log.free == 100 - Append("r", 1, [Entry.of(1, delta())]).size - 50
        assert await bench.store.read_private("r", [1]) == [b"x" * 50]
        log.append([delta()], private=b"x" * 100)
        assert log.free < 0


@pytest.mark.parametrize("trouble", ["away", "forgetful"])
async def test_what_is_private_is_kept_over_repetitions(
    store: RecordingStore, trouble: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_bench(store) as bench:
        log = await bench.log("r")
        getattr(store, trouble).add("append")
        log.append([CALL], private=b"[1]")
        await trio.sleep(1)
        log.append([CALL], private=b"[2]")
        getattr(store, trouble).clear()
        await log.flush()
        assert await store.read_private("r", [1, 2]) == [b"[1]", b"[2]"]
        assert log.uncommitted == 0


async def test_a_lost_log_commits_nothing_private(
    store: RecordingStore, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_bench(store) as bench:
        log = await bench.log("r")
        store.delay = 1
        log.append([CALL], private=b"[1]")
        await trio.sleep(0.5)
        log.append([CALL], private=b"[2]")
        log.stop_as_lost()
        log.append([CALL], private=b"[3]")
        await trio.sleep(3)
        assert await store.read_private("r", [1, 2, 3]) == [b"[1]", b"", b""]


async def test_closing_writes_what_is_left(store: RecordingStore) -> None:
    # On the real clock: nothing here waits for the time to pass.
    async with open_bench(store) as bench:
        logs = [await bench.log(f"r{n}") for n in range(3)]
        for log in logs:
            log.append([delta()])
        bench.writer.close()
    assert [log.feed.tail for log in logs] == [1, 1, 1]
    assert len(store.batches) == 1


async def test_closing_when_the_store_comes_back(
    store: RecordingStore, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_bench(store, patience=0) as bench:
        log = await bench.log("r")
        store.away.add("append")
        log.append([CALL])
        await trio.sleep(1)
        log.append([FINISH])
        bench.writer.close()
        store.away.clear()
    assert log.feed.closed
    assert (await store.info("r")).tail == 2


class TurnStore(RecordingStore):
    """It tells which turns were written, beside which events."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[tuple[int, int, bytes]] = []

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        outcomes = await super().append(batch)
        self.turns += [(each.first_offset, each.last_offset, each.turn) for each in batch]
        return outcomes


def counted(log: RunLog, turn: bytes = b"[1]") -> list[bool]:
    """Let the log have a turn; returns when it was made."""
    made: list[bool] = []

    def make() -> bytes:
        made.append(True)
        return turn

    log.turn_of_run = make
    return made


async def test_a_turn_is_made_with_the_end() -> None:
    seen: list[bytes] = []

    class Nearby(MemoryStore):
        def append_nowait(self, batch: Sequence[Append]) -> Sequence[Appended]:
            seen.extend(each.turn for each in batch)
            return super().append_nowait(batch)

    async with open_bench(Nearby()) as bench:
        log = await bench.log("r")
        made = counted(log)
        log.append([delta()])
        assert (made, seen) == ([], [b""])
        log.append([delta(), FINISH])
        assert (made, seen) == ([True], [b"", b"[1]"])
        # It is no part of the run's size.
        info = await bench.store.info("r")
        assert log.free == bench.max_bytes - (info.size - info.record.size)


async def test_a_run_in_no_thread_has_none() -> None:
    store = TurnStore()
    async with open_bench(store) as bench:
        log = await bench.log("r")
        log.append([FINISH])
        await log.flush()
    assert store.turns == [(1, 1, b"")]


async def test_a_turn_waits_for_the_end_that_it_is_beside(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """However many commits it takes until then, and however often that one is tried."""
    store = TurnStore()
    long = "x" * (1 << 18)
    async with open_bench(store, patience=100) as bench:
        log = await bench.log("r")
        made = counted(log)
        store.away.add("append")
        for _ in range(12):
            log.append([delta(long)])
        log.append([FINISH])
        await trio.sleep(3)
        assert (made, store.turns) == ([True], [])
        store.away.clear()
        store.forgetful.add("append")
        await trio.sleep(3)
        store.forgetful.clear()
        await log.flush()
    assert len(store.turns) > 1
    assert [turn for _, last, turn in store.turns if last < 13] == [b""] * (len(store.turns) - 1)
    assert store.turns[-1][1:] == (13, b"[1]")
    assert made == [True]


async def test_a_turn_is_no_backlog(autojump_clock: trio.testing.MockClock) -> None:
    store = TurnStore()
    async with open_bench(store, max_bytes=2000) as bench:
        log = await bench.log("r")
        counted(log, b"[" + b"1" * (1 << 20) + b"]")
        store.delay = 1
        log.append([FINISH])
        assert log.has_room
        await log.flush()
        assert log.uncommitted == 0
    assert len(store.turns[-1][2]) == (1 << 20) + 2


async def test_a_lost_log_makes_no_turn(autojump_clock: trio.testing.MockClock) -> None:
    store = TurnStore()
    async with open_bench(store) as bench:
        log = await bench.log("r")
        made = counted(log)
        log.stop_as_lost()
        log.append([FINISH])
        assert made == []
    assert store.turns == []


@pytest.mark.parametrize("deltas", [0, 1, 5])
@pytest.mark.parametrize("how", ["away", "forgetful"])
async def test_a_turn_is_kept_over_repetitions(
    how: str, deltas: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Also where they come in pieces: it is beside the end, and beside nothing else."""
    store = TurnStore()
    async with open_bench(store, patience=100) as bench:
        log = await bench.log("r")
        counted(log)
        getattr(store, how).add("append")
        for _ in range(deltas):
            log.append([delta()])
        log.append([FINISH])
        await trio.sleep(1)
        getattr(store, how).clear()
        await log.flush()
    end = deltas + 1
    assert {(last == end, turn) for _, last, turn in store.turns} <= {(False, b""), (True, b"[1]")}
    assert store.turns[-1][1:] == (end, b"[1]")
