"""Whether the store would take a run, known before anybody asks."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from trio_agent import MemoryStore, StoreUnavailable
from trio_agent.servers._shared.store_watch import StoreWatch


class Checked(MemoryStore):
    """A store whose check does what the test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.act: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
        self.checks = 0

    async def check(self) -> None:
        self.checks += 1
        await self.act()


async def away() -> None:
    raise StoreUnavailable("/srv/runs.db: database is locked")


async def bug() -> None:
    raise ZeroDivisionError


async def stuck() -> None:
    """Hang like a thread, which can't be cancelled."""
    with trio.CancelScope(shield=True):
        await trio.sleep(100)


async def test_nobody_has_looked() -> None:
    assert StoreWatch(Checked()).problem is None


async def test_it_goes_and_comes_back(
    nursery: trio.Nursery, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    store = Checked()
    watch = StoreWatch(store)
    nursery.start_soon(watch.run)
    await trio.sleep(0.5)
    assert watch.problem is None
    store.act = away
    await trio.sleep(1)
    assert watch.problem == "/srv/runs.db: database is locked"
    await trio.sleep(5)
    store.act = trio.lowlevel.checkpoint
    await trio.sleep(1)
    assert watch.problem is None
    assert store.checks == 8  # once a second
    assert caplog.messages == [
        "not ready, the store is away: /srv/runs.db: database is locked",
        "the store is back",
    ]


@pytest.mark.parametrize("hang", [trio.sleep_forever, stuck])
async def test_it_does_not_answer(
    hang: Callable[[], Awaitable[None]], nursery: trio.Nursery, autojump_clock: object
) -> None:
    store = Checked()
    watch = StoreWatch(store)
    store.act = hang
    nursery.start_soon(watch.run)
    await trio.sleep(2.9)
    assert watch.problem is None
    await trio.sleep(0.2)
    assert watch.problem == "it has not answered for 3 s"
    await trio.sleep(1)
    assert watch.problem == "it has not answered for 3 s"
    store.act = trio.lowlevel.checkpoint
    await trio.sleep(110)
    assert watch.problem is None
    nursery.cancel_scope.cancel()


async def test_a_bug_in_it_is_no_readiness(
    nursery: trio.Nursery, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    store = Checked()
    watch = StoreWatch(store)
    store.act = bug
    nursery.start_soon(watch.run)
    await trio.sleep(5.5)
    assert watch.problem == "checking it failed by a bug"
    assert [record.exc_info is not None for record in caplog.records] == [True, False]
