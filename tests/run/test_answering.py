"""Who is asked about calls that wait, in the program that runs the agent."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing
from runtime_kit import rest

from trio_agent._agent import Agent
from trio_agent._errors import RunIncomplete
from trio_agent._events import ToolAnswered, ToolAsked, ToolResult
from trio_agent._messages import ToolMessage
from trio_agent._run.answering import Answer, answering
from trio_agent._run.result import Result
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.testing import ScriptedModel, call
from trio_agent.tools._client_tool import ClientTool
from trio_agent.tools._contract import Tool
from trio_agent.tools._tool import tool

PAY = call("c1", "pay", amount=7)
LOOK = call("c1", "look")


class Till:
    """What is paid, and an agent that pays with approval, looks by its client, and knows `free`."""

    def __init__(self, *answers: Sequence[Any]) -> None:
        self.paid: list[int] = []

        @tool(approval=True)
        async def pay(amount: int) -> str:
            """Pay."""
            self.paid.append(amount)
            return f"paid {amount}"

        @tool
        async def free() -> str:
            """Cost nothing."""
            return "free"

        self.tools: list[Tool] = [pay, ClientTool("look"), free]
        self.agent: Agent = Agent(model=ScriptedModel(*answers), tools=self.tools)


def outcomes(result: Result[Any]) -> list[str]:
    return [message.content for message in result.messages if isinstance(message, ToolMessage)]


@pytest.mark.parametrize(
    ("asked_for", "kind", "said", "told", "paid"),
    [
        (PAY, "approval", True, "paid 7", [7]),
        (PAY, "approval", Answer(), "paid 7", [7]),
        (PAY, "approval", Answer(reason="cheap"), "paid 7", [7]),
        (PAY, "approval", False, "the user did not allow this call", []),
        (PAY, "approval", Answer(False), "the user did not allow this call", []),
        (
            PAY,
            "approval",
            Answer(False, reason="too much"),
            "the user did not allow this call: too much",
            [],
        ),
        (LOOK, "input", Answer(output={"sky": "blue"}), '{"sky":"blue"}', []),
        (LOOK, "input", Answer(output=None), "null", []),
        (LOOK, "input", False, "the user did not allow this call", []),
        (LOOK, "input", Answer(False, reason="dark"), "the user did not allow this call: dark", []),
    ],
)
async def test_what_is_said_becomes_of_the_call(
    asked_for: Any, kind: str, said: Any, told: str, paid: list[int]
) -> None:
    till = Till([asked_for], ["done"])
    asked: list[ToolAsked] = []

    async def ask(request: ToolAsked) -> Answer | bool:
        asked.append(request)
        assert till.paid == []
        answer: Answer | bool = said
        return answer

    result = await till.agent.run("go", on_waiting=ask)
    assert (result.finish_reason, result.text, outcomes(result)) == ("stop", "done", [told])
    assert [(request.kind, request.tool.id) for request in asked] == [(kind, "c1")]
    assert till.paid == paid


@pytest.mark.parametrize("way", ["stream", "stream_events", "stream_output"])
async def test_every_way_to_run_asks(way: str) -> None:
    till = Till([PAY], ["done"])

    async def ask(_: ToolAsked) -> bool:
        return True

    async with getattr(till.agent, way)("go", on_waiting=ask) as channel:
        seen = [each async for each in channel]
    assert seen or way == "stream_output"  # no shape was asked for
    assert till.paid == [7]


async def test_two_calls_are_asked_about_at_once() -> None:
    till = Till([PAY, call("c2", "pay", amount=8), call("c3", "free")], ["done"])
    doors = {"c1": trio.Event(), "c2": trio.Event()}
    results: list[Result[Any]] = []

    async def ask(request: ToolAsked) -> bool:
        await doors[request.tool.id].wait()
        return True

    async def run() -> None:
        results.append(await till.agent.run("go", on_waiting=ask))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        assert [event.statistics().tasks_waiting for event in doors.values()] == [1, 1]
        doors["c2"].set()
        await trio.testing.wait_all_tasks_blocked()
        assert till.paid == [8]  # the first call waits still
        doors["c1"].set()
    assert sorted(till.paid) == [7, 8]
    assert sorted(outcomes(results[0])) == ["free", "paid 7", "paid 8"]


class Hesitates(Exception):
    pass


@pytest.mark.parametrize(
    ("asked_for", "said", "match"),
    [
        (PAY, Hesitates("not now"), "not now"),
        (LOOK, True, "output"),
        (LOOK, Answer(output=object()), "JSON"),
        (PAY, Answer(output=1), "output"),
    ],
)
async def test_who_can_not_say_ends_the_run(asked_for: Any, said: Any, match: str) -> None:
    till = Till([asked_for], [asked_for], ["never said"])

    async def ask(_: ToolAsked) -> Answer | bool:
        if isinstance(said, Exception):
            raise said
        answer: Answer | bool = said
        return answer

    error = type(said) if isinstance(said, Exception) else (TypeError, ValueError)
    with pytest.raises(error, match=match):
        await till.agent.run("go", on_waiting=ask)
    with pytest.raises(error, match=match):
        async with till.agent.stream("go", on_waiting=ask) as chunks:
            await chunks.receive()
    assert till.paid == []


async def test_what_is_raised_leaves_a_run_that_is_cancelled() -> None:
    till = Till([PAY], ["never said"])

    async def ask(_: ToolAsked) -> bool:
        raise Hesitates

    async with open_runtime() as runtime:
        run = await runtime.start(till.agent, "go")
        with pytest.raises(Hesitates):
            async with answering(run, till.agent, ask):
                await run.wait()
        assert run.status == "waiting"  # it is the runtime's
        receipt = await run.cancel()
        assert receipt.outcome == "cancelled"


async def test_somebody_else_was_quicker() -> None:
    till = Till([PAY], ["done"])

    async def ask(request: ToolAsked) -> bool:
        await run.answer(request.tool.id, approved=False, by="ann")
        return True

    async with open_runtime() as runtime:
        run = await runtime.start(till.agent, "go")
        async with answering(run, till.agent, ask):
            result = await run.wait()
        answers = [event for event in await rest(run) if isinstance(event, ToolAnswered)]
    assert [(answer.approved, answer.by) for answer in answers] == [(False, "ann")]
    assert (result.text, till.paid) == ("done", [])


async def test_the_run_ended_meanwhile() -> None:
    till = Till([PAY], ["never said"])

    async def ask(_: ToolAsked) -> bool:
        await run.cancel("enough")
        return True

    async with open_runtime() as runtime:
        run = await runtime.start(till.agent, "go")
        async with answering(run, till.agent, ask):
            result = await run.wait()
    assert (result.finish_reason, result.reason) == ("cancelled", "enough")


async def test_who_is_asked_when_the_run_ends_is_not_waited_for() -> None:
    till = Till([PAY, call("c2", "look")], ["never said"])
    gone: list[str] = []

    async def ask(request: ToolAsked) -> bool:
        try:
            await trio.sleep_forever()
        finally:
            gone.append(request.tool.name)

    async with open_runtime() as runtime:
        run = await runtime.start(till.agent, "go")
        async with answering(run, till.agent, ask):
            await trio.testing.wait_all_tasks_blocked()
            run.request_cancel("enough")
            await run.wait()
    assert sorted(gone) == ["look", "pay"]


@pytest.mark.parametrize("asked_for", [PAY, LOOK])
async def test_without_anybody_a_run_that_waits_is_incomplete(asked_for: Any) -> None:
    till = Till([call("c0", "free"), asked_for], ["never said"])
    with pytest.raises(RunIncomplete) as caught:
        await till.agent.run("go")
    assert caught.value.finish_reason == "waiting"
    assert till.paid == []


async def test_a_map_tells_of_each_that_waits() -> None:
    till = Till([PAY], ["fine"], [PAY])
    async with (
        open_runtime() as runtime,
        runtime.map(till.agent, ["1", "2", "3"], concurrency=1) as results,
    ):
        mapped = {each.input: each async for each in results}
    assert mapped["2"].result is not None
    assert (mapped["2"].result.text, mapped["2"].error) == ("fine", None)
    for waits in (mapped["1"], mapped["3"]):
        assert waits.result is None
        assert isinstance(waits.error, RunIncomplete)
        assert waits.error.finish_reason == "waiting"
    assert till.paid == []


async def test_a_call_that_needs_nobody_waits_for_nobody() -> None:
    till = Till([call("c1", "free")], ["done"])
    result = await till.agent.run("go")
    assert outcomes(result) == ["free"]


@pytest.mark.parametrize(
    ("waits", "asks", "viewers"), [(False, False, 0), (True, False, 1), (False, True, 1)]
)
async def test_who_listens(*, waits: bool, asks: bool, viewers: int) -> None:
    door = trio.Event()
    till = Till([door, "done"])
    agent = till.agent if waits else Agent(model=till.agent.model, tools=till.tools[2:])

    async def ask(_: ToolAsked) -> bool:
        return True

    async with open_runtime() as runtime:
        run = await runtime.start(agent, "go")
        async with answering(run, agent, ask if asks else None):
            await trio.testing.wait_all_tasks_blocked()
            assert run.statistics().viewers == viewers
            door.set()
            await run.wait()
        assert [event for event in await rest(run) if isinstance(event, ToolResult)] == []
