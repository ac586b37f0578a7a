"""What one run is to have of its own."""

import math
from typing import Any

import attrs
import pytest

from trio_agent._agent import Agent
from trio_agent._limits import LIMIT_NAMES, Limits
from trio_agent._run.settings import RunSettings, read_settings
from trio_agent.testing import ScriptedModel
from trio_agent.tools._client_tool import ClientTool

ALL_ONE: dict[str, Any] = dict.fromkeys(LIMIT_NAMES.values(), 1)


def agent() -> Agent:
    limits = Limits(max_steps=3, max_tokens=100)
    return Agent(model=ScriptedModel(), options={"a": 1, "b": {"c": 2}}, limits=limits)


def test_options_stand_over_those_of_the_agent() -> None:
    given = {"b": 3, "d": None}
    settings = read_settings(given, None)
    given["d"] = 4
    own = agent()
    made = settings.over(own)
    assert made.options == {"a": 1, "b": 3, "d": None}
    assert own.options == {"a": 1, "b": {"c": 2}}
    assert (made.model, made.limits) == (own.model, own.limits)


@pytest.mark.parametrize(
    ("asked", "limits"),
    [
        ({"max_tokens": 7}, Limits(max_steps=3, max_tokens=7)),
        ({"max_tokens": None}, Limits(max_steps=3)),
        ({"run_deadline": 5}, Limits(max_steps=3, max_tokens=100, run_deadline=5.0)),
        ({"run_deadline": math.inf}, Limits(max_steps=3, max_tokens=100)),
        (ALL_ONE, Limits(**ALL_ONE)),
        (Limits(max_steps=5), Limits(max_steps=5)),
    ],
)
def test_limits(asked: Any, limits: Limits) -> None:
    assert read_settings(None, asked).over(agent()).limits == limits


@pytest.mark.parametrize("nothing", [(None, None), ({}, {})])
def test_nothing_of_its_own(nothing: Any) -> None:
    own = agent()
    assert read_settings(*nothing) == RunSettings()
    assert read_settings(*nothing).over(own) is own


@pytest.mark.parametrize(
    ("options", "limits", "why"),
    [
        ({"model": "x"}, {}, "^options: 'model' is set by the agent and its model: remove it"),
        ({"a": object()}, {}, "^options are JSON, for the provider: .*object"),
        ({"a": "\ud83d"}, {}, "^options are JSON, for the provider: .*surrogates"),
        ({}, {"maxTokens": 1}, "^there is no limit 'maxTokens'; there are: max_steps, max_tokens"),
        ({}, {"max_tokens": "1"}, "^the limit max_tokens can't be '1': Expected `int | null`"),
        ({}, {"max_tokens": 0}, "^the limit max_tokens can't be 0: 'max_tokens' must be >= 1"),
        ({}, {"max_tokens": True}, "^the limit max_tokens can't be True: Expected `int | null`"),
        ({}, {"max_steps": 1.5}, r"^the limit max_steps can't be 1\.5: Expected `int`"),
        ({}, {"max_steps": None}, "^the limit max_steps can't be None: Expected `int`"),
        ({}, {"run_deadline": math.nan}, "^the limit run_deadline can't be nan"),
        ({}, {"run_deadline": None}, "^the limit run_deadline can't be None"),
    ],
)
def test_what_can_not_be_had(options: Any, limits: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_settings(options, limits)


def test_options_that_nobody_could_read_back() -> None:
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    with pytest.raises(ValueError, match=r"^options are nested too deeply"):
        read_settings({"a": deep}, None)


def test_tools_of_the_client_stand_behind_those_of_the_agent() -> None:
    described = {"name": "pick", "description": "Pick.", "parameters": {"type": "object"}}
    made = ClientTool("pick", description="Pick.", schema={"type": "object"})
    for tool in (described, made):
        settings = read_settings(None, None, [tool])
        assert settings.client_tools == (made,)
        assert settings.over(agent()).tools == (made,)
        again = read_settings(None, None, settings.described())
        assert again == settings


def test_a_tool_of_the_client_is_none_of_the_agents() -> None:
    own = attrs.evolve(agent(), tools=[ClientTool("pick")])
    with pytest.raises(ValueError, match="two tools are called 'pick'"):
        read_settings(None, None, [{"name": "pick"}]).over(own)


@pytest.mark.parametrize("depth", [200, 900, 5000])
def test_tools_that_nobody_could_read_back(depth: int) -> None:
    deep: Any = 1
    for _ in range(depth):
        deep = {"a": deep}
    tool = {"name": "pick", "parameters": {"type": "object", "properties": deep}}
    with pytest.raises(ValueError, match=r"nested too deeply|can't be made of this"):
        read_settings(None, None, [tool])


def test_names_in_json() -> None:
    assert LIMIT_NAMES["maxTokens"] == "max_tokens"
    assert list(LIMIT_NAMES.values()) == [field.name for field in attrs.fields(Limits)]
    assert all(name.isalpha() for name in LIMIT_NAMES)
