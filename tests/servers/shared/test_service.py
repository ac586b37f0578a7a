"""What the servers offer, whatever the wire."""

import pytest
import trio
import trio.testing
from server_kit import StepModel, endless

from trio_agent import (
    Agent,
    CancelAfter,
    CursorExpired,
    KeyReused,
    MemoryStore,
    Principal,
    StoreUnavailable,
    UnknownRun,
    open_runtime,
)
from trio_agent.servers import Service
from trio_agent.servers._shared.problem import STORE_AWAY, Problem
from trio_agent.servers._shared.service import Obstacle
from trio_agent.servers._shared.start import Start


async def test_agents() -> None:
    one, two = (Agent(name=name, model=StepModel()) for name in ("one", "two"))
    async with open_runtime() as runtime:
        assert list(Service(runtime, [one, two]).agents) == ["one", "two"]
        with pytest.raises(ValueError, match="at least one"):
            Service(runtime, [])
        with pytest.raises(ValueError, match="same name"):
            Service(runtime, [one, one])
        with pytest.raises(ValueError, match=r"^there is no limit 'steps'"):
            Service(runtime, [one], allow_limits=["steps"])


async def test_what_was_said_is_for_its_owner(autojump_clock: object) -> None:
    async with open_runtime() as runtime:
        service = Service(runtime, [Agent(model=endless("x"))])
        run = await service.start(Principal("alice"), Start(prompt="x"))
        await run.wait()
        for caller in ("alice", Principal("alice", {"a": 1}), None):
            page = await service.messages(caller, run.id, 0)
            assert [message.content for message in page.messages] == ["x", "x"]
        for stranger in ("bob", Principal("bob")):
            with pytest.raises(UnknownRun):
                await service.messages(stranger, run.id, 0)


async def test_who_is_nobody_in_particular_sees_all(autojump_clock: object) -> None:
    async with open_runtime() as runtime:
        service = Service(runtime, [Agent(model=endless("x"))])
        run = await service.start("alice", Start(prompt="x"))
        await run.wait()
        for owner in ("alice", None):
            assert (await service.info(owner, run.id)).record.run_id == run.id
            assert await service.run(owner, run.id) is run
            [info] = await service.infos(owner, None, 10)
            assert info.record.run_id == run.id
        for act in (
            service.info("bob", run.id),
            service.run("bob", run.id),
            service.infos("bob", run.id, 10),
            service.cancel("bob", run.id),
            service.delete("bob", run.id),
        ):
            with pytest.raises(UnknownRun):
                await act
        assert await service.infos("bob", None, 10) == []
        assert (await service.cancel("alice", run.id) or {})["outcome"] == "stop"
        await service.delete("alice", run.id)


async def test_whose_a_removed_run_was_is_forgotten(autojump_clock: object) -> None:
    """So that nobody learns of other people's runs by it."""
    async with open_runtime() as runtime:
        service = Service(runtime, [Agent(model=endless("x"))])
        run = await service.start("alice", Start(prompt="x"))
        await run.wait()
        await service.delete("alice", run.id)
        for owner, error in (("alice", UnknownRun), ("bob", UnknownRun), (None, CursorExpired)):
            for act in (
                service.info(owner, run.id),
                service.run(owner, run.id),
                service.infos(owner, run.id, 10),
                service.cancel(owner, run.id),
                service.delete(owner, run.id),
            ):
                with pytest.raises(error):
                    await act


async def test_key_of_another_request(autojump_clock: object) -> None:
    async with open_runtime() as runtime:
        service = Service(runtime, [Agent(model=endless("x"))])

        async def start(*args: object, **kwargs: object) -> None:
            raise KeyReused("the key belongs to another request")

        runtime.start = start  # type: ignore[assignment, method-assign]
        with pytest.raises(KeyReused):
            await service.start(None, Start(prompt="x"), key="k")


async def test_obstacles(nursery: trio.Nursery, autojump_clock: object) -> None:
    class Away(MemoryStore):
        async def check(self) -> None:
            raise StoreUnavailable("/srv/runs.db is locked")

    model: str | None = None
    async with open_runtime(store=Away()) as runtime:
        service = Service(runtime, [Agent(model=StepModel())], not_ready=lambda: model)
        assert service.obstacle() is None
        model = "connect: 192.0.2.1 refuses"
        assert service.obstacle() == Obstacle("not-ready", "a model can't be reached", model)
        nursery.start_soon(service.watch_store)
        await trio.testing.wait_all_tasks_blocked()
        expected = Obstacle("store-unavailable", STORE_AWAY, "/srv/runs.db is locked")
        assert service.obstacle() == expected
        await runtime.drain(0)
        assert service.obstacle() == Obstacle("draining", "the server is shutting down")


async def test_policies(autojump_clock: object) -> None:
    async with open_runtime() as runtime:
        service = Service(runtime, [Agent(model=StepModel())], on_disconnect=CancelAfter(5))
        run = await service.start(None, Start(prompt="x"))
        assert (await run.wait()).finish_reason == "cancelled"
        assert trio.current_time() == 5
        run = await service.start(None, Start(prompt="x", on_disconnect=2))
        await run.wait()
        assert trio.current_time() == 7


async def test_run_that_lives_no_more(autojump_clock: object) -> None:
    store = MemoryStore()
    agent = Agent(model=endless("x"))
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(agent, "x")
        await run.wait()
    async with open_runtime(store=store) as runtime:
        service = Service(runtime, [agent])
        assert (await service.run(None, run.id)).status == "stop"
        assert (await service.cancel(None, run.id) or {})["outcome"] == "stop"


async def test_bound_on_metadata(autojump_clock: object) -> None:
    async with open_runtime() as runtime:
        service = Service(runtime, [Agent(model=endless("x"))])
        size = 16384 - len(b'{"x":""}')
        await service.start(None, Start(prompt="x", metadata={"x": "y" * size}))
        with pytest.raises(Problem, match="16384 bytes"):
            await service.start(None, Start(prompt="x", metadata={"x": "y" * (size + 1)}))
