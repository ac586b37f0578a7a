"""What a model is asked and what it answers: immutable values with few defaults."""

from typing import Any

import attrs
import pytest

from trio_agent._errors import ModelError
from trio_agent._events import Usage
from trio_agent._messages import UserMessage
from trio_agent.models._parts import (
    ModelFinish,
    ModelRequest,
    OutputPart,
    OutputSpec,
    ReasoningPart,
    SwitchPart,
    TextPart,
    ToolInputPart,
    ToolSpec,
    is_heard,
    refuse_reserved,
    reserved_option,
)

MESSAGES = (UserMessage("Hi"),)


def test_a_request_is_messages_and_nothing_else_by_default() -> None:
    request = ModelRequest(MESSAGES)
    assert (request.messages, request.instructions, request.tools) == (MESSAGES, "", ())
    assert request.options == {}
    assert request.tool_choice is None
    assert request.output is None
    assert request.options is not ModelRequest(MESSAGES).options


@pytest.mark.parametrize("name", ["model", "messages", "stream", "tools"])
def test_options_that_a_request_says_by_itself(name: str) -> None:
    assert reserved_option({"temperature": 0}) is None
    assert reserved_option({"temperature": 0, name: None}) == name


@pytest.mark.parametrize("name", ["model", "input"])
def test_options_that_no_request_may_have(name: str) -> None:
    refuse_reserved({"temperature": 0}, "input")
    with pytest.raises(ModelError, match=f"^bad-request: the option '{name}' is set by the agent"):
        refuse_reserved({"temperature": 0, name: None}, "input")


def test_an_answer_costs_nothing_by_default() -> None:
    assert ModelFinish("stop").usage == Usage(0, 0, 0)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (ToolSpec("t", "Do it.", {}), "schema"),
        (ModelRequest(MESSAGES), "tools"),
        (ModelFinish("stop"), "reason"),
        (OutputSpec("o", "It.", {}), "schema"),
        (TextPart("x"), "delta"),
        (OutputPart("x"), "delta"),
        (ReasoningPart("x"), "delta"),
        (ToolInputPart("1", "t", "{"), "delta"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_values_are_immutable(value: Any, field: str) -> None:
    with pytest.raises((AttributeError, attrs.exceptions.FrozenInstanceError)):
        setattr(value, field, getattr(value, field))


def test_parts_of_different_kinds_are_never_equal() -> None:
    parts = [TextPart("x"), ReasoningPart("x"), OutputPart("x"), ToolInputPart("1", "t", "x")]
    for number, part in enumerate(parts):
        assert [each == part for each in parts] == [n == number for n in range(len(parts))]
    assert TextPart("x") == TextPart("x") != TextPart("y")


@pytest.mark.parametrize(
    ("part", "heard"),
    [
        (TextPart("x"), True),
        (TextPart(""), False),
        (OutputPart("{"), True),
        (OutputPart(""), False),
        (ToolInputPart("1", "t", ""), True),
        (SwitchPart("a", "b", "connect", "no"), False),
    ],
)
def test_what_can_not_be_taken_back(part: Any, heard: bool) -> None:
    assert is_heard(part) is heard
