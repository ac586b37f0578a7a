"""What holds for every tool, whatever it is."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import trio

from trio_agent._agent import Agent
from trio_agent._events import ToolRequest
from trio_agent.models._parts import ToolSpec
from trio_agent.testing import ScriptedModel
from trio_agent.tools._call import call_tool
from trio_agent.tools._context import ToolContext
from trio_agent.tools._contract import Tool, check_name
from trio_agent.tools._tool import as_tool, tool


class Echo(Tool[Any]):
    """No function: gives back what it gets."""

    name = "echo"
    description = "Say it again."
    schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    async def call(self, arguments: Any, context: ToolContext[Any]) -> Any:
        await trio.lowlevel.checkpoint()
        return [arguments, context.call_id]


class Slow(Echo):
    deadline = 3.0
    strict = True

    async def call(self, arguments: Any, context: ToolContext[Any]) -> Any:
        await trio.sleep_forever()


def test_what_a_model_sees_of_it() -> None:
    assert Echo().spec == ToolSpec("echo", "Say it again.", {"type": "object"}, None)
    assert Slow().spec.strict is True
    assert Echo().deadline is None


@pytest.mark.parametrize("arguments", [{"x": 1}, "no json", None])
async def test_it_gets_what_the_model_wrote(arguments: Any) -> None:
    outcome = await call_tool(
        {"echo": Echo()},
        ToolRequest("7", "echo", arguments),
        ToolContext(call_id="7"),
        deadline=9,
        on_abandoned=pytest.fail,
    )
    assert outcome[:2] == ("ok", [arguments, "7"])


async def test_its_own_deadline_is_kept(autojump_clock: trio.abc.Clock) -> None:
    outcome = await call_tool(
        {"echo": Slow()},
        ToolRequest("7", "echo", {}),
        ToolContext(),
        deadline=9,
        on_abandoned=pytest.fail,
    )
    assert outcome[:2] == ("error", "the tool did not finish within 3 s")


def test_an_agent_takes_it_beside_functions() -> None:
    agent = Agent(model=ScriptedModel(), tools=[Echo(), tool(test_what_a_model_sees_of_it)])
    assert list(agent.tools_by_name) == ["echo", "test_what_a_model_sees_of_it"]
    with pytest.raises(ValueError, match="two tools are called 'echo'"):
        Agent(model=ScriptedModel(), tools=[Echo(), Echo()])


@pytest.mark.parametrize("name", ["a", "get_weather", "A-1", "x" * 64])
def test_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "é", "x" * 65, "a\n", "<lambda>", None, 7])
def test_what_is_no_name(name: object) -> None:
    with pytest.raises(ValueError, match="is no tool name: give it 1 to 64 of"):
        check_name(name)


@pytest.mark.parametrize("name", ["far away", "", 1])
def test_a_tool_of_any_kind_needs_a_name_that_providers_take(name: Any) -> None:
    made = Echo()
    assert as_tool(made) is made
    with pytest.raises(ValueError, match="is no tool name"):
        as_tool(type("Misnamed", (Echo,), {"name": name})())


def test_by_default_a_call_waits_for_nobody() -> None:
    made = Echo()
    assert made.wants({}, ToolContext()) is None
    assert (made.may_wait, made.retry_safe, made.fingerprint()) == (False, False, "")


class Asking(Echo):
    def wants(self, arguments: Any, context: ToolContext[Any]) -> str | None:
        return "approval" if arguments else None


def test_a_tool_that_says_what_a_call_waits_for_may_wait() -> None:
    assert Asking().may_wait
    assert Asking().wants({"x": 1}, ToolContext()) == "approval"
    assert type("Further", (Asking,), {})().may_wait


def test_a_tool_has_to_say_what_it_is() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Tool()  # type: ignore[abstract]
