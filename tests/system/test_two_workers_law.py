"""The law of two workers: whatever becomes of one of them, a run is what it would be with one.

Two servers have one store. At each act of the store the first one dies, or falls asleep for longer
than its leases hold, before the act is done or behind it. Then: one event for each delivery, no
effect twice, one end, and nothing that was said lies unread.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import pytest
import trio
import trio.testing
from crash_kit import moment, of, server
from log_kit import check_log
from runtime_kit import collect, logged
from shared_kit import LEASE
from team_kit import Retold

from trio_agent._agent import Agent
from trio_agent._errors import FenceLost, RunFailed, RunOver, StoreUnavailable
from trio_agent._events import AnyEvent, ToolAnswered, ToolAsked, ToolResult, UserSaid
from trio_agent._log.store import Store
from trio_agent._messages import UserMessage
from trio_agent._run.run import Run
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import CrashingStore, autojump_clock, call
from trio_agent.tools._context import ToolContext
from trio_agent.tools._tool import tool

T = TypeVar("T")

LOOKING = {"orphans", "expire"}
"""What is asked now and then, of no run."""


class Unlucky(CrashingStore):
    """Its server dies, or does nothing for three leases, at one act of the store."""

    def __init__(self, store: Store, at: int, how: str) -> None:
        super().__init__(store, shared=True)
        self.acts = 0
        self._at = at
        self._how = how
        self._asleep_until = 0.0

    async def perform(self, operation: str, act: Callable[[], Awaitable[T]]) -> T:
        await self._point(operation, "before")
        outcome = await super().perform(operation, act)
        await self._point(operation, "behind")
        return outcome

    async def _point(self, operation: str, when: str) -> None:
        if operation not in LOOKING and self._how.endswith(when):
            if self.acts == self._at:
                if self._how.startswith("dies"):
                    self.crash()
                else:
                    self._asleep_until = trio.current_time() + 3 * LEASE
            self.acts += 1
        if trio.current_time() < self._asleep_until:
            await trio.sleep_until(self._asleep_until)


class World:
    """Where the effects of tools are, and the agent that has them."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()

        @tool
        async def act(context: ToolContext) -> str:
            """Do something that is not to be done twice."""
            self.effects[context.call_id] += 1
            await trio.sleep(1)
            return "done"

        @tool(approval=True)
        async def pay(context: ToolContext) -> str:
            """Pay, if somebody allows it."""
            self.effects[context.call_id] += 1
            await trio.sleep(1)
            return "paid"

        self.agent: Agent = Agent(
            name="a",
            model=Retold(
                ["I ", "pay.", call("1", "act"), call("2", "pay")],
                ["And ", call("3", "act")],
                ["Done", "."],
                ["Yes", "."],
                ["Yes", "."],
            ),
            tools=[act, pay],
        )


async def first_life(door: Unlucky, agent: Agent, begun: trio.Event) -> None:
    async with server(door, agent, door=door) as first:
        run = await first.runtime.start(agent, "hi", idempotency_key="k")
        begun.set()
        try:
            await run.wait()
        except (FenceLost, RunFailed, StoreUnavailable):
            await trio.sleep_forever()
        await trio.sleep_forever()


async def say(run: Run, said: list[bool]) -> None:
    try:
        await run.say("and then?", key="m")
    except RunOver:
        said.append(False)
    else:
        said.append(True)


async def check(store: MemoryStore, run_id: str, world: World, said: list[bool]) -> None:
    log = await logged(store, run_id)
    check_log(log)
    assert len(of(ToolAnswered, log)) == 1
    assert [len(of(UserSaid, log)) == 1] == said
    for outcome in of(ToolResult, log):
        times = world.effects[outcome.tool.id]
        assert times <= 1, f"{outcome.tool.id} was done {times} times"
        assert outcome.tool.status in ("ok", "unknown")
        assert outcome.tool.status == "unknown" or times == 1
    [info] = await store.find(None, None, 10)
    assert info.delivered == len(of(ToolAnswered, log)) + len(of(UserSaid, log)) or not all(said)


async def scenario(how: str, late: bool, at: int) -> bool:
    """Play it; returns whether there was such an act."""
    store, world = MemoryStore(lease=LEASE), World()
    door = Unlucky(store, at, how)
    seen: list[AnyEvent] = []
    said: list[bool] = []
    with trio.fail_after(20 * LEASE):
        async with server(store, world.agent) as second, trio.open_nursery() as nursery:
            begun = trio.Event()
            nursery.start_soon(first_life, door, world.agent, begun)
            with trio.move_on_after(1):
                await begun.wait()
            # Who asks again with its key finds the run, or starts it.
            run = await second.runtime.start(world.agent, "hi", idempotency_key="k")
            nursery.start_soon(collect, run.subscribe(), seen)
            await moment(run, ToolAsked)
            if late:
                await trio.sleep(LEASE / 2)
            nursery.start_soon(say, run, said)
            await run.answer("2", approved=True, by="ann")
            result = await run.wait()
            while not (said and seen and seen[-1].terminal):
                await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
    assert result.finish_reason == "stop"
    assert seen == await logged(store, run.id), "a reader has missed something, or seen it twice"
    assert (UserMessage("and then?") in result.messages) == said[0]
    await check(store, run.id, world, said)
    return door.acts > at


@pytest.mark.parametrize("late", [False, True], ids=["at once", "asleep"])
@pytest.mark.parametrize("how", ["dies before", "dies behind", "sleeps before", "sleeps behind"])
def test_whatever_becomes_of_one_of_them(how: str, late: bool) -> None:
    at = 0
    try:
        while trio.run(partial(scenario, how, late, at), clock=autojump_clock()):
            at += 1
    except BaseException as exc:
        exc.add_note(f"at act {at}")
        raise
    assert at > 10
