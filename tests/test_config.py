"""What an agent is made of."""

import functools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs
import pytest

from trio_agent._agent import Agent
from trio_agent._config import AgentConfig
from trio_agent._limits import Limits
from trio_agent.local import LocalModel
from trio_agent.models.openai._model import OpenAIModel
from trio_agent.testing import ScriptedModel
from trio_agent.tools._client_tool import ClientTool
from trio_agent.tools._context import RunContext, RunFacts, ToolContext
from trio_agent.tools._contract import Tool
from trio_agent.tools._source import OpenTools, ToolSource
from trio_agent.tools._tool import tool


def look(city: str) -> str:
    """Look."""
    return city


def test_a_name_is_a_model_of_openais_kind() -> None:
    model = AgentConfig(model="gpt-4o-mini").model
    assert isinstance(model, OpenAIModel)
    assert model.name == "gpt-4o-mini"
    assert AgentConfig(model="openai:gpt-4o-mini").model.name == "gpt-4o-mini"
    with pytest.raises(TypeError, match="a Model or the name of one"):
        AgentConfig(model=None)  # type: ignore[arg-type]


def test_functions_are_tools() -> None:
    agent = Agent(model=ScriptedModel(), tools=[look, tool(look, name="see")])
    assert list(agent.tools_by_name) == ["look", "see"]
    assert [spec.name for spec in agent.tool_specs] == ["look", "see"]
    with pytest.raises(ValueError, match="two tools are called 'look'"):
        Agent(model=ScriptedModel(), tools=[look, look])


def test_an_agent_is_immutable_and_has_a_name_for_everything() -> None:
    agent = Agent(model=ScriptedModel())
    with pytest.raises(AttributeError):
        agent.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Agent(ScriptedModel())  # type: ignore[call-overload]


def test_the_fingerprint_is_of_what_the_model_is_told() -> None:
    same = [Agent(model=ScriptedModel(), tools=[look], instructions="x") for _ in range(2)]
    assert same[0].fingerprint() == same[1].fingerprint()
    for other in (
        Agent(model=ScriptedModel(), tools=[look], instructions="y"),
        Agent(model=ScriptedModel(), instructions="x"),
        Agent(model=ScriptedModel(), name="z", tools=[look], instructions="x"),
    ):
        assert other.fingerprint() != same[0].fingerprint()


@pytest.mark.parametrize("choice", [None, "auto", "none", "required", "look"])
def test_a_choice_of_a_tool(choice: str | None) -> None:
    assert Agent(model=ScriptedModel(), tools=[look], tool_choice=choice).tool_choice == choice


@pytest.mark.parametrize(
    ("choice", "tools", "message"),
    [
        ("see", [look], "name of a tool, not 'see'; the tools are: look"),
        ("look", [], "the tools are: none"),
        ("required", [], "the tools are: none"),
        (1, [look], "not 1;"),
    ],
)
def test_a_choice_that_is_none(choice: Any, tools: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"tool_choice is .*{message}"):
        Agent(model=ScriptedModel(), tools=tools, tool_choice=choice)


@pytest.mark.parametrize("name", ["model", "messages", "stream", "tools"])
def test_options_that_the_agent_sets_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"options: '{name}' is set by the agent"):
        Agent(model=ScriptedModel(), options={"temperature": 0, name: None})
    with pytest.raises(ValueError, match=f"options: '{name}' is set by the agent"):
        LocalModel(options={name: None})


# What an agent can do


class Source(ToolSource):
    def __init__(self, declared: str = "far") -> None:
        self._declared = declared

    def open(self) -> AbstractAsyncContextManager[OpenTools]:
        raise NotImplementedError

    def fingerprint(self) -> str:
        return self._declared


class Remote(Tool[object]):
    name = "far away"
    description = ""
    schema: Mapping[str, Any] = {}

    async def call(self, arguments: Any, context: ToolContext[object]) -> Any: ...


def greet(context: RunContext) -> str:
    return context.run_id


@attrs.frozen
class Verdict:
    why: str


def validate(context: RunContext, value: Verdict) -> Verdict:
    return value


def test_nothing_is_asked_for_by_default() -> None:
    agent = Agent(model=ScriptedModel())
    assert (agent.instructions, agent.tools, agent.sources, agent.output_validators) == (
        *("", (), ()),
        (),
    )
    assert (agent.open_deps, agent.output, agent.shape, agent.prepare) == (None,) * 4
    assert (agent.tool_errors, agent.version, agent.on_worker_lost) == ("type", "", "continue")


def test_what_is_given_is_there() -> None:
    source = Source()
    agent = Agent(
        model=ScriptedModel(),
        instructions=greet,
        sources=[source],
        output=Verdict,
        output_validators=[validate],
        tool_errors="hidden",
        tool_choice="what the source has",
    )
    assert agent.sources == (source,)
    assert agent.output_validators == (validate,)
    assert agent.output is Verdict
    assert agent.shape is not None
    assert agent.shape.parse('{"why": "so"}') == Verdict("so")
    other: Any = attrs.evolve(agent, name="other")  # type: ignore[misc]  # of overloads
    assert isinstance(other, Agent)
    assert other.shape is not None


def test_an_answer_of_type_str_is_text() -> None:
    assert Agent(model=ScriptedModel(), output=str).shape is None


