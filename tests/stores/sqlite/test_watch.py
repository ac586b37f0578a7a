"""Looking for what other processes change, as seldom and as exactly as needed."""

import math
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio
import trio.testing
from sqlite_kit import opened
from store_kit import deltas, heard, record

from trio_agent._errors import StoreUnavailable
from trio_agent._log.store import Lease, Watch
from trio_agent.stores.sqlite._acts import Mark, poll_changes
from trio_agent.stores.sqlite._watch import PolledWatch

Answer: TypeAlias = tuple[int, dict[str, Mark | None] | None] | Exception


class Looks:
    """A connection on which looks see what the test says, and then nothing new any more."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = iter(answers)
        self.seen: list[int | None] = []

    async def read(self, act: object, seen: int | None, run_ids: Sequence[str]) -> Any:
        assert act is poll_changes
        self.seen.append(seen)
        await trio.lowlevel.checkpoint()
        answer = next(self._answers, (seen, None))
        if isinstance(answer, Exception):
            raise answer
        return answer


async def news(watch: Watch) -> list[str]:
    """All there is within a minute, which passes at once."""
    told = []
    with trio.move_on_after(60):
        while True:
            told.append(await watch.receive())
    return told


@pytest.mark.parametrize(
    ("before", "after", "with_log", "without_log"),
    [
        ((3, 7), (3, 7), False, False),
        ((3, 7), (3, 8), True, False),
        ((3, 7), (4, 7), True, True),
        ((3, 7), (4, 8), True, True),
        ((3, 7), None, True, True),
        (None, (0, 0), True, True),
        (None, None, False, False),
    ],
    ids=["same", "longer", "news", "longer and news", "removed", "created", "still unknown"],
)
async def test_what_a_look_tells(
    before: Mark | None,
    after: Mark | None,
    with_log: bool,
    without_log: bool,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
) -> None:
    watch = PolledWatch()
    watch.add("log")
    watch.add("no log", log=False)
    marks: list[dict[str, Mark | None]] = [
        {"log": each, "no log": each} for each in (before, after)
    ]
    looks: Any = Looks((1, marks[0]), (2, marks[1]))
    nursery.start_soon(watch.poll, looks, 0)
    # Each is told when it is added and when it is looked at for the first time.
    first = [await watch.receive() for _ in range(4)]
    assert first == ["log", "no log"] * 2
    assert await news(watch) == ["log"] * with_log + ["no log"] * without_log


async def test_a_look_begins_where_the_last_one_ended(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    watch = PolledWatch()
    watch.add("a")
    marks: dict[str, Mark | None] = {"a": (0, 0)}
    looks: Any = Looks((5, marks), (5, None), StoreUnavailable("away"), (6, marks))
    nursery.start_soon(watch.poll, looks, 4)
    assert await news(watch) == ["a"] * 3
    assert looks.seen[:5] == [4, 5, 5, None, 6]


# In a store


async def test_a_watch_tells_what_others_did(path: Path) -> None:
    """What kind of news it is, too: the growing of a log is none where nobody wants it."""
    async with opened(path) as store, opened(path, follow=True) as follower:
        for run_id in ("a", "b"):
            await store.create(record(run_id))
        async with follower.watch() as watch:
            watch.add("a")
            watch.add("b", log=False)
            await store.append([deltas("a", 1), deltas("b", 1)])
            for run_id in ("a", "b"):  # The first looks, after which it can be told apart.
                await heard(watch, run_id)
            while not await quiet(watch):
                pass
            await store.append([deltas("b", 2)])
            await store.append([deltas("a", 2)])
            with trio.fail_after(60):
                assert await watch.receive() == "a"
            assert await quiet(watch)
            await store.release(Lease("b", 1))
            with trio.fail_after(60):
                assert await watch.receive() == "b"


async def quiet(watch: Watch) -> bool:
    """Whether there is no news for two looks."""
    with trio.move_on_after(0.12):
        await watch.receive()
        return False
    return True


async def test_a_watch_after_trouble_tells_everything(path: Path) -> None:
    async with opened(path) as store, opened(path, follow=True) as follower:
        for run_id in ("a", "b"):
            await store.create(record(run_id))
        async with follower.watch() as watch:
            for run_id in ("a", "b"):
                watch.add(run_id)
                await heard(watch, run_id)
            db = sqlite3.connect(path)
            db.execute("ALTER TABLE runs RENAME TO away")
            with pytest.raises(StoreUnavailable, match="no such table: runs"):
                await follower.info("a")
            assert await quiet(watch)
            db.execute("ALTER TABLE away RENAME TO runs")
            db.close()
            with trio.fail_after(60):
                assert {await watch.receive(), await watch.receive()} == {"a", "b"}


async def test_nothing_is_polled_while_nothing_is_watched(path: Path) -> None:
    def timers() -> float:
        return trio.lowlevel.current_statistics().seconds_to_next_deadline

    async with opened(path) as store, store.watch() as watch:
        await store.create(record("a"))
        await trio.testing.wait_all_tasks_blocked()
        assert timers() == math.inf
        watch.add("a")
        await trio.testing.wait_all_tasks_blocked()
        assert timers() < 1
        watch.discard("a")
        with trio.fail_after(60):
            while timers() < 10:
                await trio.testing.wait_all_tasks_blocked(0.01)
