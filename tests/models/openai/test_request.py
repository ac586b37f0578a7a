"""Requests of chat completions, without any I/O."""

import json

import pytest

from trio_agent._events import ToolRequest
from trio_agent._messages import AssistantMessage, SystemMessage, ToolMessage, UserMessage
from trio_agent.models._parts import ModelRequest, ToolSpec
from trio_agent.models.openai._request import encode_request


def test_the_request() -> None:
    request = ModelRequest(
        instructions="Be brief.",
        messages=(
            SystemMessage("Now."),
            UserMessage("Weather?"),
            AssistantMessage(
                "", (ToolRequest("a", "f", {"city": "Köln"}), ToolRequest("b", "f", "{bro"))
            ),
            ToolMessage("a", "rain"),
            ToolMessage("b", "invalid JSON", "error"),
            AssistantMessage("Rain."),
        ),
        tools=(ToolSpec("f", "Tells.", {"type": "object"}),),
        options={"temperature": 0, "stream_options": {"include_usage": False}},
    )
    body = encode_request(request, "m")
    calls = body["messages"][3].pop("tool_calls")
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "system", "content": "Now."},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": None},
            {"role": "tool", "tool_call_id": "a", "content": "rain"},
            {"role": "tool", "tool_call_id": "b", "content": "invalid JSON"},
            {"role": "assistant", "content": "Rain."},
        ],
        "stream": True,
        "stream_options": {"include_usage": False},
        "temperature": 0,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "Tells.",
                    "parameters": {"type": "object"},
                },
            }
        ],
    }
    assert [(call["id"], call["type"], call["function"]["name"]) for call in calls] == [
        ("a", "function", "f"),
        ("b", "function", "f"),
    ]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [
        {"city": "Köln"},
        "{bro",
    ]


def test_a_small_request_has_nothing_to_spare() -> None:
    body = encode_request(ModelRequest((UserMessage("Hi"),)), "m")
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("name", ["model", "messages", "stream", "tools"])
def test_options_can_not_override_the_request(name: str) -> None:
    with pytest.raises(ValueError, match=f"the option '{name}' is set by the agent"):
        encode_request(ModelRequest((), options={name: None}), "m")
