"""Subscriptions: every event once and in order, live, late, and while the store is away."""

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from trio_agent._errors import CursorExpired, CursorInvalid, StoreUnavailable
from trio_agent._events import AnyEvent, RunFinish, RunSummary, TextDelta, Usage
from trio_agent._log import feed as _feed, subscription as _subscription
from trio_agent._log.cursor import Cursor
from trio_agent._log.feed import Feed
from trio_agent._log.log import Append, Entry
from trio_agent._log.run_info import RunRecord
from trio_agent._log.subscription import Subscription, SubscriptionStatistics, resolve_cursor
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore

FINISH = RunFinish(at=0, run=RunSummary("r", "", 1, "stop", Usage()))


def delta(n: int) -> TextDelta:
    return TextDelta(at=0, delta=str(n))


class Log:
    """A log in a store, and its feed, without the run that writes it."""

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.store = FaultyStore(self.memory)
        self.feed = Feed("r", "e")

    async def create(self) -> "Log":
        await self.memory.create(RunRecord(run_id="r", epoch="e", agent="a", created_at=0))
        return self

    def add(self, *entries: Entry) -> None:
        self.memory.append_nowait([Append("r", 1, entries)])
        self.feed.extend(entries)

    def deltas(self, first: int, last: int) -> None:
        self.add(*(Entry.of(n, delta(n)) for n in range(first, last + 1)))

    def finish(self) -> None:
        self.add(Entry.of(self.feed.tail + 1, FINISH))

    def subscribe(self, after: int = 0) -> Subscription:
        return Subscription(self.feed, self.store, after)


@pytest.fixture
async def log() -> Log:
    return await Log().create()


async def test_replay_then_live_then_the_end(log: Log) -> None:
    log.deltas(1, 2)
    seen: list[AnyEvent] = []

    async def follow() -> None:
        async with log.subscribe() as events:
            seen.extend([event async for event in events])
            with pytest.raises(trio.EndOfChannel):
                await events.receive()
            with pytest.raises(trio.EndOfChannel):
                await events.receive_batch()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
        assert seen == []
        log.deltas(3, 4)
        await trio.testing.wait_all_tasks_blocked()
        log.finish()
    assert seen == [*(delta(n) for n in range(1, 5)), FINISH]
    assert not log.store.calls


async def test_everything_pending_at_once(log: Log) -> None:
    log.deltas(1, 3)
    async with log.subscribe(after=1) as events:
        assert await events.receive_batch() == [delta(2), delta(3)]
        log.deltas(4, 5)
        assert await events.receive() == delta(4)
        log.deltas(6, 6)
        assert [entry.offset for entry in await events.receive_entries()] == [5]
        assert [entry.offset for entry in await events.receive_entries()] == [6]


async def test_frames_are_shared(log: Log) -> None:
    made: list[int] = []

    def frame(run_id: str, epoch: str, entries: Sequence[Entry]) -> bytes:
        made.append(len(entries))
        return f"{run_id} {epoch} {len(entries)}".encode()

    log.deltas(1, 3)
    with log.subscribe() as one, log.subscribe() as two:
        assert await one.receive_frames(frame) == b"r e 3"
        assert await two.receive_frames(frame) == b"r e 3"
    assert made == [3]
    assert log.feed.viewers == 0


async def test_cursor_and_statistics(log: Log) -> None:
    log.deltas(1, 5)
    async with log.subscribe(after=2) as events:
        assert events.cursor == Cursor("r", "e", 2)
        assert events.statistics() == SubscriptionStatistics(Cursor("r", "e", 2), 3)
        await events.receive()
        assert events.statistics() == SubscriptionStatistics(Cursor("r", "e", 3), 2)
        await events.receive()
        await events.receive()
        assert events.statistics() == SubscriptionStatistics(Cursor("r", "e", 5), 0)


async def test_who_is_behind_the_window_reads_from_the_store(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_feed, "_WINDOW", 4)
    monkeypatch.setattr(_subscription, "_PAGE", 3)
    log.deltas(1, 20)
    log.finish()
    async with log.subscribe() as events:
        assert [event async for event in events] == [*(delta(n) for n in range(1, 21)), FINISH]
    assert log.store.calls["read"] > 3


async def test_unknown_types_are_skipped(log: Log) -> None:
    unknown = [Entry(n, b'{"type":"of-tomorrow"}', False) for n in (1, 2)]
    log.add(unknown[0])
    log.add(unknown[1], Entry.of(3, delta(3)))
    async with log.subscribe() as events:
        assert await events.receive() == delta(3)
    async with log.subscribe() as events:
        assert len(await events.receive_entries()) == 3
    only_unknown = await Log().create()
    only_unknown.add(*unknown)
    async with only_unknown.subscribe() as events, trio.open_nursery() as nursery:

        async def receive_batch() -> None:
            assert await events.receive_batch() == [delta(3)]
            assert events.cursor.offset == 3

        nursery.start_soon(receive_batch)
        await trio.testing.wait_all_tasks_blocked()
        only_unknown.deltas(3, 3)


