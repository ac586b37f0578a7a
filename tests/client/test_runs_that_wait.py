"""Runs of a server that wait for a person, or are told something: the same over either wire."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from server_kit import open_server
from websocket_kit import open_websocket_server

from trio_agent import (
    Agent,
    AnswerRefused,
    AnyEvent,
    ClientTool,
    File,
    RunFinish,
    RunOver,
    RunStart,
    RunWaiting,
    Text,
    ToolAnswered,
    ToolAsked,
    ToolResult,
    UnknownRun,
    UserSaid,
    tool,
)
from trio_agent.client import Client, RemoteSubscription, open_client
from trio_agent.servers import Guard, bearer_tokens
from trio_agent.testing import ScriptedModel, call

ASKED = {"type": "object", "properties": {"a": {"type": "integer"}}}
TOKEN = "ann-has-a-long-token"


@asynccontextmanager
async def asking(wire: str, *scripts: Any, **service: Any) -> AsyncIterator[Client]:
    """A client of a server, and an agent whose tool wants an approval."""

    @tool(approval=True)
    async def refund(amount: int) -> str:
        """Give money back."""
        return f"gave {amount}"

    agent = Agent(model=ScriptedModel(*scripts), tools=[refund])
    guard = Guard(authorize=bearer_tokens({"ann": TOKEN}))
    opened: Any = (
        open_server(agent, guard=guard, **service)
        if wire == "http"
        else open_websocket_server(agent, guard=guard, service=service)
    )
    async with opened as server, open_client(server.url, token=TOKEN) as client:
        yield client


async def until(subscription: RemoteSubscription, kind: type[AnyEvent]) -> Any:
    """The next event of this kind."""
    while not isinstance(event := (await subscription.receive()).event, kind):
        pass
    return event


CALL = [call("c", "refund", amount=7)]


@pytest.mark.parametrize("wire", ["http", "ws"])
class TestRunsThatWait:
    @pytest.mark.parametrize(
        ("approved", "reason", "output"),
        [(True, None, "gave 7"), (False, "too <much>", "too <much>")],
    )
    async def test_an_approval(
        self, wire: str, approved: bool, reason: str | None, output: str
    ) -> None:
        async with asking(wire, CALL, ["done"]) as client:
            run_id = await client.start("hi")
            async with client.subscribe(run_id) as events:
                asked = await until(events, ToolAsked)
                assert (asked.kind, asked.tool.input) == ("approval", {"amount": 7})
                await client.answer(
                    run_id, "c", approved=approved, reason=reason, arguments=asked.tool.input
                )
                answered = await until(events, ToolAnswered)
                assert (answered.approved, answered.by, answered.reason) == (
                    approved,
                    "ann",
                    reason,
                )
                result = await until(events, ToolResult)
                assert output in result.tool.output
                assert (await until(events, RunFinish)).run.text == "done"
            with pytest.raises(RunOver):
                await client.answer(run_id, "c", approved=not approved)

    async def test_a_tool_of_the_clients(self, wire: str) -> None:
        tools: list[Any] = [
            ClientTool("look", description="d"),
            {"name": "feel", "parameters": ASKED},
        ]
        script = ([call("c", "look"), call("d", "feel", a=1)], ["done"])
        async with asking(wire, *script, allow_client_tools=True) as client:
            run_id = await client.start("hi", client_tools=tools)
            async with client.subscribe(run_id) as events:
                await until(events, RunWaiting)
                if wire == "http":
                    assert (await client.info(run_id))["status"] == "waiting"
                    assert await client.result(run_id) is None
                    assert [run.status for run in (await client.runs()).runs] == ["waiting"]
                # The same again is none too many; another one is.
                for _ in range(2):
                    await client.answer(run_id, "d", output=None)
                with pytest.raises(AnswerRefused):
                    await client.answer(run_id, "d", output="else")
                await client.answer(run_id, "c", output={"seen": [1]})
                outputs = [(await until(events, ToolResult)).tool.output for _ in range(2)]
                assert outputs == [None, {"seen": [1]}]

    @pytest.mark.parametrize(
        ("call_id", "said", "error", "match"),
        [
            ("d", {"approved": True}, AnswerRefused, "no call 'd' waits"),
            ("c", {"approved": True, "arguments": {"amount": 8}}, AnswerRefused, "other arguments"),
            ("c", {}, ValueError, "approved=True"),
            ("c", {"output": "x"}, ValueError, "waits for an approval"),
            ("c", {"approved": False, "output": 1}, ValueError, "has no output"),
        ],
    )
    async def test_what_is_no_answer(
        self, wire: str, call_id: str, said: Any, error: type[Exception], match: str
    ) -> None:
        async with asking(wire, CALL) as client:
            run_id = await client.start("hi")
            async with client.subscribe(run_id) as events:
                await until(events, ToolAsked)
                with pytest.raises(error, match=match) as caught:
                    await client.answer(run_id, call_id, **said)
                assert type(caught.value) is error
            with pytest.raises(UnknownRun):
                await client.answer("nope", "c", approved=True)

    async def test_saying_something(self, wire: str) -> None:
        async with asking(wire, CALL, ["done"]) as client:
            run_id = await client.start("hi")
            async with client.subscribe(run_id) as events:
                await until(events, RunWaiting)
                for _ in range(2):
                    await client.say(run_id, "In Euro", key="k")
                url = "https://example.com/a.png"
                await client.say(run_id, (Text("look"), File("image/png", url=url)))
                with pytest.raises(AnswerRefused):
                    await client.say(run_id, "In Dollar", key="k")
                with pytest.raises(ValueError, match="say something"):
                    await client.say(run_id, "")
                with pytest.raises(ValueError, match="by their URLs"):
                    await client.say(run_id, (File("image/png", data=b"x"),))
                await client.answer(run_id, "c", approved=True)
                said = [await until(events, UserSaid) for _ in range(2)]
                parts = (Text("look"), File("image/png", url=url))
                assert [(each.content, each.by) for each in said] == [
                    ("In Euro", "ann"),
                    (parts, "ann"),
                ]
                await until(events, RunFinish)
            with pytest.raises(RunOver):
                await client.say(run_id, "wait")

    async def test_for_who_can_not_take_back(self, wire: str) -> None:
        async with asking(wire, *[["a"]] * 2) as client:
            for retractable in (True, False):
                run_id = await client.start("hi", retractable=retractable)
                async with client.subscribe(run_id) as events:
                    assert (await until(events, RunStart)).retractable is retractable
