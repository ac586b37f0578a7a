"""Starting runs: places, keys and files, in an order in which nothing is taken for nothing."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest
import trio
import trio.testing
from runtime_kit import endless, quick
from shared_kit import quiet

from trio_agent._agent import Agent
from trio_agent._errors import KeyReused, LimitExceeded, StoreUnavailable, TooLarge
from trio_agent._events import ToolRequest
from trio_agent._limits import RuntimeLimits
from trio_agent._messages import AnyMessage, AssistantMessage, File, Text, ToolMessage, UserMessage
from trio_agent._run.run import Run
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent._runtime.starting import what_was_said
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, call
from trio_agent.tools._tool import tool

PNG = File("image/png", data=b"PNG")
DIGEST = sha256(b"PNG").hexdigest()
OPEN_CALL = AssistantMessage("", (ToolRequest("1", "t", {}),))


def shown(file: File = PNG) -> UserMessage:
    return UserMessage((Text("what is it?"), file))


class TestWhatWasSaid:
    @pytest.mark.parametrize(
        ("prompt", "messages", "said"),
        [
            ("hi", [], (UserMessage("hi"),)),
            ("", [], (UserMessage(""),)),
            (None, [UserMessage("a")], (UserMessage("a"),)),
            ("b", [UserMessage("a")], (UserMessage("a"), UserMessage("b"))),
            (
                None,
                [OPEN_CALL, ToolMessage("1", "x")],
                (OPEN_CALL, ToolMessage("1", "x")),
            ),
        ],
    )
    def test_the_prompt_is_behind_the_messages(
        self, prompt: str | None, messages: Sequence[AnyMessage], said: tuple[AnyMessage, ...]
    ) -> None:
        assert what_was_said(prompt, messages) == said

    @pytest.mark.parametrize(
        ("prompt", "messages", "why"),
        [
            (None, [], "^give a prompt or messages$"),
            ("hi", [OPEN_CALL], "has no result"),
            (None, [shown(File("image/png"))], "exactly one of"),
        ],
    )
    def test_what_can_not_be_said(
        self, prompt: str | None, messages: Sequence[AnyMessage], why: str
    ) -> None:
        with pytest.raises(ValueError, match=why):
            what_was_said(prompt, messages)


@pytest.mark.parametrize("operation", ["create", "lookup", "read_blob", "info"])
@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_start_that_fails_takes_no_place(operation: str, cancelled: bool) -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store, limits=RuntimeLimits(max_streams=2)) as runtime:
        first = await runtime.start(endless(), messages=[shown()], owner="me")
        named = shown(File("image/png", blob=f"{first.id}/{DIGEST}"))
        if cancelled:
            with trio.CancelScope() as scope:
                scope.cancel()
                await runtime.start(quick(), messages=[named], owner="me", idempotency_key="k")
        else:
            store.away.add(operation)
            with pytest.raises(StoreUnavailable):
                await runtime.start(quick(), messages=[named], owner="me", idempotency_key="k")
            store.away.clear()
        assert runtime.statistics().active == 1
        again = await runtime.start(quick(), messages=[named], owner="me", idempotency_key="k")
        assert (await again.wait()).text == "a"
        await first.cancel()


@pytest.mark.parametrize("most", [3, 5])
async def test_files_by_name_count_as_those_that_are_given(most: int) -> None:
    """Each is counted before the next one is read: a short message may name many."""
    store = FaultyStore(MemoryStore())
    limits = RuntimeLimits(max_blob_bytes=most)
    async with open_runtime(store=store, limits=limits) as runtime:
        named = []
        for _ in range(3):
            earlier = await runtime.start(quick(), messages=[shown()])
            await earlier.wait()
            named.append(shown(File("image/png", blob=f"{earlier.id}/{DIGEST}")))
        await (await runtime.start(quick(), messages=named[:1])).wait()
        store.calls.clear()
        with pytest.raises(TooLarge, match=f"at most {most} bytes together"):
            await runtime.start(quick(), messages=named)
        assert store.calls["read_blob"] == 2
        assert runtime.statistics().active == 0


async def start_twice(runtime: Runtime, agents: Sequence[Agent], **how: Any) -> list[Run]:
    runs: list[Run] = []

    async def start(agent: Agent) -> None:
        runs.append(await runtime.start(agent, "hi", **how))

    async with trio.open_nursery() as nursery:
        for agent in agents:
            nursery.start_soon(start, agent)
    return runs


async def test_one_key_at_once_is_one_run_and_one_place() -> None:
    async with open_runtime(limits=RuntimeLimits(max_streams=2)) as runtime:
        model = ScriptedModel(["a", trio.Event()])
        runs = await start_twice(runtime, [Agent(model=model)] * 2, idempotency_key="k")
        assert runs[0] is runs[1]
        await trio.testing.wait_all_tasks_blocked()
        assert (len(model.requests), runtime.statistics().active) == (1, 1)
        await runs[0].cancel()


async def test_a_key_finds_a_run_that_sleeps(autojump_clock: trio.testing.MockClock) -> None:
    @tool(approval=True)
    async def pay() -> str:
        """Pay."""
        return "paid"

    agent = Agent(model=ScriptedModel([call("1", "pay")], ["done"]), tools=[pay])
    async with open_runtime(limits=RuntimeLimits(max_streams=1)) as runtime:
        run = await runtime.start(agent, "hi", idempotency_key="k")
        await quiet()
        # It takes no place meanwhile.
        assert runtime.statistics().active == 0
        other = await runtime.start(endless(), "hi")
        again = await runtime.start(agent, "hi", idempotency_key="k")
        assert (again.id, again.status) == (run.id, "waiting")
        await other.cancel()
        await again.answer("1", approved=True)
        assert (await again.wait()).text == "done"


async def test_a_key_with_other_client_tools_is_another_request() -> None:
    tools = [{"name": "ask", "description": "", "parameters": {"type": "object"}}]
    async with open_runtime() as runtime:
        run = await runtime.start(endless(), "hi", idempotency_key="k", client_tools=tools)
        again = await runtime.start(endless(), "hi", idempotency_key="k", client_tools=tools)
        assert again is run
        with pytest.raises(KeyReused):
            await runtime.start(endless(), "hi", idempotency_key="k")
        await run.cancel()


class TestInTurn:
    async def test_who_waits_for_a_place_begins_when_there_is_one(self) -> None:
        async with open_runtime(limits=RuntimeLimits(max_streams=1)) as runtime:
            first = await runtime.start(endless(), "hi")
            async with (
                trio.open_nursery() as nursery,
                runtime.map(quick("b"), ["hi"]) as results,
            ):
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(first.cancel)
                assert [mapped.result.text async for mapped in results if mapped.result] == ["b"]

    async def test_none_is_started_where_the_runtime_drains(self) -> None:
        async with open_runtime(limits=RuntimeLimits(max_streams=1)) as runtime:
            first = await runtime.start(endless(), "hi")
            async with runtime.map(quick("b"), ["hi"]) as results, trio.open_nursery() as nursery:
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(runtime.drain, 0)
                [mapped] = [each async for each in results]
            assert isinstance(mapped.error, LimitExceeded)
            assert (await first.wait()).finish_reason == "cancelled"