@pytest.mark.parametrize("after", [0, 3])
async def test_cancelling_takes_nothing(log: Log, after: int) -> None:
    log.deltas(1, 3)
    async with log.subscribe(after=after) as events:
        for receive in (events.receive, events.receive_batch, events.receive_entries):
            with trio.CancelScope() as scope:
                scope.cancel()
                await receive()
            assert scope.cancelled_caught
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    if after == 3:
                        nursery.start_soon(receive)
                        await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
            assert events.cursor.offset == after


async def test_cancelling_a_read_takes_nothing(log: Log) -> None:
    log.feed = Feed("r", "e", tail=2)
    log.memory.append_nowait([Append("r", 1, [Entry.of(n, delta(n)) for n in (1, 2)])])
    with log.subscribe() as events:
        with trio.CancelScope() as scope:
            scope.cancel()
            await events.receive()
        assert events.cursor.offset == 0
        assert await events.receive_batch() == [delta(1), delta(2)]


async def test_receiving_is_a_checkpoint(log: Log) -> None:
    log.deltas(1, 9)
    async with log.subscribe() as events:
        for receive in (events.receive, events.receive, events.receive_entries):
            with trio.testing.assert_checkpoints():
                await receive()


async def test_one_task_at_a_time(log: Log) -> None:
    async with log.subscribe() as events, trio.open_nursery() as nursery:

        async def receive() -> None:
            assert await events.receive() == delta(1)

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        for second in (events.receive, events.receive_batch, events.receive_entries):
            with pytest.raises(trio.BusyResourceError):
                await second()
        log.deltas(1, 1)


async def test_closing(log: Log) -> None:
    events = log.subscribe()
    neighbour = log.subscribe()
    assert log.feed.viewers == 2

    told = trio.Event()

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await events.receive()
        told.set()

    async def wait(subscription: Subscription) -> None:
        assert await subscription.receive() == delta(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        nursery.start_soon(wait, neighbour)
        await trio.testing.wait_all_tasks_blocked()
        await events.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert told.is_set()
        log.deltas(1, 1)
    with pytest.raises(trio.ClosedResourceError):
        await events.receive()
    await events.aclose()
    events.close()
    assert log.feed.viewers == 1


async def test_a_feed_that_broke_off(log: Log) -> None:
    log.deltas(1, 1)
    async with log.subscribe() as events:
        failure = StoreUnavailable("away")
        log.feed.break_off(failure)
        assert await events.receive() == delta(1)
        with pytest.raises(trio.BrokenResourceError, match="can't be continued") as caught:
            await events.receive()
        assert caught.value.__cause__ is failure
        log.finish()
        assert await events.receive() == FINISH


async def test_a_store_that_is_away(log: Log) -> None:
    log.feed = Feed("r", "e", tail=1)
    log.store.away.add("read")
    async with log.subscribe() as events:
        with pytest.raises(trio.BrokenResourceError, match="can't be read") as caught:
            await events.receive()
        assert isinstance(caught.value.__cause__, StoreUnavailable)


async def test_a_store_that_lost_the_end(log: Log) -> None:
    log.feed = Feed("r", "e", tail=1)
    async with log.subscribe() as events:
        with pytest.raises(trio.BrokenResourceError, match="lost the end"):
            await events.receive()


@pytest.mark.parametrize("known_for_a_while", [True, False])
async def test_a_log_that_was_removed(
    log: Log, known_for_a_while: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not known_for_a_while:
        monkeypatch.setattr("trio_agent.stores._memory._TOMBSTONES", 0)
    log.finish()
    await log.memory.delete("r")
    log.feed = Feed("r", "e", tail=1, closed=True)
    async with log.subscribe() as events:
        with pytest.raises(CursorExpired):
            await events.receive()


async def test_a_thousand_subscribers(log: Log) -> None:
    """Each sees everything, whatever its pace; a burst costs each of them one wake-up."""
    batches: list[int] = []

    async def follow(pace: int) -> None:
        seen: list[AnyEvent] = []
        async with log.subscribe() as events:
            while not seen or seen[-1] is not FINISH:
                batch = await events.receive_batch()
                batches.append(len(batch))
                seen += batch
                for _ in range(pace):
                    await trio.lowlevel.checkpoint()
        assert seen == [*(delta(n) for n in range(1, 301)), FINISH]

    async with trio.open_nursery() as nursery:
        for n in range(1000):
            nursery.start_soon(follow, n % 3)
        for burst in range(3):
            await trio.testing.wait_all_tasks_blocked()
            log.deltas(1 + 100 * burst, 100 + 100 * burst)
        await trio.testing.wait_all_tasks_blocked()
        log.finish()
    assert log.feed.viewers == 0
    assert len(batches) == 4000


@pytest.mark.parametrize("after", [Cursor("r", "e", 2), "r.e.2", 2])
def test_resolve(after: Cursor | str | int) -> None:
    assert resolve_cursor(Feed("r", "e", tail=2), after) == 2


@pytest.mark.parametrize(
    ("after", "error", "match"),
    [
        ("r.e", CursorInvalid, "not a cursor"),
        (-1, CursorInvalid, "a position is 0"),
        ("s.e.0", CursorInvalid, "another run"),
        ("r.f.0", CursorExpired, "before the log was lost"),
        ("r.e.3", CursorExpired, "beyond the end"),
        (3, CursorExpired, "beyond the end"),
    ],
)
def test_resolve_refuses(after: str | int, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        resolve_cursor(Feed("r", "e", tail=2), after)
