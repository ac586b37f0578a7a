"""What went between a model and its tools."""

from typing import Any

import pytest

from trio_agent.models._provider._tool_text import (
    sendable_arguments,
    sendable_input,
    sendable_name,
    sendable_output,
)


@pytest.mark.parametrize(
    ("name", "sent"),
    [("f-1_B", "f-1_B"), ("get<|a|>json", "get__a__json"), ("", "_"), ("é" * 70, "_" * 64)],
)  # fmt: skip
def test_names(name: str, sent: str) -> None:
    assert sendable_name(name) == sent


@pytest.mark.parametrize(
    ("value", "sent"),
    [({"a": 1}, {"a": 1}), ("{bro", {"invalid": "{bro"}), ([1], {"invalid": [1]})],
)
def test_input(value: Any, sent: dict[str, Any]) -> None:
    assert sendable_input(value) == sent


def test_arguments_are_json() -> None:
    assert sendable_arguments({"a": "é"}) == '{"a":"é"}'


@pytest.mark.parametrize(
    ("text", "sent"), [("x", "x"), *((blank, "(no output)") for blank in ("", " \n"))]
)
def test_output(text: str, sent: str) -> None:
    assert sendable_output(text) == sent