@pytest.mark.parametrize("output", [(Verdict, int), Verdict | int])
def test_a_union_may_be_a_tuple(output: Any) -> None:
    shape = Agent(model=ScriptedModel(), output=output).shape
    assert shape is not None
    assert (shape.parse('{"why": ""}'), shape.parse("3")) == (Verdict(""), 3)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"instructions": None}, TypeError, "instructions are a str or a function .* not None"),
        ({"tools": [3]}, TypeError, "a tool is made of a function or another callable, not of 3"),
        ({"tools": [Remote()]}, ValueError, "'far away' is no tool name"),
        ({"sources": [look]}, TypeError, "sources: <function look .* is no ToolSource; a single"),
        ({"sources": [Source]}, TypeError, "sources: <class .*Source'> is no ToolSource"),
        ({"open_deps": "shop"}, TypeError, "open_deps: 'shop' is no function"),
        ({"prepare": []}, TypeError, r"prepare: \[\] is no function"),
        ({"output_validators": [None]}, TypeError, "output_validators: None is no function"),
        ({"output": Source}, TypeError, "output: Source has no JSON form"),
        ({"tool_errors": "all"}, ValueError, r"'tool_errors' must be in .* \(got 'all'\)"),
        ({"tool_choice": "far away"}, ValueError, "tool_choice is"),
        ({"version": 2}, TypeError, r"'version' must be <class 'str'> \(got 2 that is"),
        ({"on_worker_lost": "stop"}, ValueError, "'on_worker_lost' must be in .*'continue', 'end'"),
        ({"on_worker_lost": None}, ValueError, "'on_worker_lost' must be in"),
    ],
)
def test_what_is_wrong_is_told_at_once(settings: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Agent(model=ScriptedModel(), **settings)


def made(**settings: Any) -> Agent:
    return Agent(model=ScriptedModel(), **settings)


def asks(context: ToolContext, **_: Any) -> bool:
    return True


def asks_less(context: ToolContext, **_: Any) -> bool:
    return False


def prepare_otherwise(messages: Any) -> Any:
    return messages


DECLARED: tuple[dict[str, Any], ...] = (
    {},
    {"name": "other"},
    {"version": "1"},
    {"version": "2"},
    {"instructions": "x"},
    {"instructions": greet},
    {"instructions": functools.partial(greet)},
    {"instructions": functools.partial(validate)},
    {"tools": [look]},
    {"tools": [tool(look, approval=True)]},
    {"tools": [tool(look, approval=asks)]},
    {"tools": [tool(look, approval=asks_less)]},
    {"tools": [ClientTool("look", description="Look.", schema=tool(look).schema)]},
    {"tools": [made().as_tool(name="sub", description="")]},
    {"tools": [made(version="1").as_tool(name="sub", description="")]},
    {"tools": [made(instructions=greet).as_tool(name="sub", description="")]},
    {"tools": [made(tools=[made().as_tool()]).as_tool(name="sub", description="")]},
    {"tools": [made(tools=[made(version="1").as_tool()]).as_tool(name="sub", description="")]},
    {"tools": [made().as_tool(name="sub", description="", approval=asks)]},
    {"sources": [Source()]},
    {"sources": [Source("elsewhere")]},
    {"output": Verdict},
    {"output": int},
    {"output_validators": [validate]},
    {"output_validators": [greet]},
    {"output_validators": [greet, validate]},
    {"prepare": list},
    {"prepare": prepare_otherwise},
)


def test_the_fingerprint_is_of_what_was_declared() -> None:
    prints = [made(**settings).fingerprint() for settings in DECLARED]
    assert len(set(prints)) == len(prints)
    assert prints == [made(**settings).fingerprint() for settings in DECLARED]


@pytest.mark.parametrize(
    "settings",
    [
        {"on_worker_lost": "end"},
        {"limits": Limits(max_steps=3)},
        {"options": {"temperature": 0}},
        {"open_deps": lambda facts: None},
        {"tool_errors": "hidden"},
    ],
)
def test_the_fingerprint_is_not_of_how_it_is_run(settings: dict[str, Any]) -> None:
    assert made(**settings).fingerprint() == made().fingerprint()


def test_a_tool_that_may_be_called_twice_is_the_same_tool() -> None:
    one, other = (made(tools=[tool(look, retry_safe=safe)]) for safe in (False, True))
    assert one.fingerprint() == other.fingerprint()


PROGRAM = """
import functools
import attrs
from trio_agent import Agent, ClientTool, tool
from trio_agent.testing import ScriptedModel

class Policy:
    def ask(self, context, **_): return True
    def __call__(self, context, **_): return True

@attrs.frozen
class Verdict:
    why: str

def greet(context, shop): return ""
def validate(context, value): return value
def prepare(messages): return messages

@tool(approval=Policy().ask)
def tag(names: set[str] = frozenset("abcdefgh"), at=object()) -> str: ...

@tool(approval=Policy())
def refund(amount: float) -> str: ...

def agent(*tools):
    return Agent(
        model=ScriptedModel(), version="1", instructions=functools.partial(greet, shop=object()),
        tools=tools, output=Verdict, output_validators=[validate, functools.partial(validate)],
        prepare=prepare,
    )

sub = agent(tag.function).as_tool(name="sub", approval=lambda context, prompt: True)
print(agent(tag, refund, ClientTool("show"), sub).fingerprint().decode())
"""


def test_the_fingerprint_is_the_same_in_all_processes() -> None:
    prints = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    (only,) = prints
    assert b'"version":"1"' in only
    assert b"0x" not in only


@asynccontextmanager
async def open_nothing(facts: RunFacts) -> AsyncIterator[None]:
    yield


async def test_deps_come_from_one_of_two() -> None:
    agent = Agent(model=ScriptedModel("Hi"), open_deps=open_nothing)
    with pytest.raises(ValueError, match=r"opens its dependencies \(open_deps\): give it no deps"):
        await agent.run("Hi", deps=None)
    assert (await agent.run("Hi")).output == "Hi"
