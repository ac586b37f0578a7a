"""Nothing is left behind: no task, no socket, and no more memory than was asked for."""

import gc
import itertools
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from server_kit import endless, live_tasks, open_server, settled
from thorough_kit import rounds

from trio_agent._agent import Agent
from trio_agent._limits import Retention, RuntimeLimits
from trio_agent._log.log import Log
from trio_agent._log.subscription import Subscription
from trio_agent._run.live_run import LiveRun
from trio_agent._run.run import Run
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.models import FallbackModel, OpenAIModel
from trio_agent.models._model import Model
from trio_agent.stores._memory import MemoryStoreStatistics
from trio_agent.testing.openai import finish, open_scripted_openai, text

KEPT = 50


def few() -> RuntimeLimits:
    return RuntimeLimits(max_streams=2000, retention=Retention(max_runs=KEPT))


def count(*classes: type) -> list[int]:
    gc.collect()
    found = Counter(map(type, gc.get_objects()))
    return [found[cls] for cls in classes]


async def watch_one(runtime: Runtime, agent: Agent) -> None:
    run = await runtime.start(agent, "hi")
    with run.subscribe() as events:
        last = [event async for event in events][-1]
    assert last.terminal


async def test_thousands_of_runs_one_after_the_other() -> None:
    agent = Agent(model=endless("a", "b"))
    async with open_runtime(limits=few()) as runtime:
        for _ in range(200):
            await watch_one(runtime, agent)
        tasks = await live_tasks()
        runs, logs, subscriptions = count(LiveRun, Log, Subscription)
        assert logs >= KEPT  # other tests may have left some
        for _ in range(rounds(1_800, thorough=9_800)):
            await watch_one(runtime, agent)
        assert await live_tasks() == tasks
        now = count(LiveRun, Log, Subscription)
        assert now[0] <= runs + 2
        assert now[1] <= logs + 2
        assert now[2] <= subscriptions + 2
        assert runtime.statistics().retained == KEPT
        assert runtime.store.statistics().runs == KEPT  # type: ignore[attr-defined]


async def test_the_bytes_of_a_thousand_runs() -> None:
    """What grows is what a removed run is remembered by, for a while: some hundred bytes."""
    agent = Agent(model=endless("x" * 1000))
    async with open_runtime(limits=few()) as runtime:
        for _ in range(300):
            await watch_one(runtime, agent)
        tracemalloc.start()
        try:
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(1000):
                await watch_one(runtime, agent)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert after - before < 1000 * 500 + KEPT * 20_000


async def test_a_thousand_runs_at_once() -> None:
    agent = Agent(model=endless("a", "b"))
    async with open_runtime(limits=few()) as runtime:
        await watch_one(runtime, agent)
        tasks = await live_tasks()
        async with trio.open_nursery() as nursery:
            for _ in range(1000):
                nursery.start_soon(watch_one, runtime, agent)
        assert runtime.statistics().active == 0
        assert await live_tasks() <= tasks + KEPT
        runs: list[Run] = []
        for _ in range(1000):
            runs.append(await runtime.start(agent, "hi"))  # noqa: PERF401
        async with trio.open_nursery() as nursery:
            for run in runs:
                nursery.start_soon(run.cancel)
        await trio.testing.wait_all_tasks_blocked()
        assert runtime.statistics().viewers == 0
        statistics = runtime.store.statistics()  # type: ignore[attr-defined]
        assert isinstance(statistics, MemoryStoreStatistics)
        assert statistics.runs == statistics.finished == KEPT
        assert await live_tasks() <= tasks + KEPT


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_five_hundred_runs_over_http() -> None:
    async with open_server(endless("a", "b"), limits=few(), seconds=30.0) as server:

        async def ask(times: int) -> None:
            for n in range(times):
                answer = await server.request("GET", "/stream?prompt=x")
                assert (answer.status, answer.complete) == (200, True)
                if n % 5 == 0:
                    async with await server.connect() as leaving:
                        await leaving.watch("/stream?prompt=y")

        async def settle() -> None:
            while server.runtime.statistics().active or server.runtime.statistics().viewers:
                await trio.testing.wait_all_tasks_blocked()

        await ask(KEPT)
        await settle()
        tasks, files = await live_tasks(), open_files()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask, 100)
        await settle()
        await settled(server, tasks=tasks)
        assert open_files() <= files


@pytest.mark.parametrize(
    ("make", "models"),
    [
        (lambda: "gpt-4o-mini", 1),
        (lambda: FallbackModel("gpt-4o-mini", "gpt-4o"), 1),
        (lambda: OpenAIModel("gpt-4o-mini"), 350),
    ],
    ids=["a name", "a fallback of names", "a model made on the spot"],
)
async def test_short_runs_of_agents_made_on_the_spot_share_their_connections(
    make: Callable[[], Model | str], models: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = [text("Hi"), finish()]
    async with open_scripted_openai(itertools.repeat(answer)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        before = open_files()
        async with open_runtime() as runtime:
            left = iter(range(350))

            async def work() -> None:
                for _ in left:
                    run = await runtime.start(Agent(model=make()), "hi")
                    assert (await run.wait()).text == "Hi"

            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(work)
            assert len(server.requests) == 350
            assert server.connections <= 12
            assert open_files() - before <= 2 * 12  # both ends are here
            assert len(runtime._models._entries) == models
        with trio.fail_after(60):
            while open_files() > before:
                await trio.testing.wait_all_tasks_blocked(0.001)
