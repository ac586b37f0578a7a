"""What a tool says of how far it is."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from trio_agent._errors import StoreUnavailable
from trio_agent._events import AnyEvent, ToolName, ToolProgress
from trio_agent._run.progress import Progress

CALL = ToolName("1", "t")


class Log:
    """Takes progress; `full` of what is told to be there."""

    def __init__(self, free: int = 1000) -> None:
        self.free = free
        self.has_room = True
        self.data: list[Any] = []
        self.behind = trio.Event()
        self.behind.set()
        self.failure: StoreUnavailable | None = None

    def append(
        self, events: Sequence[AnyEvent], *, bounded: bool = False, private: bytes = b""
    ) -> None:
        assert not bounded
        assert not private
        for event in events:
            assert isinstance(event, ToolProgress)
            assert event.tool == CALL
            self.data.append(event.data)

    async def room(self) -> None:
        await self.behind.wait()
        if self.failure is not None:
            raise self.failure

    async def flush(self) -> None:
        await trio.lowlevel.checkpoint()


async def settled() -> None:
    for _ in range(3):
        await trio.testing.wait_all_tasks_blocked()


async def test_the_latest_counts() -> None:
    log = Log()
    async with trio.open_nursery() as nursery:
        progress = Progress(CALL, log, nursery, least=150)
        for number in range(5):
            progress(number)
        await settled()
        assert log.data == [4]
        progress({"done": (1, 2)})
        await settled()
    assert log.data == [4, {"done": [1, 2]}]


async def test_while_the_store_is_behind() -> None:
    log = Log()
    log.behind = trio.Event()
    async with trio.open_nursery() as nursery:
        progress = Progress(CALL, log, nursery, least=150)
        progress(1)
        await settled()
        progress(2)
        await settled()
        assert log.data == []
        log.behind.set()
    assert log.data == [2]


async def test_from_a_thread_that_trio_has_not_started() -> None:
    log = Log()
    async with trio.open_nursery() as nursery:
        progress = Progress(CALL, log, nursery, least=150)
        thread = threading.Thread(target=progress, args=("done",))
        thread.start()
        thread.join()
        await settled()
    assert log.data == ["done"]


async def test_behind_the_result_nothing_is_told() -> None:
    log = Log()
    log.behind = trio.Event()
    async with trio.open_nursery() as nursery:
        progress = Progress(CALL, log, nursery, least=150)
        progress(1)
        await settled()
        progress.close()
        log.behind.set()
        await settled()
        progress(2)
        await settled()
    assert log.data == []


def test_behind_the_end_of_trio_nothing_is_told() -> None:
    made: list[Progress] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            made.append(Progress(CALL, Log(), nursery, least=150))

    trio.run(main)
    made[0](1)


async def test_room_is_left_to_others() -> None:
    log = Log(free=300)
    async with trio.open_nursery() as nursery:
        progress = Progress(CALL, log, nursery, least=150)
        log.free = 240
        progress("fits")
        await settled()
        log.free = 200
        progress("x" * 100)
        await settled()
    assert log.data == ["fits"]


async def test_a_store_that_is_away_ends_nothing_here() -> None:
    log = Log()
    log.failure = StoreUnavailable("away")
    async with trio.open_nursery() as nursery:
        Progress(CALL, log, nursery, least=150)(1)
        await settled()
    assert log.data == []


@pytest.mark.parametrize("data", [object(), float("nan"), {1: 2}, "\ud800", 2**60])
async def test_what_is_no_json(data: Any) -> None:
    async with trio.open_nursery() as nursery:
        progress = Progress(CALL, Log(), nursery, least=150)
        with pytest.raises(ValueError, match=r"^progress "):
            progress(data)


@pytest.mark.parametrize(("has_room", "told"), [(True, [2]), (False, [])])
async def test_what_was_told_last_stands_before_the_result(has_room: bool, told: list[int]) -> None:
    log = Log()
    log.has_room = has_room
    async with trio.open_nursery() as nursery:
        progress = Progress(CALL, log, nursery, least=150)
        progress(1)
        progress(2)
        progress.flush()
        progress.flush()
        progress.close()
        await settled()
    assert log.data == told
