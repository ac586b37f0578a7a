"""What an agent is made of."""

from typing import Any

import pytest

from trio_agent._agent import Agent
from trio_agent._config import AgentConfig
from trio_agent.local import LocalModel
from trio_agent.models.openai._model import OpenAIModel
from trio_agent.testing import ScriptedModel
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
        Agent(ScriptedModel())  # type: ignore[call-arg]


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
