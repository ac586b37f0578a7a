"""An agent as a tool. What it does in a run: see tests/run/test_worker."""

import math
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio

from trio_agent._agent import Agent
from trio_agent._errors import ToolError
from trio_agent._events import ToolRequest
from trio_agent.testing import ScriptedModel
from trio_agent.tools._call import call_tool
from trio_agent.tools._client_tool import ask_user
from trio_agent.tools._context import ToolContext
from trio_agent.tools._function import FunctionTool
from trio_agent.tools._source import OpenTools, ToolSource
from trio_agent.tools._tool import tool

AGENT = Agent(model=ScriptedModel(), name="helper")


def test_what_a_model_sees_of_it() -> None:
    spec = AGENT.as_tool().spec
    assert spec.name == "helper"
    assert spec.description == "Ask the agent 'helper' to do something, and get its answer."
    assert spec.schema["required"] == ["prompt"]
    assert spec.schema["properties"]["prompt"] == {
        "type": "string",
        "description": "What is to be done, with all that must be known for it: nothing else is"
        " seen.",
    }


def test_it_can_be_called_something_else() -> None:
    made = AGENT.as_tool(name="ask", description="Ask.", deadline=7)
    assert (made.name, made.description, made.deadline) == ("ask", "Ask.", 7)
    # That of the limits is for other tools.
    assert AGENT.as_tool().deadline == math.inf
    with pytest.raises(ValueError, match="is no tool name"):
        AGENT.as_tool(name="ask me")
    with pytest.raises(ValueError, match="must be positive"):
        AGENT.as_tool(deadline=0)


async def test_it_is_asked_what_the_model_says() -> None:
    asked: list[Any] = []

    async def run_agent(agent: Any, prompt: str) -> Any:
        await trio.lowlevel.checkpoint()
        asked.append((agent, prompt))
        return {"city": "Oslo"}

    context = ToolContext[Any](run_agent=run_agent)
    assert await AGENT.as_tool().call({"prompt": "go"}, context) == {"city": "Oslo"}
    assert asked == [(AGENT, "go")]
    with pytest.raises(ToolError, match="prompt"):
        await AGENT.as_tool().call({}, context)


async def test_outside_of_a_run_there_is_nobody_to_ask() -> None:
    status, told, _ = await call_tool(
        {"helper": AGENT.as_tool()},
        ToolRequest("1", "helper", {"prompt": "x"}),
        ToolContext(),
        deadline=9,
        tell="message",
        on_abandoned=pytest.fail,
    )
    assert (status, told) == (
        "error",
        "RuntimeError: a sub-agent works in the run of an agent: there is none",
    )


def test_it_is_known_as_an_agents() -> None:
    made = AGENT.as_tool()
    assert isinstance(made, FunctionTool)
    assert made.agent is AGENT
    assert refund.agent is None


def test_the_whole_call_may_have_to_be_allowed_or_be_made_twice() -> None:
    made = AGENT.as_tool()
    assert (made.may_wait, made.retry_safe) == (False, False)
    made = AGENT.as_tool(approval=lambda _, prompt: "refund" in prompt, retry_safe=True)
    assert (made.may_wait, made.retry_safe) == (True, True)
    assert made.wants({"prompt": "refund it"}, ToolContext()) == "approval"
    assert made.wants({"prompt": "look"}, ToolContext()) is None


class Waiting(ToolSource):
    may_wait = True

    def open(self) -> AbstractAsyncContextManager[OpenTools]:
        raise NotImplementedError

    def fingerprint(self) -> str:
        return ""

    def __repr__(self) -> str:
        return "<Waiting>"


@tool(approval=True)
def refund(amount: float) -> str:
    return ""


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"tools": [tool(refund.function, name="free"), refund, ask_user()]}, "refund, ask_user"),
        ({"tools": [AGENT.as_tool(approval=True)]}, "helper"),
        ({"sources": [Waiting()]}, "<Waiting>"),
    ],
)
def test_an_agent_that_may_wait_can_not_be_one(settings: Any, named: str) -> None:
    agent = Agent(model=ScriptedModel(), name="boss", **settings)
    message = f"the agent 'boss' can't be a tool: {named} may wait .*as_tool.approval="
    with pytest.raises(ValueError, match=message):
        agent.as_tool()


def test_agents_within_agents_that_never_wait_can() -> None:
    middle = Agent(model=ScriptedModel(), name="middle", tools=[AGENT.as_tool()])
    assert not middle.as_tool().may_wait
