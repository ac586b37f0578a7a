"""What a model reads of a transcript is checked before it is asked."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from trio_agent._events import ToolRequest
from trio_agent._messages import AnyMessage, AssistantMessage, ToolMessage, UserMessage
from trio_agent._run.prepare import apply

CALL = AssistantMessage("", (ToolRequest("1", "look", {}),))
RESULT = ToolMessage("1", "fine")
MESSAGES = (UserMessage("Hi"), CALL, RESULT, UserMessage("And?"))


def test_what_it_returns_is_read() -> None:
    seen: list[tuple[AnyMessage, ...]] = []

    def last(messages: tuple[AnyMessage, ...]) -> list[AnyMessage]:
        seen.append(messages)
        return [messages[-1]]

    assert apply(last, MESSAGES) == (UserMessage("And?"),)
    assert seen == [MESSAGES]


def test_any_iterable_will_do() -> None:
    def each(messages: tuple[AnyMessage, ...]) -> Iterator[AnyMessage]:
        yield from messages

    assert apply(each, MESSAGES) == MESSAGES


@pytest.mark.parametrize(
    ("returned", "error", "told"),
    [
        (None, TypeError, "prepare returned NoneType: let it return messages, and not be async"),
        ("Hi", TypeError, "prepare returned str among the messages"),
        ([UserMessage("Hi"), {"role": "user"}], TypeError, "prepare returned dict among"),
        ((), ValueError, "prepare returned no messages: leave at least one"),
        (MESSAGES[2:], ValueError, r"takes: message 1 answers no open tool call \('1'\); keep a"),
        (MESSAGES[:2], ValueError, "takes: tool call '1' has no result; keep a message with"),
    ],
)
def test_what_no_model_can_read(returned: Any, error: type[Exception], told: str) -> None:
    def prepare(_: tuple[AnyMessage, ...]) -> Iterable[AnyMessage]:
        assert returned is None or isinstance(returned, Iterable)
        return returned  # type: ignore[return-value]

    with pytest.raises(error, match=told):
        apply(prepare, MESSAGES)


def test_what_it_raises_is_its_own() -> None:
    def prepare(_: tuple[AnyMessage, ...]) -> Iterable[AnyMessage]:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        apply(prepare, MESSAGES)
