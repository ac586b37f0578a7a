"""An agent as a tool. What it does in a run: see tests/run/test_worker."""

import math
from typing import Any

import pytest
import trio

from trio_agent._agent import Agent
from trio_agent._errors import ToolError
from trio_agent._events import ToolRequest
from trio_agent.testing import ScriptedModel
from trio_agent.tools._call import call_tool
from trio_agent.tools._context import ToolContext

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
