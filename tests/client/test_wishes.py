"""Requests as JSON."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from trio_agent import CancelAfter, ClientTool, File, UserMessage
from trio_agent.client._wishes import answer_of, seconds_for, wishes_of

DEFAULTS: Mapping[str, Any] = {
    "messages": (),
    "on_busy": "reject",
    "on_disconnect": None,
    "options": None,
    "limits": None,
    "client_tools": (),
    "retractable": True,
}
NO_PARAMETERS = {"type": "object", "properties": {}}


@pytest.mark.parametrize("message", [UserMessage("x"), UserMessage((File("a/b", url="u" * 100),))])
def test_a_start_may_take_longer_the_more_there_is_to_send(message: UserMessage) -> None:
    assert seconds_for([message]) == pytest.approx(60, abs=0.01)
    assert seconds_for([message, UserMessage((File("a/b", data=bytes(1_000_000)),))]) > 69


@pytest.mark.parametrize(
    ("said", "wishes"),
    [
        ({"prompt": None, "options": {}, "limits": {}}, {}),
        ({"prompt": "hi", "agent": "a"}, {"prompt": "hi", "agent": "a"}),
        ({"thread": "tea", "after": ""}, {"thread": "tea", "after": ""}),
        ({"thread": "tea", "on_busy": "cancel"}, {"thread": "tea", "onBusy": "cancel"}),
        ({"on_disconnect": "cancel"}, {"onDisconnect": "cancel"}),
        ({"on_disconnect": CancelAfter(3)}, {"onDisconnect": 3}),
        ({"limits": {"max_tokens": 7}}, {"limits": {"maxTokens": 7}}),
        ({"retractable": False}, {"retractable": False}),
        ({"client_tools": [{"name": "t", "x": 1}]}, {"clientTools": [{"name": "t", "x": 1}]}),
        (
            {"client_tools": (ClientTool(name, description="d", strict=s) for name, s in
                              (("t", None), ("u", True)))},
            {"clientTools": [
                {"name": "t", "description": "d", "parameters": NO_PARAMETERS},
                {"name": "u", "description": "d", "parameters": NO_PARAMETERS, "strict": True},
            ]},
        ),
    ],
)  # fmt: skip
def test_only_what_was_said(said: dict[str, Any], wishes: dict[str, Any]) -> None:
    """A server that does not know the rest yet would refuse it."""
    assert wishes_of(**{**DEFAULTS, **said}) == wishes


def answered(**given: Any) -> dict[str, Any]:
    nothing = {"approved": None, "reason": None, "output": msgspec.UNSET}
    return answer_of("c", **{**nothing, "arguments": msgspec.UNSET, **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, {}),  # refused by the server, which knows what the call waits for
        ({"approved": True}, {"approve": True}),
        ({"approved": False, "reason": "no"}, {"approve": False, "reason": "no"}),
        ({"output": None}, {"output": None}),
        ({"output": (1, {"a": "b"})}, {"output": [1, {"a": "b"}]}),
        ({"approved": True, "arguments": None}, {"approve": True, "arguments": None}),
    ],
)
def test_an_answer(given: dict[str, Any], said: dict[str, Any]) -> None:
    assert answered(**given) == {"callId": "c", **said}


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"output": math.nan}, "the output has the number nan"),
        ({"output": object()}, "the output has a object"),
        ({"arguments": {1: 2}}, "the arguments has the key 1"),
        ({"reason": "\ud800"}, "the reason has half a surrogate"),
    ],
)
def test_an_answer_that_is_no_json(given: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        answered(**given)
