"""Tools that others have, and how requests say them."""

from typing import Any

import pytest

from trio_agent._agent import Agent
from trio_agent._errors import ToolError
from trio_agent.models._parts import ToolSpec
from trio_agent.testing import ScriptedModel
from trio_agent.tools._client_tool import ClientTool, ask_user, client_tool_of
from trio_agent.tools._context import ToolContext

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NOTHING = {"type": "object", "properties": {}}


def test_what_a_model_sees_of_it() -> None:
    assert ClientTool("show").spec == ToolSpec("show", "", NOTHING, None)
    made = ClientTool("show", description="Show.", schema=CITY, strict=True)
    assert made.spec == ToolSpec("show", "Show.", CITY, True)
    assert made.schema is not CITY
    assert Agent(model=ScriptedModel(), tools=[made]).tool_specs == (made.spec,)


def test_it_is_a_value() -> None:
    assert ClientTool("show", schema=CITY) == ClientTool("show", schema=dict(CITY))
    assert ClientTool("show") != ClientTool("show", schema=CITY)
    with pytest.raises(AttributeError):
        ClientTool("show").name = "hide"  # type: ignore[misc]


@pytest.mark.parametrize("arguments", [{}, {"city": "Oslo"}, {"town": 3}, None, ""])
async def test_its_calls_wait_and_nobody_here_makes_them(arguments: Any) -> None:
    made = ClientTool("show", schema=CITY)
    assert made.may_wait
    assert made.wants(arguments, ToolContext()) == "input"
    with pytest.raises(RuntimeError, match="'show' is its client's: nobody here can call it"):
        await made.call(arguments, ToolContext())


@pytest.mark.parametrize("arguments", ["{", "Oslo", [], ["Oslo"], 0, False])
async def test_nobody_is_asked_what_is_no_object(arguments: Any) -> None:
    made = ClientTool("show")
    assert made.wants(arguments, ToolContext()) is None
    with pytest.raises(ToolError, match="are a JSON object"):
        await made.call(arguments, ToolContext())


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"name": "a b"}, ValueError, "'a b' is no tool name: give it 1 to 64"),
        ({"name": 3}, ValueError, "3 is no tool name"),
        ({"description": None}, TypeError, "description is a str, not None"),
        ({"strict": 1}, TypeError, "strict is True, False or None, not 1"),
        ({"schema": None}, TypeError, "a schema is a dict, not None"),
        ({"schema": {"type": "array"}}, ValueError, 'has "type": "object"'),
        ({"schema": {"type": "object", "x": object()}}, TypeError, "object"),
    ],
)
def test_what_is_wrong_is_told(settings: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ClientTool(**{"name": "show", **settings})


# As requests say them


@pytest.mark.parametrize(
    ("value", "made"),
    [
        ({"name": "show"}, ClientTool("show")),
        ({"name": "show", "parameters": CITY}, ClientTool("show", schema=CITY)),
        (
            {"name": "show", "schema": CITY, "description": "Show.", "strict": False},
            ClientTool("show", schema=CITY, description="Show.", strict=False),
        ),
        ({"name": "show", "strict": None}, ClientTool("show")),
    ],
)
def test_of_a_request(value: Any, made: ClientTool) -> None:
    assert client_tool_of(value) == made


def nested(depth: int) -> Any:
    value: Any = "object"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "a tool is an object with a name"),
        (["show"], "a tool is an object with a name"),
        ({}, "a tool has a name"),
        ({"description": "Show."}, "a tool has a name"),
        ({"name": None}, "None is no tool name"),
        ({"name": "a b"}, "'a b' is no tool name"),
        (
            {"type": "function", "function": {"name": "show"}},
            "a tool has no 'type', 'function'; it has name, description, parameters, schema",
        ),
        ({"name": "show", "parameters": CITY, "schema": CITY}, "the same, not both"),
        ({"name": "show", "parameters": None}, "a schema is a dict, not None"),
        ({"name": "show", "parameters": {"type": "string"}}, 'has "type": "object"'),
        ({"name": "show", "parameters": {}}, 'has "type": "object"'),
        ({"name": "show", "description": 3}, "description is a str, not 3"),
        ({"name": "show", "strict": "yes"}, "strict is True, False or None, not 'yes'"),
        ({"name": "show", "schema": {"type": nested(100_000)}}, "can't be made of this"),
    ],
)
def test_what_a_request_can_not_say(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        client_tool_of(value)


# A question


def test_a_question() -> None:
    made = ask_user()
    assert made.spec.name == "ask_user"
    assert made.description == "Ask the user a question, and wait for the answer."
    assert made.schema["required"] == ["question"]
    properties = made.schema["properties"]
    assert properties["question"]["type"] == "string"
    assert (properties["choices"]["type"], properties["choices"]["items"]) == (
        "array",
        {"type": "string"},
    )
    assert made.wants({"question": "Why?"}, ToolContext()) == "input"


def test_a_question_in_other_words() -> None:
    made = ask_user("frag", "Frag.")
    assert (made.name, made.description, made.schema) == ("frag", "Frag.", ask_user().schema)
    with pytest.raises(ValueError, match="is no tool name"):
        ask_user("frag nach")
