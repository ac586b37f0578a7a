from typing import Any

import msgspec
import pytest

from trio_agent._events import ToolRequest
from trio_agent._messages import (
    AnyMessage,
    AssistantMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
    unpaired_calls,
)


def calls(*ids: str) -> AssistantMessage:
    return AssistantMessage("", tuple(ToolRequest(call_id, "t", {}) for call_id in ids))


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ((), None),
        ((SystemMessage("s"), UserMessage("u"), AssistantMessage("a")), None),
        ((calls("1", "2"), ToolMessage("2", "x"), ToolMessage("1", "y")), None),
        ((calls("1"), ToolMessage("1", "x"), calls("1"), ToolMessage("1", "y")), None),
        ((calls("1"),), "tool call '1' has no result"),
        ((calls("2", "1"), UserMessage("u")), "tool call '1' has no result"),
        ((calls("1"), UserMessage("u"), ToolMessage("1", "x")), "tool call '1' has no result"),
        ((ToolMessage("1", "x"),), "message 1 answers no open tool call ('1')"),
        (
            (calls("1"), ToolMessage("1", "x"), ToolMessage("1", "y")),
            "message 3 answers no open tool call ('1')",
        ),
        ((UserMessage("u"), calls("1", "1")), "message 2 uses one tool call id twice"),
    ],
)
def test_pairing(messages: tuple[AnyMessage, ...], problem: str | None) -> None:
    assert unpaired_calls(messages) == problem


def test_a_result_that_was_read_has_the_json_of_the_one_that_was_made() -> None:
    made = ToolMessage("1", "x")
    data = b'{"role":"tool","toolCallId":"1","content":"x","status":"ok"}'
    status: Any = b"ok".decode()  # equal, and another object
    given = (msgspec.json.decode(data, type=ToolMessage), ToolMessage("1", "x", status))
    assert set(map(msgspec.json.encode, given)) == {msgspec.json.encode(made)}
