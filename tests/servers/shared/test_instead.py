"""Starting a run instead of the one that is active in its thread."""

from typing import Any

import pytest
import trio
import trio.testing
from server_kit import endless

from trio_agent import Agent, LimitExceeded, MemoryStore, RuntimeLimits, ThreadBusy, open_runtime
from trio_agent.abc import Created, Model, ModelFinish, RunRecord
from trio_agent.servers import Service
from trio_agent.servers._shared.start import Start

OLD = Start(prompt="x", agent="stubborn", thread="tea")
NEW = Start(prompt="y", agent="quick", thread="tea", on_busy="cancel")


class Stubborn(Model):
    """Is gone some seconds after it was cancelled."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def generate(self, request: object, emit: object) -> ModelFinish:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self._seconds)
        raise AssertionError


def agents(seconds: float) -> list[Agent[Any]]:
    """One whose runs take so many seconds to go, and one that answers at once."""
    stubborn = Agent(name="stubborn", model=Stubborn(seconds))
    return [stubborn, Agent(name="quick", model=endless("x"))]


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("places", [1, 2])
async def test_a_run_that_takes_long_to_end(
    places: int, key: str | None, autojump_clock: object
) -> None:
    """Who waits for it is told in time, also if it has the last place, and may ask again."""
    async with open_runtime(limits=RuntimeLimits(max_streams=places)) as runtime:
        service = Service(runtime, agents(50))
        old = await service.start(None, OLD)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ThreadBusy) as caught:
            await service.start(None, NEW, key=key)
        assert (caught.value.thread, caught.value.run_id) == ("tea", old.id)
        assert trio.current_time() == 30
        assert [run.id for run in (await runtime.runs()).runs] == [old.id]
        new = await service.start(None, NEW, key=key)
        assert trio.current_time() == 50
        assert old.status == "cancelled"
        await new.wait()


async def test_a_place_that_another_thread_has(autojump_clock: object) -> None:
    """There is no room for it, whatever is in its thread."""
    async with open_runtime(limits=RuntimeLimits(max_streams=1)) as runtime:
        service = Service(runtime, agents(50))
        old = await service.start(None, OLD)
        with pytest.raises(LimitExceeded):
            await service.start(None, Start(prompt="y", thread="another", on_busy="cancel"))
        assert (trio.current_time(), old.status) == (0, "active")
        await old.cancel()


class Slow(MemoryStore):
    """Tells of the run of an agent that it is created when nobody waits for that any more."""

    def __init__(self) -> None:
        super().__init__()
        self.created: list[str] = []

    async def create(self, record: RunRecord) -> Created:
        created = await super().create(record)
        if record.agent == "quick":
            self.created.append(record.run_id)
            if len(self.created) == 1:
                await trio.sleep_forever()
        return created


@pytest.mark.parametrize("key", ["k", None])
async def test_one_that_was_started_in_the_last_moment(
    key: str | None, autojump_clock: object
) -> None:
    """It is found by its key; without one it does not stay in the way."""
    store, known = Slow(), agents(29)
    async with open_runtime(store=store, agents=known) as runtime:
        service = Service(runtime, known)
        old = await service.start(None, OLD)
        await trio.testing.wait_all_tasks_blocked()
        new = await service.start(None, NEW, key=key)
        assert trio.current_time() == 30
        assert old.status == "cancelled"
        first, *others = store.created
        assert [new.id] == (others if key is None else [first])
        assert (await service.start(None, NEW, key=key)).id == new.id or key is None
        statuses = {run.id: run.status for run in (await runtime.runs()).runs}
        assert key is not None or statuses[first] == "cancelled"


async def test_nothing_is_waited_for_where_nothing_is_to_be_cancelled(
    autojump_clock: object,
) -> None:
    async with open_runtime() as runtime:
        service = Service(runtime, agents(50))
        old = await service.start(None, OLD)
        with pytest.raises(ThreadBusy) as caught:
            await service.start(None, Start(prompt="y", thread="tea"))
        assert caught.value.run_id == old.id
        assert (trio.current_time(), old.status) == (0, "active")
        await old.cancel()
